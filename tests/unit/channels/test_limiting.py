"""Limits: what is over is refused until its window ends, memory is bounded, and edited limits hold nothing up."""

import pytest
from msgspec.structs import replace

from tallystick.channels import limiting
from tallystick.channels.limiting import BUCKETS, COUNT_MAX, DEFAULTS, Limiter, count_try, read_limit, write_limit
from tallystick.channels.model import LimitKind, RateLimit, Tally
from tallystick.errors import FieldInvalid, Misconfigured, TooMany
from tallystick.runtime import Millis
from tallystick.security.access_keys import KeyringAccess
from tallystick.testing.clock import VirtualClock
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore

KEYS = KeyringAccess(MemoryKeyring())
THREE = {**DEFAULTS, LimitKind.ELEMENT: RateLimit(count=3, window=10_000)}


def limiter(clock: VirtualClock) -> Limiter:
    return Limiter(clock, b"secret", THREE)


def use_up(counter: Limiter, subject: str = "a") -> int:
    """Count until it is refused; return how often it was not."""
    for n in range(10):
        try:
            counter.count(LimitKind.ELEMENT, subject)
        except TooMany:
            return n
    return 10


async def test_what_is_over_the_limit_waits_for_the_next_window() -> None:
    clock = VirtualClock(Millis(20_000))
    counter = limiter(clock)
    assert 3 == use_up(counter)
    await clock.advance(4_000)
    with pytest.raises(TooMany) as refusal:
        counter.count(LimitKind.ELEMENT, "a")
    assert 6_000 == refusal.value.wait_ms
    await clock.advance(6_000)
    assert 3 == use_up(counter)


def test_subjects_and_kinds_are_counted_apart() -> None:
    counter = limiter(VirtualClock())
    assert [3, 3, 0] == [use_up(counter, subject) for subject in ("a", "b", "a")]
    counter.count(LimitKind.CHANNEL, "a")


def test_a_flood_of_made_up_subjects_fills_no_memory() -> None:
    counter = Limiter(VirtualClock(), b"secret")
    for n in range(1_000):
        counter.count(LimitKind.ELEMENT, f"{n}")
    buckets = {tally.subject for tally in counter.uncounted()}
    assert 990 < len(buckets) <= 1_000
    assert all(int.from_bytes(bucket) < BUCKETS for bucket in buckets)
    assert BUCKETS == 2**18


def test_nobody_without_the_secret_knows_a_bucket() -> None:
    buckets = []
    for secret in (b"one", b"two"):
        counter = Limiter(VirtualClock(), secret)
        counter.count(LimitKind.ELEMENT, "a")
        buckets.append(counter.uncounted()[0].subject)
    assert buckets[0] != buckets[1]


def test_what_the_store_counted_elsewhere_counts_here() -> None:
    counter = limiter(VirtualClock())
    counter.count(LimitKind.ELEMENT, "a")
    (added,) = counter.uncounted()
    counter.count(LimitKind.ELEMENT, "a")
    counter.merge(added, 2)
    assert 0 == use_up(counter)


async def test_windows_that_are_over_are_forgotten() -> None:
    clock = VirtualClock()
    counter = limiter(clock)
    counter.count(LimitKind.ELEMENT, "a")
    await clock.advance(10_000)
    assert [] == counter.uncounted()
    assert {} == counter._windows


async def test_a_try_with_a_card_is_counted_before_it_is_made_and_never_beyond_the_limit() -> None:
    store, limit, kind = MemoryStore(), RateLimit(count=2, window=10_000), LimitKind.CREDENTIAL
    for _ in range(2):
        await store.transact(lambda books: count_try(books, kind, limit, b"card", Millis(3_000)))
    for _ in range(3):
        with pytest.raises(TooMany):
            await store.transact(lambda books: count_try(books, kind, limit, b"card", Millis(3_000)))
    (tally,) = await store.read(lambda books: books.tallies(Millis(0)))
    kept = Tally(kind=kind, subject=b"card", window=Millis(0), ends_at=Millis(10_000), count=2)
    assert kept == tally
    await store.transact(lambda books: count_try(books, kind, limit, b"card", Millis(10_000)))


async def test_a_limit_that_was_set_holds_and_the_others_stay() -> None:
    store = MemoryStore()
    assert dict(DEFAULTS) == await store.read(lambda books: limiting.present(books, KEYS))
    for kind, text in ((LimitKind.ELEMENT, "5/1m"), (LimitKind.VISITOR, "9/1h")):
        await store.transact(
            lambda books, kind=kind, text=text: limiting.change(
                books, KEYS, kind, read_limit(text), author="ann", at=Millis(1)
            )
        )
    present = await store.read(lambda books: limiting.present(books, KEYS))
    changed = {LimitKind.ELEMENT: read_limit("5/1m"), LimitKind.VISITOR: read_limit("9/1h")}
    assert {**DEFAULTS, **changed} == present


async def test_limits_that_were_edited_in_the_database_are_found() -> None:
    store = MemoryStore()
    await store.transact(
        lambda books: limiting.change(books, KEYS, LimitKind.ELEMENT, read_limit("5/1m"), author="ann", at=Millis(1))
    )
    rules = await store.read(lambda books: books.limit_rules())
    assert rules is not None
    wide = replace(rules, limits={LimitKind.ELEMENT: RateLimit(count=COUNT_MAX, window=1_000)})
    await store.transact(lambda books: books.put_limit_rules(wide))
    with pytest.raises(Misconfigured):
        await store.read(lambda books: limiting.present(books, KEYS))


@pytest.mark.parametrize(
    "text", ["", "5", "0/1m", "5/0m", "-5/1m", "5/1d", "5/25h", "100000001/1m", "5/1m ", "5/٣m", "many/1m"]
)
def test_a_limit_without_bound_or_form_is_refused(text: str) -> None:
    with pytest.raises(FieldInvalid):
        read_limit(text)


@pytest.mark.parametrize("text", ["1/1s", "60/10m", "5/24h", "600000/1m", "7/90s"])
def test_a_limit_is_written_as_it_was_read(text: str) -> None:
    assert text == write_limit(read_limit(text))


def test_every_kind_has_a_finite_limit() -> None:
    assert set(LimitKind) == set(DEFAULTS)
    assert all(limit == read_limit(write_limit(limit)) for limit in DEFAULTS.values())


def test_refusals_are_counted_by_kind_for_the_operator() -> None:
    counter = limiter(VirtualClock(Millis(20_000)))
    use_up(counter)
    use_up(counter)
    counter.count(LimitKind.CHANNEL, "a")
    assert {LimitKind.ELEMENT: 2} == counter.refused
