"""What every store promises about limits and counts."""

import asyncio
from typing import Any

from msgspec.structs import replace

from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.channels.model import LimitKind, LimitRules, RateLimit, Tally
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryStore

LimitStore = SqliteStore | MemoryStore


def tally(**fields: Any) -> Tally:
    usual = {"kind": LimitKind.ELEMENT, "subject": b"abc", "window": 1_000, "ends_at": 2_000, "count": 1}
    return Tally(**usual | fields)


async def test_limits_come_back_as_they_were_written_last(store: LimitStore) -> None:
    assert await store.read(lambda books: books.limit_rules()) is None
    rules = LimitRules(
        limits={LimitKind.ELEMENT: RateLimit(count=6, window=1_000)}, author="ann", at=Millis(1), mac=b"mac"
    )
    for row in (rules, replace(rules, author="bo")):
        await store.transact(lambda books, row=row: books.put_limit_rules(row))
    assert replace(rules, author="bo") == await store.read(lambda books: books.limit_rules())


async def test_counts_of_one_window_add_up_and_those_of_others_do_not(store: LimitStore) -> None:
    others = [
        tally(kind=LimitKind.CHANNEL),
        tally(subject=b"abd"),
        tally(window=2_000, ends_at=3_000),
    ]
    totals = [
        await store.transact(lambda books, row=row: books.add_tally(row))
        for row in (tally(), tally(count=5), *others, tally())
    ]
    assert [1, 6, 1, 1, 1, 7] == totals


async def test_many_counts_are_added_to_at_once(store: LimitStore) -> None:
    rows = [tally(subject=bytes([n]), count=n) for n in range(1, 30)]
    assert list(range(1, 30)) == await store.transact(lambda books: books.add_tallies(rows))
    again = [*reversed(rows), tally(kind=LimitKind.CHANNEL), tally(window=2_000, ends_at=3_000)]
    assert [*(2 * n for n in reversed(range(1, 30))), 1, 1] == await store.transact(
        lambda books: books.add_tallies(again)
    )
    assert [] == await store.transact(lambda books: books.add_tallies([]))


async def test_no_count_is_lost_among_many_at_once(store: LimitStore) -> None:
    totals = await asyncio.gather(*(store.transact(lambda books: books.add_tally(tally())) for _ in range(50)))
    assert list(range(1, 51)) == sorted(totals)


async def test_counts_of_windows_that_are_over_are_not_listed_and_go(store: LimitStore) -> None:
    rows = [tally(), tally(window=2_000, ends_at=3_000, count=4), tally(subject=b"x")]
    for row in rows:
        await store.transact(lambda books, row=row: books.add_tally(row))
    assert [rows[1]] == await store.read(lambda books: books.tallies(Millis(2_000)))
    assert 1 == await store.transact(lambda books: books.purge_tallies(Millis(2_000), 1))
    assert 1 == await store.transact(lambda books: books.purge_tallies(Millis(2_000), 9))
    assert 0 == await store.transact(lambda books: books.purge_tallies(Millis(2_000), 9))
    assert [rows[1]] == await store.read(lambda books: books.tallies(Millis(0)))
