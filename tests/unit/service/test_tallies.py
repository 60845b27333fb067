"""Counts survive a restart, add up over processes, and edited limits leave those built in."""

import pytest
from msgspec.structs import replace

from tallystick.channels import limiting
from tallystick.channels.limiting import Limiter, read_limit
from tallystick.channels.model import LimitKind
from tallystick.errors import TooMany
from tallystick.runtime import Millis
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.ports import Purpose
from tallystick.service.tallies import BATCH, TallyKeeper
from tallystick.testing.clock import VirtualClock
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore

RING = MemoryKeyring()
KEYS = KeyringAccess(RING)


class Process:
    """A limiter of one process and its keeper."""

    def __init__(self, store: MemoryStore, clock: VirtualClock) -> None:
        self.limiter = Limiter(clock, b"secret")
        self.keeper = TallyKeeper(store, self.limiter, RING, clock)

    def count(self, times: int, subject: str = "a") -> None:
        for _ in range(times):
            self.limiter.count(LimitKind.ELEMENT, subject)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore()
    await set_limit(made, "5/10m")
    return made


async def set_limit(store: MemoryStore, text: str) -> None:
    await store.transact(
        lambda books: limiting.change(books, KEYS, LimitKind.ELEMENT, read_limit(text), author="ann", at=Millis(1))
    )


async def test_a_restart_forgets_nothing_that_was_flushed(store: MemoryStore, clock: VirtualClock) -> None:
    first = Process(store, clock)
    async with first.keeper.keeping():
        first.count(5)
    second = Process(store, clock)
    async with second.keeper.keeping():
        with pytest.raises(TooMany):
            second.count(1)
        second.count(1, "b")


async def test_two_processes_share_a_limit(store: MemoryStore, clock: VirtualClock) -> None:
    one, two = Process(store, clock), Process(store, clock)
    for process in (one, two):
        await process.keeper.load()
    one.count(3)
    two.count(2)
    await one.keeper.flush()
    await two.keeper.flush()
    with pytest.raises(TooMany):
        two.count(1)


async def test_a_flush_keeps_what_is_counted_meanwhile_and_counts_nothing_twice(
    store: MemoryStore, clock: VirtualClock
) -> None:
    process = Process(store, clock)
    for n in range(BATCH + 1):
        process.count(1, f"{n}")
    for _ in range(3):
        await process.keeper.flush()
    kept = await store.read(lambda books: books.tallies(clock.now()))
    assert BATCH + 1 == sum(tally.count for tally in kept)


async def test_a_limit_that_was_set_holds_with_the_next_flush(store: MemoryStore, clock: VirtualClock) -> None:
    process = Process(store, clock)
    await process.keeper.load()
    process.count(5)
    await set_limit(store, "7/10m")
    await process.keeper.flush()
    process.count(2)
    with pytest.raises(TooMany):
        process.count(1)


async def test_edited_limits_leave_those_built_in(
    store: MemoryStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    rules = await store.read(lambda books: books.limit_rules())
    assert rules is not None
    edited = replace(rules, limits={LimitKind.ELEMENT: read_limit("100000000/1s")})
    await store.transact(lambda books: books.put_limit_rules(edited))
    process = Process(store, clock)
    await process.keeper.load()
    with pytest.raises(TooMany):
        process.count(limiting.DEFAULTS[LimitKind.ELEMENT].count + 1)
    assert "the limits built in hold" in caplog.text


async def test_old_counts_are_deleted(store: MemoryStore, clock: VirtualClock) -> None:
    process = Process(store, clock)
    process.count(1)
    await process.keeper.flush()
    await clock.advance(20 * 60_000)
    await process.keeper.flush()
    assert [] == await store.read(lambda books: books.tallies(Millis(0)))


async def test_limits_outlive_the_key_that_protected_them(clock: VirtualClock) -> None:
    ring, store = MemoryKeyring(), MemoryStore()
    keys = KeyringAccess(ring)
    await store.transact(
        lambda books: limiting.change(books, keys, LimitKind.ELEMENT, read_limit("5/10m"), author="ann", at=Millis(1))
    )
    ring.rotate(Purpose.ACCESS)
    await TallyKeeper(store, Limiter(clock, b"secret"), ring, clock).flush()
    ring.destroy(Purpose.ACCESS, 1)
    present = await store.read(lambda books: limiting.present(books, keys))
    assert read_limit("5/10m") == present[LimitKind.ELEMENT]
