"""Notices to payers: sealed in an outbox with the change they tell of, sent afterwards, at least once.

Any number of processes send. Each takes notices for a while, so that no other one sends them too, and books the
medium's provider for as many as it took: the bookings of all processes follow each other, and so do the sends.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from tallystick.crypto.binding import bind
from tallystick.errors import EnvelopeUnopenable, FieldInvalid, Unavailable
from tallystick.runtime import Clock, Millis, Randomness, new_id
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import seal, unseal
from tallystick.vault.model import Medium, Notice
from tallystick.vault.ports import Carrier, VaultBooks, VaultStore

SECOND_MS: Final = 1_000  # ms
ATTEMPTS_MAX: Final = 16  # tries of one notice; with the delays below they take about nine hours
DELAY_MIN_MS: Final = 30_000  # ms after the first failure; doubles with every further one
DELAY_MAX_MS: Final = 3_600_000  # ms
IN_FLIGHT_MAX: Final = 16  # notices of one medium handed over at the same time
AHEAD_MS: Final = 500  # ms a provider is booked ahead of now: as long as a round of the sweep
SEND_MAX_MS: Final = 60_000  # ms one hand-over may take; then it has failed
HELD_MS: Final = 2 * SEND_MAX_MS + AHEAD_MS  # ms a notice belongs to who took it; one left in doubt then goes out again
PER_SECOND: Final = 50  # notices of a medium a second, of all processes together, where the caller says nothing


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent and where; a carrier without subjects leaves `subject` out."""

    address: str
    subject: str
    text: str


class Ending(StrEnum):
    """How one attempt ended; one that is LEFT was not begun, for its time had passed: it is due again."""

    SENT = "sent"
    DELAYED = "delayed"
    GIVEN_UP = "given_up"
    LEFT = "left"


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """How the notices of one call ended."""

    sent: int
    delayed: int
    given_up: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """Notices of one medium that belong to this process before `until`; one may be sent each `gap` ms from `start`."""

    notices: list[Notice]
    until: Millis
    start: Millis
    gap: float


def seal_notice(
    keyring: Keyring,
    randomness: Randomness,
    medium: Medium,
    message: Message,
    now: Millis,
    *,
    urgent: bool = False,
) -> Notice:
    """Make a notice that is due now; the caller adds it in the transaction of the change it tells of."""
    notice_id = new_id("ntc", randomness)
    sealed = seal(keyring, Purpose.VAULT, msgspec.json.encode(message), _context(notice_id, medium))
    return Notice(id=notice_id, medium=medium, sealed=sealed, created_at=now, due_at=now, urgent=urgent)


def open_notice(keyring: Keyring, notice: Notice) -> Message:
    """Open a notice; raises EnvelopeUnopenable when it is damaged: it can only be dropped."""
    opened = unseal(keyring, Purpose.VAULT, notice.sealed, _context(notice.id, notice.medium))
    return msgspec.json.decode(opened, type=Message)


async def send_due(
    store: VaultStore,
    keyring: Keyring,
    carriers: Mapping[Medium, Carrier],
    clock: Clock,
    limit: int,
    *,
    per_second: Mapping[Medium, int] = MappingProxyType({}),
) -> Round:
    """Send at most `limit` notices of each medium that are due; each is erased once it was handed over.

    All processes on the store together hand over at most `per_second` of a medium a second, evenly, `PER_SECOND` where
    it says nothing. A crash between hand-over and erasure sends a notice again, under the same reference, `HELD_MS`
    after it was taken. A failure, also a medium without a carrier, is tried again after a delay that doubles up to
    `DELAY_MAX_MS`; after `ATTEMPTS_MAX` failures, or when the address does not exist or the notice is damaged, it is
    given up and erased: the caller raises an alarm.

    Raises:
        StoreFailed: the outbox could not be read or written; notices handed over before may go out again.
    """
    sending = [
        _send_medium(store, keyring, carriers.get(medium), clock, medium, per_second.get(medium, PER_SECOND), limit)
        for medium in Medium
    ]
    endings = [ending for ended in await asyncio.gather(*sending) for ending in ended]
    return Round(
        sent=endings.count(Ending.SENT),
        delayed=endings.count(Ending.DELAYED),
        given_up=endings.count(Ending.GIVEN_UP),
    )


async def _send_medium(
    store: VaultStore,
    keyring: Keyring,
    carrier: Carrier | None,
    clock: Clock,
    medium: Medium,
    per_second: int,
    limit: int,
) -> list[Ending]:
    now = clock.now()
    taken = await store.transact(lambda book: _take(book, medium, now, per_second, limit))
    places = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def one(place: int, notice: Notice) -> Ending:
        if (early := taken.start + place * taken.gap - clock.now()) > 0:
            await clock.sleep(early / SECOND_MS)
        async with places:
            if clock.now() + SEND_MAX_MS > taken.until:
                return Ending.LEFT
            ending = await _attempt(keyring, carrier, notice)
        await _record(store, notice, ending, clock.now())
        return ending

    return await asyncio.gather(*(one(place, notice) for place, notice in enumerate(taken.notices)))


async def _take(book: VaultBooks, medium: Medium, now: Millis, per_second: int, limit: int) -> _Taken:
    """Take as many notices as the provider can be booked for within `AHEAD_MS`, one at least when nothing is booked."""
    gap = SECOND_MS / per_second
    free = max(0, now + AHEAD_MS - max(await book.paced_until(medium), now))
    room = math.ceil(free / gap)
    notices = await book.due_notices(medium, now, min(limit, room)) if room else []
    if not notices:
        return _Taken([], now, now, gap)
    start = await book.book_pace(medium, now, math.ceil(len(notices) * gap))
    until = Millis(start + HELD_MS)
    await book.hold_notices([notice.id for notice in notices], until)
    return _Taken(notices, until, start, gap)


async def _attempt(keyring: Keyring, carrier: Carrier | None, notice: Notice) -> Ending:
    failed = Ending.DELAYED if notice.attempts + 1 < ATTEMPTS_MAX else Ending.GIVEN_UP
    if carrier is None:
        return failed
    try:
        message = open_notice(keyring, notice)
        async with asyncio.timeout(SEND_MAX_MS / SECOND_MS):
            await carrier.send(notice.id, message.address, message.subject, message.text)
    except (Unavailable, TimeoutError):
        return failed
    except (EnvelopeUnopenable, FieldInvalid):
        return Ending.GIVEN_UP
    return Ending.SENT


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
