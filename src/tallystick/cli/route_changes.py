"""The commands of `tallystick routes` that change the routing table, and show what changed and who did it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click
from msgspec import Struct
from msgspec.structs import replace

from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli import route_desk
from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.inputs import file_path
from tallystick.cli.output import Failure
from tallystick.cli.route_desk import Comparison, Submitted
from tallystick.delivery.books import Books
from tallystick.errors import FieldInvalid, Forbidden, NotFound, TooLarge
from tallystick.routing import changes
from tallystick.routing.coverage import Coverage, coverage
from tallystick.routing.issuer_file import FILE_MAX, read_rules, shipped_rules
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import ChangeState, RouteChange, RoutingTable

SHOWN: Final = 100  # newest versions or changes listed
LINES: Final = 20  # lines of one kind that people are shown
RANGES: Final = 3  # ranges of one move that people are shown
APPROVE_REMEDY: Final = "Let another operator do it: tallystick --operator NAME routes approve."
RULES_REMEDY: Final = "See tallystick routes import --help for the form of the file."
VERSION_COLUMNS: Final = ("version", "at", "author", "approver", "note")
CHANGE_COLUMNS: Final = ("id", "base", "at", "author", "state", "decided_by", "decided_at", "note")
MOVE_COLUMNS: Final = ("asked", "brand", "currencies", "before", "after", "recent")

note_option = click.option("--note", help="Why: it stays in the table's history.")
dry_option = click.option("--dry-run", is_flag=True, help="Only say what would change.")


Make = Callable[[Office, Books], Awaitable[RoutingTable]]
"""Makes the new table out of what the books say now."""


class Line(Struct, frozen=True):
    """One line of an answer in words."""

    about: str
    says: str


class MoveLine(Struct, frozen=True, kw_only=True):
    """A move as people read it: of many ranges the first ones."""

    asked: str
    brand: str | None
    currencies: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    recent: int


class Reviewed(Struct, frozen=True, kw_only=True):
    """A change with what it does to the version it was made from."""

    change: RouteChange
    comparison: Comparison


class Result(Struct, frozen=True, kw_only=True):
    """What a change does, and what became of it; nothing, in a dry run."""

    comparison: Comparison
    coverage: Coverage | None = None
    submitted: Submitted | None = None


@click.command("history", cls=Command, examples="tallystick routes history")
@pass_app
def history(app: App) -> None:
    """List the versions of the routing table.

    The newest stands first, with who made it, who approved it, and why. Every payment names the version it went by.
    """
    found = app.at_desk(lambda desk: desk.store.read(lambda books: books.route_versions(SHOWN)), needs=operators.READ)
    app.show_all(found, VERSION_COLUMNS)


@click.command(
    "diff",
    cls=Command,
    examples="""
    tallystick routes diff 7
    tallystick routes diff 7 9
    """,
)
@click.argument("version", type=int)
@click.argument("other", type=int, required=False)
@pass_app
def diff(app: App, version: int, other: int | None) -> None:
    """Compare two versions, or one with the present table.

    The answer says in words what differs, and which payments go elsewhere by it.
    """

    async def work(books: Books) -> Comparison:
        old, new = await route_desk.version_of(books, version), await route_desk.version_of(books, other)
        return await route_desk.compare(books, old, new)

    comparison = app.at_desk(lambda desk: desk.store.read(work), needs=operators.READ)
    if app.as_json:
        app.show(comparison)
    else:
        _show_comparison(app, comparison)


@click.command(
    "changes",
    cls=Command,
    examples="""
    tallystick routes changes
    tallystick routes changes rc_0f8b2d64c1a93e57
    """,
)
@click.argument("change_id", required=False)
@pass_app
def list_changes(app: App, change_id: str | None) -> None:
    """List the proposed changes, or look at one.

    Of one the answer says what it changes, and which payments go elsewhere by it: read it before you approve.
    """
    if change_id is None:
        found = app.at_desk(
            lambda desk: desk.store.read(lambda books: books.route_changes(SHOWN)), needs=operators.READ
        )
        app.show_all(found, CHANGE_COLUMNS)
        return

    async def work(books: Books) -> Reviewed:
        change, table = await books.route_change(change_id), await books.proposed_table(change_id)
        if change is None or table is None:
            raise NotFound("no change has this id")
        old = await route_desk.version_of(books, change.base)
        return Reviewed(change=change, comparison=await route_desk.compare(books, old, table))

    reviewed = app.at_desk(lambda desk: desk.store.read(work), needs=operators.READ)
    if app.as_json:
        app.show(reviewed)
        return
    app.show(reviewed.change)
    _show_comparison(app, reviewed.comparison)


@click.command(
    "propose",
    cls=Command,
    examples="""
    tallystick routes table --json > table.json
    tallystick routes propose table.json --dry-run
    tallystick routes propose table.json --note "Bank B before Bank A"
    """,
)
@click.argument("file", type=file_path)
@note_option
@dry_option
@pass_app
def propose(app: App, file: Path, note: str | None, *, dry_run: bool) -> None:
    """Propose a whole new routing table.

    The file has the form that `routes table --json` prints; its version says which one it was made from. Status is not
    read: it is live, see `institution status`. The proposal waits for `routes approve`.
    """
    table = route_desk.read_table(file)

    async def read(desk: Office, _books: Books) -> RoutingTable:
        route_desk.check_known(table, desk)
        return table

    about = note or f"proposed by {file.name}"
    _show_result(app, app.at_desk(lambda desk: _change(app, desk, read, about, dry_run=dry_run, four_eyes=True)))


@click.command("approve", cls=Command, examples="TALLYSTICK_OPERATOR=bo tallystick routes approve rc_0f8b2d64c1a93e57")
@click.argument("change_id")
@pass_app
def approve(app: App, change_id: str) -> None:
    """Approve a proposed change: it becomes the next version.

    With four_eyes in the settings, its author cannot. A change that was made from an earlier version than the present
    one is stale: propose it anew.
    """

    async def work(desk: Office) -> Submitted:
        version = await desk.store.transact(
            lambda books: changes.approve(
                books,
                change_id,
                approver=app.operator,
                at=desk.clock.now(),
                four_eyes=desk.settings.routing.four_eyes,
            )
        )
        return Submitted(state=ChangeState.APPLIED, version=version.version, change=change_id)

    try:
        app.show(app.at_desk(work, needs=operators.APPROVE))
    except Forbidden as error:
        raise Failure.of(error, APPROVE_REMEDY) from error


@click.command("reject", cls=Command, examples="TALLYSTICK_OPERATOR=bo tallystick routes reject rc_0f8b2d64c1a93e57")
@click.argument("change_id")
@pass_app
def reject(app: App, change_id: str) -> None:
    """Reject a proposed change."""

    async def work(desk: Office) -> Submitted:
        at = desk.clock.now()
        await desk.store.transact(lambda books: changes.reject(books, change_id, by=app.operator, at=at))
        return Submitted(state=ChangeState.REJECTED, change=change_id)

    app.show(app.at_desk(work, needs=operators.DECIDE))


@click.command(
    "rollback",
    cls=Command,
    examples="""
    tallystick routes rollback 7 --dry-run
    tallystick routes rollback 7 --note "Bank B declines everything"
    """,
)
@click.argument("version", type=int)
@note_option
@dry_option
@pass_app
def rollback(app: App, version: int, note: str | None, *, dry_run: bool) -> None:
    """Go back to an earlier version of the routing table.

    What it said becomes the next version, or a proposal where two operators are needed. Live status stays as it is.
    """

    async def earlier(_desk: Office, books: Books) -> RoutingTable:
        return await changes.rolled_back(books, version)

    about = note or f"back to version {version}"
    _show_result(app, app.at_desk(lambda desk: _change(app, desk, earlier, about, dry_run=dry_run)))


@click.command(
    "import",
    cls=Command,
    examples="""
    tallystick routes import ranges.csv --dry-run
    tallystick routes import ranges.json --note "ranges of March"
    tallystick routes import --shipped
    """,
)
@click.argument("file", type=file_path, required=False)
@click.option("--shipped", is_flag=True, help="Take the set that comes with Tallystick.")
@note_option
@dry_option
@pass_app
def import_rules(app: App, file: Path | None, note: str | None, *, shipped: bool, dry_run: bool) -> None:
    """Replace all issuer rules by those of a file.

    CSV has the columns low, high, schemes (divided by blanks) and perhaps source; JSON is a list of objects with the
    same names, or with prefix in the place of low and high. A range has up to 9 digits; the narrowest one counts. The
    answer names ranges that lie across each other, and numbers that would lose their scheme.
    """
    if (file is None) is not shipped:
        raise click.UsageError("Give exactly one of FILE and --shipped.")
    rules = _read(file) if file is not None else shipped_rules()
    about = note or f"issuer rules of {file.name if file is not None else 'this release'}"

    lies: list[Coverage] = []

    async def with_rules(_desk: Office, books: Books) -> RoutingTable:
        present = await books.routing_table()
        lies.append(coverage(rules, present.issuer_rules))
        return replace(present, issuer_rules=rules)

    result = app.at_desk(lambda desk: _change(app, desk, with_rules, about, dry_run=dry_run))
    _show_result(app, replace(result, coverage=lies[0]))


COMMANDS: Final = (history, diff, list_changes, propose, approve, reject, rollback, import_rules)


async def _change(
    app: App, desk: Office, make: Make, note: str, *, dry_run: bool, four_eyes: bool | None = None
) -> Result:
    """Compare a new table with the present one and submit it, unless `dry_run`; `four_eyes` None: as the settings say.

    The comparison is made outside of the writing transaction: it may take a second, in which a platform serves.
    """

    async def look(books: Books) -> tuple[RoutingTable, Comparison]:
        table = await make(desk, books)
        await changes.check(books, table)
        return table, await route_desk.compare(books, await books.routing_table(), table)

    table, comparison = await desk.store.read(look)
    if dry_run:
        return Result(comparison=comparison)
    asked = desk.settings.routing.four_eyes if four_eyes is None else four_eyes
    submitted = await route_desk.submit(desk, table, operator=app.operator, note=note, four_eyes=asked)
    return Result(comparison=comparison, submitted=submitted)


def _read(file: Path) -> tuple[IssuerRule, ...]:
    with file.open("rb") as source:
        content = source.read(FILE_MAX + 1)
    try:
        return read_rules(file.name, content)
    except (FieldInvalid, TooLarge) as error:
        raise Failure.of(error, RULES_REMEDY) from error


def _show_result(app: App, result: Result) -> None:
    if app.as_json:
        app.show(result)
        return
    _show_comparison(app, result.comparison, result.coverage)
    if result.submitted is not None:
        app.show(result.submitted)


def _show_comparison(app: App, comparison: Comparison, lies: Coverage | None = None) -> None:
    """Show people the beginning of each list; JSON has them whole."""
    lines = [*_lines("changed", comparison.words)]
    if lies is not None:
        lines += [*_lines("overlap", lies.overlaps), *_lines("gap", lies.gaps)]
    app.show_all(lines, ("about", "says"))
    moves = [
        MoveLine(
            asked=_beginning(move.asked),
            brand=move.brand,
            currencies=move.currencies,
            before=move.before,
            after=move.after,
            recent=move.recent,
        )
        for move in comparison.moves
    ]
    app.show_all(moves, MOVE_COLUMNS)


def _lines(about: str, texts: Sequence[str]) -> Iterator[Line]:
    for text in texts[:LINES]:
        yield Line(about, text)
    if len(texts) > LINES:
        yield Line(about, f"... and {len(texts) - LINES} more: --json has all")


def _beginning(asked: Sequence[str]) -> str:
    more = f" and {len(asked) - RANGES} more" if len(asked) > RANGES else ""
    return ", ".join(asked[:RANGES]) + more
