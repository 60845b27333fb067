"""What an operator does to the routing table: compare, submit, and read the files that changes come from."""

from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from tallystick.adapters.connectors.kinds import load_kinds
from tallystick.bootstrap.office import Office
from tallystick.cli.output import Failure
from tallystick.delivery.books import Books
from tallystick.errors import NotFound
from tallystick.routing import changes
from tallystick.routing.compare import Move, diff, dry_run
from tallystick.routing.model import ChangeState, RouteChange, RoutingTable
from tallystick.runtime import new_id
from tallystick.vault.periods import period_at

RECENT: Final = 1_000  # newest payments by which a comparison tells how much would move
TABLE_MAX: Final = 8 * 1024 * 1024  # bytes of a file with a whole routing table
TABLE_REMEDY: Final = "Edit what `tallystick routes table --json` prints; tallystick routes propose --help."


class Comparison(Struct, frozen=True, kw_only=True):
    """What another table says otherwise, and which payments would go elsewhere; `recent` is how many were counted."""

    version: int
    words: tuple[str, ...]
    moves: tuple[Move, ...]
    recent: int


class Submitted(Struct, frozen=True, kw_only=True):
    """What became of a change: it is a version now, or waits under its id; `next` says what to do then."""

    state: ChangeState
    version: int | None = None
    change: str | None = None
    next: str | None = None


async def submit(desk: Office, table: RoutingTable, *, operator: str, note: str, four_eyes: bool) -> Submitted:
    """Make `table` the next version or, with `four_eyes`, leave it for a second operator."""
    made = await desk.store.transact(
        lambda books: changes.submit(
            books,
            table,
            change_id=new_id("rc", desk.randomness),
            author=operator,
            note=note,
            at=desk.clock.now(),
            four_eyes=four_eyes,
        )
    )
    if isinstance(made, RouteChange):
        return Submitted(state=made.state, change=made.id, next=how_to_approve(made.id))
    return Submitted(state=ChangeState.APPLIED, version=made.version)


def how_to_approve(change_id: str) -> str:
    """Say what a second operator does."""
    return f"tallystick routes changes {change_id}, then routes approve {change_id}"


async def compare(books: Books, old: RoutingTable, new: RoutingTable) -> Comparison:
    """Compare two tables in words and by what they do to payments like the recent ones."""
    payments = [payment for payment in await books.recent_payments(RECENT) if payment.back_end and payment.order]
    recent = Counter((payment.back_end or "", payment.order.currency) for payment in payments if payment.order)
    return Comparison(version=old.version, words=diff(old, new), moves=dry_run(old, new, recent), recent=len(payments))


async def version_of(books: Books, version: int | None) -> RoutingTable:
    """Read a version of the table, the present one for None; raises NotFound."""
    table = await (books.routing_table() if version is None else books.routing_table_at(version))
    if table is None:
        raise NotFound("the routing table never had this version")
    return table


def read_table(path: Path) -> RoutingTable:
    """Read a routing table in the form that `routes table --json` prints; Failure."""
    with path.open("rb") as file:
        content = file.read(TABLE_MAX + 1)
    if len(content) > TABLE_MAX:
        raise Failure(f"{path.name} has more than {TABLE_MAX} bytes", TABLE_REMEDY)
    try:
        return msgspec.json.decode(content, type=RoutingTable)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failure(f"{path.name} holds no routing table: {error}", TABLE_REMEDY) from error


def check_known(table: RoutingTable, desk: Office) -> None:
    """Refuse connectors that do not exist, and times or zones by which no number could be renewed; Failure."""
    kinds = load_kinds()
    for back_end in table.back_ends:
        if back_end.connector not in kinds:
            raise Failure(f"{back_end.name} has a connector of no known kind", f"Name one of {', '.join(kinds)}.")
        period_at(back_end, desk.clock.now())
