"""Notices to payers: sealed in an outbox with the change they tell of, sent afterwards, at least once."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from tallystick.crypto.binding import bind
from tallystick.errors import EnvelopeUnopenable, FieldInvalid, Unavailable
from tallystick.runtime import Clock, Millis, Randomness, new_id
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import seal, unseal
from tallystick.vault.model import Medium, Notice
from tallystick.vault.ports import Carrier, VaultBooks, VaultStore

ATTEMPTS_MAX: Final = 16  # tries of one notice; with the delays below they take about nine hours
DELAY_MIN_MS: Final = 30_000  # ms after the first failure; doubles with every further one
DELAY_MAX_MS: Final = 3_600_000  # ms
IN_FLIGHT_MAX: Final = 8  # notices handed over at the same time


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent and where; a carrier without subjects leaves `subject` out."""

    address: str
    subject: str
    text: str


class Ending(StrEnum):
    """How one attempt ended."""

    SENT = "sent"
    DELAYED = "delayed"
    GIVEN_UP = "given_up"


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """How the notices of one call ended."""

    sent: int
    delayed: int
    given_up: int


def seal_notice(keyring: Keyring, randomness: Randomness, medium: Medium, message: Message, now: Millis) -> Notice:
    """Make a notice that is due now; the caller adds it in the transaction of the change it tells of."""
    notice_id = new_id("ntc", randomness)
    sealed = seal(keyring, Purpose.VAULT, msgspec.json.encode(message), _context(notice_id, medium))
    return Notice(id=notice_id, medium=medium, sealed=sealed, created_at=now, due_at=now)


def open_notice(keyring: Keyring, notice: Notice) -> Message:
    """Open a notice; raises EnvelopeUnopenable when it is damaged: it can only be dropped."""
    opened = unseal(keyring, Purpose.VAULT, notice.sealed, _context(notice.id, notice.medium))
    return msgspec.json.decode(opened, type=Message)


async def send_due(
    store: VaultStore, keyring: Keyring, carriers: Mapping[Medium, Carrier], clock: Clock, limit: int
) -> Round:
    """Send at most `limit` notices that are due; each is erased once it was handed over.

    A crash between hand-over and erasure sends a notice again, under the same reference. A failure, also a medium
    without a carrier, is tried again after a delay that doubles up to `DELAY_MAX_MS`; after `ATTEMPTS_MAX` failures, or
    when the address does not exist or the notice is damaged, it is given up and erased: the caller raises an alarm.

    Raises:
        StoreFailed: the outbox could not be read or written; notices handed over before may go out again.
    """

    async def due(book: VaultBooks) -> list[Notice]:
        return await book.due_notices(clock.now(), limit)

    notices = await store.transact(due)
    places = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def one(notice: Notice) -> Ending:
        async with places:
            ending = await _attempt(keyring, carriers, notice)
        await _record(store, notice, ending, clock.now())
        return ending

    endings = await asyncio.gather(*map(one, notices))
    return Round(
        sent=endings.count(Ending.SENT),
        delayed=endings.count(Ending.DELAYED),
        given_up=endings.count(Ending.GIVEN_UP),
    )


async def _attempt(keyring: Keyring, carriers: Mapping[Medium, Carrier], notice: Notice) -> Ending:
    try:
        message = open_notice(keyring, notice)
        await _carrier(carriers, notice.medium).send(notice.id, message.address, message.subject, message.text)
    except Unavailable:
        return Ending.DELAYED if notice.attempts + 1 < ATTEMPTS_MAX else Ending.GIVEN_UP
    except (EnvelopeUnopenable, FieldInvalid):
        return Ending.GIVEN_UP
    return Ending.SENT


def _carrier(carriers: Mapping[Medium, Carrier], medium: Medium) -> Carrier:
    if medium not in carriers:
        raise Unavailable("no carrier for this medium is configured")
    return carriers[medium]


async def _record(store: VaultStore, notice: Notice, ending: Ending, now: Millis) -> None:
    async def write(book: VaultBooks) -> None:
        if ending is Ending.DELAYED:
            delay = min(DELAY_MIN_MS << notice.attempts, DELAY_MAX_MS)
            await book.delay_notice(notice.id, Millis(now + delay))
        else:
            await book.drop_notice(notice.id)

    await store.transact(write)


def _context(notice_id: str, medium: Medium) -> bytes:
    return bind("notice", notice_id, medium)
