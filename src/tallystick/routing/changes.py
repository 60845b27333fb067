"""Change the routing table: as a whole, never twice from the same version, and by two people where that is asked for.

All verbs run inside one transaction of the caller's; what raises has changed nothing.
"""

from typing import Final

from msgspec.structs import replace

from tallystick.errors import Conflict, Forbidden, NotFound, TooMany
from tallystick.routing.issuer_file import shipped_rules
from tallystick.routing.model import ChangeState, RouteChange, RouteVersion, RoutingTable
from tallystick.routing.ports import RouteBook
from tallystick.routing.table import check_table, digest
from tallystick.runtime import Millis

OPEN_MAX: Final = 100  # proposals that wait for a decision


async def submit(
    book: RouteBook, table: RoutingTable, *, change_id: str, author: str, note: str, at: Millis, four_eyes: bool
) -> RouteVersion | RouteChange:
    """Make `table` the next version at once or, with `four_eyes`, leave it for another operator to approve."""
    if four_eyes:
        return await propose(book, table, change_id=change_id, author=author, note=note, at=at)
    return await commit(book, table, author=author, note=note, at=at)


async def begin(book: RouteBook, at: Millis) -> None:
    """Give a table that knows no issuer yet the ranges that ship with the platform."""
    table = await book.routing_table()
    if not table.issuer_rules:
        shipped = replace(table, issuer_rules=shipped_rules())
        await commit(book, shipped, author="tallystick", note="the issuer ranges that ship with it", at=at)


async def check(book: RouteBook, table: RoutingTable) -> None:
    """Make the checks of `commit`, and change nothing.

    1. The table was made from the present version: Conflict, when another change was first.
    2. It says something else than the present version: Conflict.
    3. It may stand: FieldInvalid, AlreadyExists.
    """
    present = await book.routing_table()
    # 1.
    if table.version != present.version:
        raise Conflict(f"this was made from version {table.version}, the routing table is at {present.version} now")
    # 2.
    if digest(table) == digest(present):
        raise Conflict(f"this changes nothing: version {present.version} says the same")
    # 3.
    check_table(table)


async def commit(
    book: RouteBook, table: RoutingTable, *, author: str, note: str, at: Millis, approver: str | None = None
) -> RouteVersion:
    """Make `table` the next version; its own `version` says which one it was made from. Raises as `check` does."""
    await check(book, table)
    number = table.version + 1
    version = RouteVersion(version=number, at=at, author=author, approver=approver, note=note, digest=digest(table))
    await book.put_version(version, replace(table, version=number))
    return version


async def propose(
    book: RouteBook, table: RoutingTable, *, change_id: str, author: str, note: str, at: Millis
) -> RouteChange:
    """Leave a change for somebody to approve; raises as `check` does, and TooMany when OPEN_MAX changes wait."""
    await check(book, table)
    newest = await book.route_changes(OPEN_MAX)
    if len(newest) == OPEN_MAX and all(change.state is ChangeState.PROPOSED for change in newest):
        raise TooMany(f"{OPEN_MAX} changes wait for a decision")
    change = RouteChange(id=change_id, base=table.version, at=at, author=author, note=note, digest=digest(table))
    await book.add_change(change, table)
    return change


async def approve(book: RouteBook, change_id: str, *, approver: str, at: Millis, four_eyes: bool) -> RouteVersion:
    """Make a proposed change the next version.

    1. The change is there, still open, and made from the present version: NotFound, Conflict.
    2. With `four_eyes`, the approver is another one than the author: Forbidden.
    3. It is decided once, by compare-and-set; then all of `commit`.
    """
    # 1.
    change, table = await _open_change(book, change_id)
    # 2.
    if four_eyes and approver == change.author:
        raise Forbidden("a change needs the approval of somebody else than its author")
    # 3.
    await _decide(book, change_id, ChangeState.APPLIED, by=approver, at=at)
    return await commit(book, table, author=change.author, note=change.note, at=at, approver=approver)


async def reject(book: RouteBook, change_id: str, *, by: str, at: Millis) -> None:
    """Reject a proposed change; its author may, too. Raises NotFound, Conflict when it is not open any more."""
    await _open_change(book, change_id)
    await _decide(book, change_id, ChangeState.REJECTED, by=by, at=at)


async def rolled_back(book: RouteBook, version: int) -> RoutingTable:
    """Return what an earlier version said, as a change of the present one: commit or propose it. Raises NotFound.

    Live status is not rolled back: a back end keeps the one it has.
    """
    earlier = await book.routing_table_at(version)
    if earlier is None:
        raise NotFound("the routing table never had this version")
    return replace(earlier, version=(await book.routing_table()).version)


async def _open_change(book: RouteBook, change_id: str) -> tuple[RouteChange, RoutingTable]:
    change, table = await book.route_change(change_id), await book.proposed_table(change_id)
    if change is None or table is None:
        raise NotFound("no change has this id")
    if change.state is not ChangeState.PROPOSED:
        raise Conflict(f"this change is {change.state}")
    return change, table


async def _decide(book: RouteBook, change_id: str, state: ChangeState, *, by: str, at: Millis) -> None:
    if not await book.decide_change(change_id, state, by=by, at=at):
        raise Conflict("somebody else decided over this change")
