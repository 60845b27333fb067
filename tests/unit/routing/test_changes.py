"""Changes of the routing table: whole, in order, by two people where asked for, and undone as a change."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tallystick.delivery.books import Books
from tallystick.errors import AlreadyExists, Conflict, FieldInvalid, Forbidden, NotFound, TooMany
from tallystick.routing import changes
from tallystick.routing.changes import OPEN_MAX
from tallystick.routing.issuer_file import shipped_rules
from tallystick.routing.model import BackEnd, ChangeState, RouteChange, RouteVersion, RoutingTable, Status
from tallystick.routing.table import digest, with_back_end
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.platform import bank

ANN = {"author": "ann", "note": "why"}
Work = Callable[[Books], Awaitable[Any]]


class Desk:
    """A store whose table has one back end at version 1, and the verbs on it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.proposed = 0

    async def do(self, work: Work) -> Any:
        return await self.store.transact(work)

    async def table(self) -> RoutingTable:
        return await self.store.read(lambda books: books.routing_table())

    async def commit(self, table: RoutingTable) -> RouteVersion:
        made: RouteVersion = await self.do(lambda books: changes.commit(books, table, at=Millis(1_000), **ANN))
        return made

    async def propose(self, table: RoutingTable) -> str:
        self.proposed += 1
        new_id = f"rc_{self.proposed}"
        await self.do(lambda books: changes.propose(books, table, change_id=new_id, at=Millis(2_000), **ANN))
        return new_id

    async def approve(self, change_id: str, approver: str = "bo", *, four_eyes: bool = True) -> RouteVersion:
        at = Millis(3_000)
        approved: RouteVersion = await self.do(
            lambda books: changes.approve(books, change_id, approver=approver, at=at, four_eyes=four_eyes)
        )
        return approved

    async def reject(self, change_id: str) -> None:
        await self.do(lambda books: changes.reject(books, change_id, by="bo", at=Millis(3_000)))

    async def change(self, change_id: str) -> RouteChange:
        found = await self.store.read(lambda books: books.route_change(change_id))
        assert found is not None
        return found

    async def with_(self, back_end: BackEnd) -> RoutingTable:
        return with_back_end(await self.table(), back_end)


@pytest.fixture
async def desk() -> Desk:
    made = Desk()
    await made.commit(await made.with_(bank("10000001")))
    return made


async def test_a_commit_is_the_next_version_with_its_author(desk: Desk) -> None:
    table = await desk.with_(bank("10000002"))
    made = await desk.commit(table)
    assert RouteVersion(version=2, at=Millis(1_000), digest=digest(table), **ANN) == made
    present = await desk.table()
    assert (2, digest(table)) == (present.version, digest(present))


async def test_of_two_changes_made_from_one_version_the_second_is_refused(desk: Desk) -> None:
    one, two = await desk.with_(bank("10000002")), await desk.with_(bank("10000003"))
    await desk.commit(one)
    for late in (desk.commit(two), desk.propose(two)):
        with pytest.raises(Conflict, match="made from version 1"):
            await late
    assert digest(one) == digest(await desk.table())


async def test_a_change_that_changes_nothing_is_refused(desk: Desk) -> None:
    down = tuple(replace(each, status=Status.DOWN) for each in (await desk.table()).back_ends)
    with pytest.raises(Conflict, match="changes nothing"):
        await desk.commit(replace(await desk.table(), back_ends=down))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [(bank("10000002", name="Bank 10000001"), AlreadyExists), (bank("10000002", name=""), FieldInvalid)],
)
async def test_a_table_that_may_not_stand_is_neither_made_nor_proposed(
    desk: Desk, wrong: BackEnd, error: type[Exception]
) -> None:
    table = await desk.with_(wrong)
    for refused in (desk.commit(table), desk.propose(table)):
        with pytest.raises(error):
            await refused
    assert 1 == (await desk.table()).version


async def test_a_proposal_changes_nothing_until_another_operator_approves_it(desk: Desk) -> None:
    table = await desk.with_(bank("10000002"))
    change_id = await desk.propose(table)
    assert 1 == (await desk.table()).version
    approved = await desk.approve(change_id)
    assert ("ann", "bo", "why", 2) == (approved.author, approved.approver, approved.note, approved.version)
    assert digest(table) == digest(await desk.table())
    change = await desk.change(change_id)
    assert (ChangeState.APPLIED, "bo", 3_000) == (change.state, change.decided_by, change.decided_at)


async def test_an_author_does_not_approve_an_own_change_where_two_are_asked_for(desk: Desk) -> None:
    change_id = await desk.propose(await desk.with_(bank("10000002")))
    with pytest.raises(Forbidden):
        await desk.approve(change_id, "ann")
    assert ChangeState.PROPOSED is (await desk.change(change_id)).state
    assert 2 == (await desk.approve(change_id, "ann", four_eyes=False)).version


async def test_a_change_is_decided_once(desk: Desk) -> None:
    applied = await desk.propose(await desk.with_(bank("10000002")))
    await desk.approve(applied)
    rejected = await desk.propose(await desk.with_(bank("10000003")))
    await desk.reject(rejected)
    for again in (desk.approve(applied), desk.reject(applied), desk.approve(rejected), desk.reject(rejected)):
        with pytest.raises(Conflict):
            await again
    assert 2 == (await desk.table()).version


async def test_a_change_of_an_earlier_version_is_stale_and_never_applied(desk: Desk) -> None:
    stale = await desk.propose(await desk.with_(bank("10000002")))
    await desk.commit(await desk.with_(bank("10000003")))
    assert ChangeState.STALE is (await desk.change(stale)).state
    with pytest.raises(Conflict, match="stale"):
        await desk.approve(stale)
    assert ["10000001", "10000003"] == [each.id for each in (await desk.table()).back_ends]


async def test_an_unknown_change_or_version_is_not_found(desk: Desk) -> None:
    for unknown in (desk.approve("rc_9"), desk.reject("rc_9"), desk.do(lambda books: changes.rolled_back(books, 9))):
        with pytest.raises(NotFound):
            await unknown


async def test_proposals_are_bounded_and_a_decision_makes_room(desk: Desk) -> None:
    table = await desk.with_(bank("10000002"))
    waiting = [await desk.propose(table) for _ in range(OPEN_MAX)]
    with pytest.raises(TooMany):
        await desk.propose(table)
    await desk.reject(waiting[0])
    await desk.propose(table)


@pytest.mark.parametrize("four_eyes", [False, True])
async def test_a_submitted_change_is_made_at_once_or_waits_as_the_settings_say(desk: Desk, four_eyes: bool) -> None:  # noqa: FBT001
    table = await desk.with_(bank("10000002"))
    made = await desk.do(
        lambda books: changes.submit(books, table, change_id="rc_1", at=Millis(1), four_eyes=four_eyes, **ANN)
    )
    assert isinstance(made, RouteChange if four_eyes else RouteVersion)
    assert (1 if four_eyes else 2) == (await desk.table()).version


async def test_a_rollback_says_what_an_earlier_version_said_as_a_new_one(desk: Desk) -> None:
    earlier = await desk.table()
    await desk.do(lambda books: books.put_status("10000001", Status.ACTIVE))
    await desk.commit(await desk.with_(bank("10000001", priority=1)))
    await desk.commit(await desk.with_(bank("10000002")))
    table = await desk.do(lambda books: changes.rolled_back(books, 1))
    made = await desk.commit(table)
    present = await desk.table()
    assert (4, digest(earlier)) == (made.version, made.digest)
    assert [("10000001", Status.ACTIVE, 100)] == [(b.id, b.status, b.priority) for b in present.back_ends]


async def test_an_empty_table_begins_with_the_shipped_rules_and_keeps_those_it_has() -> None:
    desk = Desk()
    for _ in range(2):
        await desk.do(lambda books: changes.begin(books, Millis(1)))
    assert (1, shipped_rules()) == ((await desk.table()).version, (await desk.table()).issuer_rules)


class Halting:
    """Books that fail at the n-th call."""

    def __init__(self, books: Any, calls: int) -> None:
        self._books, self._left = books, calls

    def __getattr__(self, name: str) -> Any:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("crashed")
        return getattr(self._books, name)


async def test_a_change_that_is_cut_off_anywhere_is_made_whole_or_not_at_all(desk: Desk) -> None:
    change_id = await desk.propose(await desk.with_(bank("10000002")))
    before, cuts = await desk.table(), 0
    while True:
        try:
            await desk.do(
                lambda books, cuts=cuts: changes.approve(
                    Halting(books, cuts), change_id, approver="bo", at=Millis(3_000), four_eyes=True
                )
            )
            break
        except RuntimeError:
            cuts += 1
            assert before == await desk.table()
            assert ChangeState.PROPOSED is (await desk.change(change_id)).state
    assert cuts > 3
    assert (2, ChangeState.APPLIED) == ((await desk.table()).version, (await desk.change(change_id)).state)
