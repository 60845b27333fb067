"""The timers: expire, recover, retry, renew numbers, send notices, rotate and destroy keys, purge, watch back ends.

Every round is bounded and safe to repeat; what one round does not finish the next one does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from tallystick.assembly.facts import Fate, PaymentState
from tallystick.delivery import deliver
from tallystick.delivery.books import Books
from tallystick.delivery.model import IntentState
from tallystick.errors import DeliveryError, TallystickError
from tallystick.path import Platform, carry
from tallystick.routing.model import BackEnd, Status
from tallystick.runtime import Millis
from tallystick.vault.model import Medium
from tallystick.vault.notices import send_due
from tallystick.vault.numbers import renew
from tallystick.vault.ports import Carrier

TICK_S: Final = 0.5  # s between rounds
BATCH: Final = 200  # rows one round touches at most
RETRY_AFTER_MS: Final = 5_000  # ms a joined payment rests before the sweep tries it (its own path may be at it)
LOST_AFTER_MS: Final = 180_000  # ms after which no send of this process can still be under way
HEALTH_EVERY: Final = 10  # rounds between echoes to the back ends
KEYS_EVERY: Final = 20  # rounds between looks at the keys' ages
PURGE_ROWS: Final = 5_000  # rows one purge deletes at most: 10,000 a second, more than one node makes
ECHO_FAILURES_MAX: Final = 2  # echoes in a row that fail before a back end is DOWN

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sweep:
    """The timers of one process; `carriers` are ways to reach people, `more` are chores of the embedding process."""

    platform: Platform
    carriers: Mapping[Medium, Carrier]
    more: tuple[Callable[[], Awaitable[object]], ...] = ()
    failures: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Do rounds until cancelled; an error of one chore never stops the others. `recover` was called before."""
        round_number = 0
        while True:
            await self.round(round_number)
            round_number += 1
            await self.platform.clock.sleep(TICK_S)

    async def round(self, number: int) -> None:
        """Do one round of chores."""
        chores: list[Callable[[], Awaitable[object]]] = [
            lambda: expire(self.platform),
            lambda: retry_deliverable(self.platform),
            lambda: renew_numbers(self.platform),
            self._send_notices,
            lambda: purge(self.platform),
        ]
        if number % HEALTH_EVERY == 0:
            chores.append(self._watch_back_ends)
        if number % KEYS_EVERY == 0:
            chores += [lambda: rotate_keys(self.platform), lambda: give_up_lost(self.platform), *self.more]
        for chore in chores:
            try:
                await chore()
            except TallystickError as error:
                _log.warning("a chore of the sweep failed: %s: %s", error.code, error.detail)
            except Exception as error:  # noqa: BLE001 - a full disk in one chore must not stop expiry and key destruction
                _log.error("a chore of the sweep failed: %s", type(error).__name__)

    async def _send_notices(self) -> None:
        platform = self.platform
        await send_due(platform.store, platform.keyring, self.carriers, platform.clock, BATCH)

    async def _watch_back_ends(self) -> None:
        """Echo to every back end that should answer, and keep ACTIVE and DOWN true; the operator's words stay."""
        table = await self.platform.store.read(lambda books: books.routing_table())
        for back_end in table.back_ends:
            if back_end.status in {Status.ACTIVE, Status.DOWN}:
                await self._watch(back_end)

    async def _watch(self, back_end: BackEnd) -> None:
        try:
            connector = await self.platform.connectors.connector(back_end)
            await connector.echo()
            self.failures[back_end.id] = 0
        except DeliveryError:
            self.failures[back_end.id] = self.failures.get(back_end.id, 0) + 1
        failures = self.failures[back_end.id]
        if failures == 0 and back_end.status is Status.DOWN:
            await _set_status(self.platform, back_end, Status.ACTIVE)
        if failures >= ECHO_FAILURES_MAX and back_end.status is Status.ACTIVE:
            await _set_status(self.platform, back_end, Status.DOWN)


async def recover(platform: Platform) -> int:
    """After a crash, make every intent without an outcome UNKNOWN: it may have been sent, so it is never sent again.

    Call before anything is carried: an intent of this process that is still being sent would be taken for a lost one.
    """
    recovered = 0
    while found := await _give_up(platform, None):
        recovered += found
    return recovered


async def give_up_lost(platform: Platform) -> int:
    """Make intents UNKNOWN whose outcome could not be recorded: the store failed just when the answer came."""
    return await _give_up(platform, Millis(platform.clock.now() - LOST_AFTER_MS))


async def _give_up(platform: Platform, before: Millis | None) -> int:
    """Make a batch of unsettled intents UNKNOWN, only those sent before a time if one is given; returns how many."""
    unknown = deliver.Outcome(state=IntentState.UNKNOWN)

    async def work(books: Books) -> int:
        lost = [i for i in await books.sending_intents(BATCH) if before is None or i.ids.at < before]
        for intent in lost:
            await deliver.settle(books, intent, unknown, platform.clock.now())
        return len(lost)

    return await platform.store.transact(work)


async def expire(platform: Platform) -> int:
    """Decide the fate of payments whose time is over, and erase their parts; returns how many expired."""
    now = platform.clock.now()

    async def work(books: Books) -> int:
        expired = 0
        for payment_id in await books.expired_payments(now, BATCH):
            if await books.decide_fate(payment_id, Fate.EXPIRED, now):
                await books.erase_parts(payment_id)
                expired += 1
        return expired

    return await platform.store.transact(work)


async def retry_deliverable(platform: Platform) -> int:
    """Carry joined payments that rest: their back ends were away, or a process died between join and intent.

    They are carried side by side: one that hangs, or cannot be carried at all, keeps no other one from its back end.
    """
    waiting = await platform.store.read(lambda books: books.payments_in(PaymentState.JOINED, BATCH))
    rested = [p for p in waiting if platform.clock.now() - p.updated_at >= RETRY_AFTER_MS]
    endings = await asyncio.gather(*(carry(platform, payment.id) for payment in rested), return_exceptions=True)
    for payment, ending in zip(rested, endings, strict=True):
        if isinstance(ending, Exception):
            _log.warning("payment %s cannot be carried now: %s", payment.id, type(ending).__name__)
    return len(rested)


async def renew_numbers(platform: Platform) -> int:
    """Give every enrolled user the dynamic number of the current period (claim 7); returns how many were made."""
    table = await platform.store.read(lambda books: books.routing_table())
    made = 0
    for back_end in table.back_ends:
        now = platform.clock.now()
        renewal = await renew(
            platform.store, platform.keyring, platform.randomness, back_end=back_end, now=now, batch=BATCH
        )
        made += renewal.made
    return made


async def rotate_keys(platform: Platform) -> None:
    """Make the keys that are due, and destroy those whose time is over."""
    now = platform.clock.now()
    platform.opening_keys.rotate(now)
    platform.epochs.destroy_before(now)


async def purge(platform: Platform) -> None:
    """Delete nonces, kept answers and issued elements that no longer matter."""
    now = platform.clock.now()

    async def work(books: Books) -> None:
        await books.purge_replay(now, PURGE_ROWS)
        await books.purge_claims(now, BATCH)

    await platform.store.transact(work)


async def _set_status(platform: Platform, back_end: BackEnd, status: Status) -> None:
    async def work(books: Books) -> None:
        table = await books.routing_table()
        current = next((b for b in table.back_ends if b.id == back_end.id), None)
        if current is not None and current.status is back_end.status:
            await books.put_back_end(structs.replace(current, status=status))

    await platform.store.transact(work)
    _log.warning("back end %s is now %s", back_end.id, status)
