"""What every store promises about the routing table: every version kept whole, live status beside it, changes."""

from typing import Any

import pytest
from msgspec.structs import replace
from store_samples import AnyStore, at, back_end

from tallystick.delivery.books import Books
from tallystick.errors import AlreadyExists, Conflict, NotFound
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import (
    BackEnd,
    ChangeState,
    NumberPolicy,
    Preference,
    RouteChange,
    RouteVersion,
    RoutingTable,
    Status,
)

RULES = (
    IssuerRule(low="62", high="62", schemes=("unionpay",)),
    IssuerRule(low="40", high="49", schemes=("visa", "unionpay"), source="a list"),
)
ONE = back_end(
    "11111111",
    issuer=True,
    numbers=NumberPolicy.PLATFORM,
    renew_at="03:30",
    zone="Asia/Shanghai",
    currencies=frozenset({"CNY", "EUR"}),
    in_flight_max=5,
    per_second_max=7,
)
TWO = back_end("22222222", priority=5)


def table(version: int, *back_ends: BackEnd, rules: tuple[IssuerRule, ...] = RULES) -> RoutingTable:
    preferences = (Preference(currency="EUR", schemes=("visa", "unionpay")),)
    return RoutingTable(version=version, back_ends=back_ends, issuer_rules=rules, preferences=preferences)


def suspended(read: RoutingTable) -> RoutingTable:
    return replace(read, back_ends=tuple(replace(each, status=Status.SUSPENDED) for each in read.back_ends))


def version(number: int, **fields: Any) -> RouteVersion:
    usual = {"at": at(1_000 + number), "author": "ann", "note": f"note {number}", "digest": f"{number:064d}"}
    return RouteVersion(**{"version": number, **usual} | fields)


def change(change_id: str = "rc_1", base: int = 0, **fields: Any) -> RouteChange:
    usual = {"at": at(1_000), "author": "ann", "note": "why", "digest": "0" * 64}
    return RouteChange(**{"id": change_id, "base": base, **usual} | fields)


async def put(store: AnyStore, number: int, *back_ends: BackEnd, **fields: Any) -> None:
    await store.transact(lambda books: books.put_version(version(number), table(number, *back_ends, **fields)))


async def present(store: AnyStore) -> RoutingTable:
    return await store.read(lambda books: books.routing_table())


async def test_an_empty_routing_table_has_version_zero(store: AnyStore) -> None:
    expected = RoutingTable(version=0, back_ends=(), issuer_rules=())
    assert expected == await present(store)
    assert expected == await store.read(lambda books: books.routing_table_at(0))
    assert [] == await store.read(lambda books: books.route_versions(9))


async def test_a_version_is_read_at_once_and_again_with_its_back_ends_by_id(store: AnyStore) -> None:
    await put(store, 1, TWO, ONE)
    for _ in range(2):
        assert suspended(table(1, ONE, TWO)) == await present(store)


async def test_every_version_is_kept_whole(store: AnyStore) -> None:
    fewer = RULES[:1]
    written = [table(1, ONE), table(2, ONE, TWO, rules=fewer), table(3, TWO), table(4, rules=())]
    for each in written:
        await store.transact(lambda books, each=each: books.put_version(version(each.version), each))
    for each in written:
        kept = await store.read(lambda books, each=each: books.routing_table_at(each.version))
        assert suspended(each) == kept
    assert await store.read(lambda books: books.routing_table_at(5)) is None
    newest = [version(4), version(3)]
    assert newest == await store.read(lambda books: books.route_versions(2))


async def test_who_approved_a_version_is_kept(store: AnyStore) -> None:
    approved = version(1, approver="bo")
    await store.transact(lambda books: books.put_version(approved, table(1)))
    assert [approved] == await store.read(lambda books: books.route_versions(1))


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_a_version_that_is_not_the_next_one_is_refused(store: AnyStore, number: int) -> None:
    await put(store, 1, ONE)
    with pytest.raises(Conflict):
        await put(store, number, TWO)
    assert suspended(table(1, ONE)) == await present(store)


async def test_status_is_live_and_makes_no_version(store: AnyStore) -> None:
    await put(store, 1, ONE, TWO)
    for status in (Status.ACTIVE, Status.DOWN, Status.ACTIVE):
        await store.transact(lambda books, status=status: books.put_status(ONE.id, status))
        for _ in range(2):
            read = await present(store)
            assert (1, [status, Status.SUSPENDED]) == (read.version, [each.status for each in read.back_ends])
    assert [version(1)] == await store.read(lambda books: books.route_versions(9))


async def test_a_version_never_brings_a_status_of_its_own(store: AnyStore) -> None:
    await put(store, 1, ONE)
    await store.transact(lambda books: books.put_status(ONE.id, Status.ACTIVE))
    await put(store, 2, replace(ONE, status=Status.DOWN, priority=9), replace(TWO, status=Status.ACTIVE))
    assert [Status.ACTIVE, Status.SUSPENDED] == [each.status for each in (await present(store)).back_ends]
    earlier = await store.read(lambda books: books.routing_table_at(1))
    assert earlier is not None
    assert [Status.ACTIVE] == [each.status for each in earlier.back_ends]


async def test_an_unknown_back_end_has_no_status(store: AnyStore) -> None:
    await put(store, 1, ONE)
    with pytest.raises(NotFound):
        await store.transact(lambda books: books.put_status(TWO.id, Status.ACTIVE))


async def test_a_transaction_that_fails_leaves_neither_version_nor_status_nor_change(store: AnyStore) -> None:
    await put(store, 1, ONE)

    async def work(books: Books) -> None:
        await books.put_version(version(2), table(2, TWO))
        await books.put_status(TWO.id, Status.ACTIVE)
        await books.add_change(change(base=2), table(2))
        raise NotFound("planted")

    with pytest.raises(NotFound):
        await store.transact(work)
    assert suspended(table(1, ONE)) == await present(store)
    assert [version(1)] == await store.read(lambda books: books.route_versions(9))
    assert [] == await store.read(lambda books: books.route_changes(9))


async def test_a_change_is_kept_with_its_table_until_it_is_decided_once(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_change(change(), table(0, TWO, ONE)))
    await store.transact(lambda books: books.add_change(change("rc_2"), table(0)))
    assert suspended(table(0, ONE, TWO)) == await store.read(lambda books: books.proposed_table("rc_1"))
    assert [change("rc_2"), change()] == await store.read(lambda books: books.route_changes(9))
    assert [change("rc_2")] == await store.read(lambda books: books.route_changes(1))

    decide = {"by": "bo", "at": at(2_000)}
    assert await store.transact(lambda books: books.decide_change("rc_1", ChangeState.APPLIED, **decide))
    assert not await store.transact(lambda books: books.decide_change("rc_1", ChangeState.REJECTED, **decide))
    assert not await store.transact(lambda books: books.decide_change("rc_3", ChangeState.APPLIED, **decide))
    applied = change(state=ChangeState.APPLIED, decided_by="bo", decided_at=at(2_000))
    assert applied == await store.read(lambda books: books.route_change("rc_1"))


async def test_a_change_needs_an_id_of_its_own_and_an_unknown_one_is_not_found(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_change(change(), table(0)))
    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_change(change(note="other"), table(0, ONE)))
    assert await store.read(lambda books: books.route_change("rc_2")) is None
    assert await store.read(lambda books: books.proposed_table("rc_2")) is None


async def test_a_new_version_makes_open_changes_stale_and_no_decided_one(store: AnyStore) -> None:
    for each in ("rc_1", "rc_2", "rc_3"):
        await store.transact(lambda books, each=each: books.add_change(change(each), table(0, ONE)))
    await store.transact(lambda books: books.decide_change("rc_2", ChangeState.REJECTED, by="bo", at=at(2_000)))
    await put(store, 1, TWO)
    await store.transact(lambda books: books.add_change(change("rc_4", base=1), table(1, ONE)))
    found = await store.read(lambda books: books.route_changes(9))
    states = {each.id: each.state for each in found}
    stale, rejected = ChangeState.STALE, ChangeState.REJECTED
    assert {"rc_1": stale, "rc_2": rejected, "rc_3": stale, "rc_4": ChangeState.PROPOSED} == states
    assert not await store.transact(
        lambda books: books.decide_change("rc_1", ChangeState.APPLIED, by="bo", at=at(3_000))
    )


@pytest.mark.parametrize("writes", [True, False])
async def test_a_work_is_not_refused_for_what_was_so_before_the_last_change(store: AnyStore, *, writes: bool) -> None:
    async def require(books: Books) -> None:
        present = await books.routing_table()
        if not any(each.id == ONE.id for each in present.back_ends):
            raise NotFound("no institution has this id")

    run = store.transact if writes else store.read
    with pytest.raises(NotFound):
        await run(require)
    await put(store, 1, ONE)
    await run(require)
