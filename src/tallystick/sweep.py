"""The timers: expire, recover, retry, renew numbers, send notices, rotate and destroy keys, purge, watch back ends.

Every round is bounded and safe to repeat; what one round does not finish the next one does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tallystick import doubts, limits
from tallystick.assembly.facts import Fate, PaymentState
from tallystick.assembly.model import Payment
from tallystick.delivery.books import Books
from tallystick.errors import TallystickError
from tallystick.health import Health
from tallystick.path import Platform, carry
from tallystick.runtime import Millis
from tallystick.vault.model import Medium
from tallystick.vault.notices import send_due
from tallystick.vault.numbers import renew
from tallystick.vault.ports import Carrier

TICK_S: Final = 0.5  # s between rounds
BATCH: Final = 200  # rows one round touches at most
EXPIRE_BATCHES: Final = 20  # batches of one round: 8,000 payments a second, more than one node files
RETRY_AFTER_MS: Final = 5_000  # ms a joined payment rests before a sweep tries it (its own path may be at it)
HEALTH_EVERY: Final = 10  # rounds between echoes to the back ends
KEYS_EVERY: Final = 20  # rounds between looks at the keys' ages
HEALTH: Final = "health"  # chore of one node at a time: two would contradict each other
PURGE_ROWS: Final = 5_000  # rows one purge deletes at most: 10,000 a second, more than one node makes

PAGES: Final = 1_000  # links to payers' pages, or sign-ups, that one transaction deletes at most
PAGE_BATCHES: Final = 20  # such transactions of each kind in a round, of KEYS_EVERY: 2,000 a second, more than are made

_log = logging.getLogger(__name__)


Chore = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Sweep:
    """The timers of one node; `carriers` are ways to reach people, `more` are chores of the embedding process.

    `per_second` bounds the notices of a medium over all nodes together (`vault.notices`). Without `timers` only what
    each process has to do for itself is done: its keys and echoes.
    """

    platform: Platform
    carriers: Mapping[Medium, Carrier]
    more: tuple[Chore, ...] = ()
    per_second: Mapping[Medium, int] = field(default_factory=dict)
    timers: bool = True
    health: Health = field(init=False)

    def __post_init__(self) -> None:
        platform = self.platform
        self.health = Health(platform.store, platform.connectors, platform.clock)

    async def run(self) -> None:
        """Do rounds until cancelled; neither an error nor a wait of one chore stops those of another group."""
        await asyncio.gather(*(self._repeat(group) for group in range(len(self._groups(0)))))

    async def round(self, number: int) -> None:
        """Do one round of all chores."""
        await asyncio.gather(*(self._do(chores) for chores in self._groups(number)))

    async def _repeat(self, group: int) -> None:
        number = 0
        while True:
            await self._do(self._groups(number)[group])
            number += 1
            await self.platform.clock.sleep(TICK_S)

    def _groups(self, number: int) -> tuple[list[Chore], ...]:
        """Return the chores of a round, apart by what they wait for: the store, back ends, people's providers.

        A million numbers take minutes to make: they are apart too, for expiry does not wait for them.
        """
        platform = self.platform
        keys: list[Chore] = [lambda: rotate_keys(platform), *self.more] if number % KEYS_EVERY == 0 else []
        health: list[Chore] = [self._watch] if number % HEALTH_EVERY == 0 else []
        if not self.timers:
            return keys, health
        own: list[Chore] = [
            lambda: expire(platform),
            lambda: purge(platform),
        ]
        deliveries: list[Chore] = [
            lambda: doubts.give_up_lost(platform),
            lambda: retry_deliverable(platform),
            lambda: doubts.take_up(platform),
            lambda: doubts.pursue_due(platform),
        ]
        return [*own, *keys], deliveries, health, [lambda: renew_numbers(platform)], [self._send_notices]

    async def _do(self, chores: list[Chore]) -> None:
        for chore in chores:
            try:
                await chore()
            except TallystickError as error:
                _log.warning("a chore of the sweep failed: %s: %s", error.code, error.detail)
            except Exception as error:  # noqa: BLE001 - a full disk in one chore must not stop expiry and key destruction
                _log.error("a chore of the sweep failed: %s", type(error).__name__)

    async def _watch(self) -> None:
        """Echo from here, for this node's own circuits; one node's pulses make the word that counts for all."""
        await self.health.watch(tells=self.timers and await self.platform.node.holds(HEALTH))

    async def _send_notices(self) -> None:
        platform, sent = self.platform, 1
        while sent:  # a provider that is booked without a gap gets all it takes
            done = await send_due(
                platform.store, platform.keyring, self.carriers, platform.clock, BATCH, per_second=self.per_second
            )
            sent = done.sent


async def expire(platform: Platform) -> int:
    """Decide the fate of payments whose time is over, and erase their parts; returns how many expired.

    Others write between the batches, so that a backlog of a long stop ends in minutes and holds nobody up.
    """
    now, expired = platform.clock.now(), 0

    async def work(books: Books) -> tuple[int, int]:
        found, decided = await books.expired_payments(now, BATCH), 0
        for payment_id in found:
            if await books.decide_fate(payment_id, Fate.EXPIRED, now):
                await books.erase_parts(payment_id)
                decided += 1
        return len(found), decided

    for _ in range(EXPIRE_BATCHES):
        found, decided = await platform.store.transact(work)
        expired += decided
        if found < BATCH:
            break
    return expired


async def retry_deliverable(platform: Platform) -> int:
    """Carry joined payments that rest: their back ends were away, or a process died between join and intent.

    They are carried side by side: one that hangs, or cannot be carried at all, keeps no other one from its back end.
    Each is claimed for its rest, so that of many nodes one tries it: a try may cost the payer a try of the password.
    """

    async def claim(books: Books) -> list[Payment]:
        now = platform.clock.now()
        return await books.claim_joined(Millis(now - RETRY_AFTER_MS), now, BATCH)

    waiting = await platform.store.read(lambda books: books.payments_in(PaymentState.JOINED, 1))
    if not any(platform.clock.now() - payment.updated_at >= RETRY_AFTER_MS for payment in waiting):
        return 0
    rested = await platform.store.transact(claim)
    endings = await asyncio.gather(*(carry(platform, payment.id) for payment in rested), return_exceptions=True)
    for payment, ending in zip(rested, endings, strict=True):
        if isinstance(ending, Exception):
            _log.warning("payment %s cannot be carried now: %s", payment.id, type(ending).__name__)
    return len(rested)


async def renew_numbers(platform: Platform) -> int:
    """Give enrolled users the dynamic number of the current period (claim 7); returns how many were made.

    A round makes some thousands for each institution (`numbers.ROUND`); every process makes some, side by side.
    """
    table = await platform.store.read(lambda books: books.routing_table())
    made = 0
    for back_end in table.back_ends:
        renewal = await renew(platform.store, platform.keyring, platform.clock, platform.randomness, back_end=back_end)
        made += renewal.made
    return made


async def rotate_keys(platform: Platform) -> None:
    """Make the keys that are due, and destroy those whose time is over."""
    now = platform.clock.now()
    platform.opening_keys.rotate(now)
    platform.epochs.destroy_before(now)
    platform.recovery_keys.destroy_unused(now, await platform.store.read(lambda books: books.accounts_kept()))


async def purge(platform: Platform) -> None:
    """Delete nonces, kept answers and issued elements that no longer matter."""
    now = platform.clock.now()

    async def work(books: Books) -> None:
        await books.purge_replay(now, PURGE_ROWS)
        await books.purge_claims(now, PURGE_ROWS)
        await books.purge_pin_tokens(Millis(now - limits.SECRET_LIFE_MS), PURGE_ROWS)  # a payment waits for its end

    await platform.store.transact(work)


async def purge_pages(platform: Platform) -> int:
    """Delete links to payers' pages that are over, as their sessions are, and sign-ups; returns how many went.

    Others write between the batches, as with `expire`.
    """
    now = platform.clock.now()
    links = await _in_batches(platform, lambda books: books.purge_capabilities(now, PAGES))
    return links + await _in_batches(platform, lambda books: books.purge_sign_ups(now, PAGES))


async def _in_batches(platform: Platform, delete: Callable[[Books], Awaitable[int]]) -> int:
    gone = 0
    for _ in range(PAGE_BATCHES):
        found = await platform.store.transact(delete)
        gone += found
        if found < PAGES:
            break
    return gone
