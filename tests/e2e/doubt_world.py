"""One payment on its way to a real sandbox back end, with a crash wherever the test wants one."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tallystick import doubts
from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import Payment
from tallystick.delivery.guard import GuardedConnector
from tallystick.delivery.model import Answer, Instruction
from tallystick.delivery.ports import Connector
from tallystick.errors import NotSent
from tallystick.path import Platform, carry
from tallystick.routing.issuer_file import shipped_rules
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis
from tallystick.sweep import RETRY_AFTER_MS, retry_deliverable
from tallystick.testing.messages import send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform
from tallystick.testing.sandbox.record import Entry

INSTITUTION = "10000001"
BACK_END = bank(INSTITUTION, schemes=frozenset({"unionpay", "visa", "qianbao"}))
SETTLE_TIMEOUT_S = 60.0
ROUND_S = 0.1
SKIPPED_MS = {PaymentState.JOINED: RETRY_AFTER_MS, PaymentState.INQUIRY: 1_000}
"""What a round skips of the waits that the sweep keeps: a joined payment's rest, the lease of a send cut off."""
SETTLED = frozenset({PaymentState.APPROVED, PaymentState.DECLINED, PaymentState.REVERSED, PaymentState.MANUAL})


class CrashedError(Exception):
    """The process ends here."""


class ShiftedClock:
    """The machine's clock, ahead by what a test wants to skip."""

    def __init__(self, ahead_ms: int = 0) -> None:
        self.ahead_ms = ahead_ms

    def now(self) -> Millis:
        return Millis(time.time_ns() // 1_000_000 + self.ahead_ms)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class CrashingStore:
    """A store whose process crashes just before or just after its n-th transaction."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._done = 0
        self.before: int | None = None
        self.after: int | None = None

    async def transact(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        self._done += 1
        if self._done == self.before:
            raise CrashedError
        result = await self._store.transact(work)
        if self._done == self.after:
            raise CrashedError
        return result

    async def read(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return await self._store.read(work)

    async def aclose(self) -> None:
        await self._store.aclose()


class CrashingConnector:
    """A connector whose process crashes when the back end has got the request and before its answer is read."""

    def __init__(self, inner: Connector, got: Callable[[], bool]) -> None:
        self._inner, self._got = inner, got
        self.recovery, self.keeps_account = inner.recovery, inner.keeps_account

    async def deliver(self, instruction: Instruction) -> Answer:
        sending = asyncio.create_task(self._inner.deliver(instruction))
        while not self._got():
            if sending.done():  # a busy machine: too late for a connection, or for the request to arrive
                if not isinstance(sending.exception(), NotSent):
                    break
                sending = asyncio.create_task(self._inner.deliver(instruction))
            await asyncio.sleep(0.01)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        raise CrashedError


@dataclass
class Connectors:
    """The one connector of a test (`delivery.ports.Connectors`)."""

    one: Any

    async def connector(self, _back_end: BackEnd) -> Any:
        return self.one


@dataclass
class Sent:
    """How a payment ended, and what its back end recorded about it."""

    payment: Payment
    entries: Sequence[Entry] = field(default_factory=list)


@dataclass
class Case:
    """One payment that joined on a platform of its own, and what happens to it."""

    world: MemoryPlatform
    store: SqliteStore
    clock: ShiftedClock
    payment_id: str
    connect: Callable[[ShiftedClock], Connector]
    recorded: Callable[[], Sequence[Entry]]

    async def run(self, crash: str | None = None) -> Sent:
        """Carry the payment, crash where asked, restart, and let the sweep work until it is settled."""
        await self._first_life(crash)
        connector = GuardedConnector(self.connect(self.clock), BACK_END, self.clock, self.world.node)
        platform = self._platform(self.store, connector)
        try:
            if crash:
                await doubts.give_up_lost(platform)
            await self._sweep(platform)
        finally:
            await connector.aclose()
        return Sent(await self._payment(), self.recorded())

    async def _first_life(self, crash: str | None) -> None:
        inner = self.connect(self.clock)
        store, connector = CrashingStore(self.store), GuardedConnector(inner, BACK_END, self.clock, self.world.node)
        match crash:
            case "before intent":
                store.before = 1
            case "after intent":
                store.after = 1
            case "before outcome":
                store.before = 2
            case "before recovery":
                store.after = 2
            case "in recovery":
                store.after = 3
            case "before recovered":
                store.before = 4
            case "after send":
                crashing: Any = CrashingConnector(inner, lambda: bool(self.recorded()))
                connector = GuardedConnector(crashing, BACK_END, self.clock, self.world.node)
        try:
            with contextlib.suppress(CrashedError):
                await carry(self._platform(store, connector), self.payment_id)
                assert crash in {None, "after send"}, f"the platform did not crash {crash}"
        finally:
            await inner.aclose()

    def _platform(self, store: Any, connector: GuardedConnector) -> Platform:
        return replace(self.world.platform, store=store, connectors=Connectors(connector), clock=self.clock)

    async def _sweep(self, platform: Platform) -> None:
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            while (await self._payment()).state not in SETTLED:
                await retry_deliverable(platform)
                await doubts.take_up(platform)
                await doubts.pursue_due(platform)
                await asyncio.sleep(ROUND_S)
                self.clock.ahead_ms += round(ROUND_S * 1000)
                self.clock.ahead_ms += SKIPPED_MS.get((await self._payment()).state, 0)

    async def _payment(self) -> Payment:
        found = await self.store.read(lambda books: books.payment(self.payment_id))
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def joined(
    directory: Path,
    number: int,
    fields: tuple[dict[str, str], dict[str, str]],
    policy: str,
    amount: int,
    *,
    ahead_ms: int = 0,
    connect: Callable[[ShiftedClock], Connector],
    recorded: Callable[[], Sequence[Entry]],
) -> AsyncIterator[Case]:
    """Make a platform with one joined payment; `number` gives it trace numbers that no other one of the run has."""
    made, clock = await memory_platform(seed=number), ShiftedClock(ahead_ms)
    store = SqliteStore(directory / f"store-{number}.db")
    world = replace(made, store=store, clock=clock, platform=replace(made.platform, store=store, clock=clock))  # type: ignore[arg-type]  # the sqlite store and a shifted clock in place of the fakes
    try:
        for channel_id in ("pc", "phone"):
            await world.channel(channel_id)
        await world.rules(shipped_rules())
        await world.back_end(BACK_END)
        await store.transact(lambda books: _skip_trace_numbers(books, number, clock))
        base = {"policy": policy, "element": {"kind": "phone", "phone": "+8613800138000"}}
        order = {"payee": "Tea House", "amount": amount, "currency": "CNY"}
        await send_part(world, world.members["pc"], {**base, "fields": fields[0], "order": order})
        accepted = await send_part(world, world.members["phone"], {**base, "fields": fields[1]})
        assert accepted.joined is not None
        yield Case(world, store, clock, accepted.joined, connect, recorded)
    finally:
        await store.aclose()


async def _skip_trace_numbers(books: Any, number: int, clock: ShiftedClock) -> None:
    hour = time.strftime("%Y%m%d%H", time.gmtime(clock.now() / 1000))
    for _ in range(number * 20):
        await books.next_stan(INSTITUTION, hour)
