"""How commands speak: records as aligned text or JSON, and failures that name their remedy."""

import datetime as dt
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tallystick.errors import TallystickError

PIPE_WIDTH: Final = 1_000  # columns when nobody looks: a line is never folded, an id never cut
TIMES: Final = frozenset(
    {
        "at",
        "created_at",
        "decided_at",
        "ends_at",
        "expires_at",
        "not_after",
        "opened_at",
        "revoked",
        "settled_at",
        "used_at",
    }
)  # ms each


class Failure(click.ClickException):
    """End a command with exit code 1, saying what failed and what to do next; neither text holds a secret."""

    def __init__(self, detail: str, remedy: str, *, code: str = "failed", field: str | None = None) -> None:
        super().__init__(detail)
        self.remedy = remedy
        self.code = code
        self.field = field
        self.as_json = False

    @classmethod
    def of(cls, error: TallystickError, remedy: str | None = None) -> "Failure":
        """Say what an error of ours says; `remedy` where this command knows a better one."""
        return cls(error.detail or error.code, remedy or error.remedy, code=error.code, field=error.field)

    def show(self, file: IO[Any] | None = None) -> None:
        """Write to standard error, as lines or as one JSON document."""
        said = {"code": self.code, "detail": printable(self.message), "remedy": self.remedy}
        if self.field is not None:
            said["field"] = self.field
        if self.as_json:
            click.echo(msgspec.json.encode({"error": said}), file=file, err=True)
            return
        place = f" (see {self.field})" if self.field is not None else ""
        click.echo(f"error: {said['detail']}{place}\nremedy: {self.remedy}", file=file, err=True)


def fault_of(error: BaseException) -> str:
    """Name an unexpected error by its type and place: its own text might quote a value."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" at {Path(code.co_filename).name}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__}{place}"


def write_json(document: object) -> None:
    """Print one JSON document; a Secret in it is an error, not a mask."""
    click.echo(msgspec.json.format(msgspec.json.encode(document, order="deterministic")))


def write_record(record: Struct) -> None:
    """Print one record for people, a line for each member."""
    grid = Table.grid(padding=(0, 2))
    for name, value in _members(record).items():
        grid.add_row(Text(name, style="bold"), _cell(name, value))
    _print(grid)


def write_table(records: Iterable[Struct], columns: tuple[str, ...]) -> None:
    """Print records for people, one a line; the first column is what they are found by, and stays whole."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    for record in records:
        members = _members(record)
        table.add_row(*(_cell(column, members[column]) for column in columns))
    _print(table)


def printable(text: str) -> str:
    """Replace what could steer a terminal: names come from partners and payees."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def moment(at: int) -> str:
    """Write a time in ms since 1970 as UTC."""
    return f"{dt.datetime.fromtimestamp(at / 1000, dt.UTC):%Y-%m-%d %H:%M:%SZ}"


def _members(record: Struct) -> Mapping[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(record, order="deterministic")
    return members


def _cell(name: str, value: Any) -> Text:
    return Text(printable(_words(name, value)))


def _words(name: str, value: Any) -> str:
    match value:
        case None | [] | () | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case int() if name in TIMES:
            return moment(value)
        case list() | tuple():
            return ", ".join(_words("", item) for item in value)
        case dict():
            return " ".join(f"{key}={_words(key, item)}" for key, item in value.items())
        case _:
            return str(value)


def _print(table: Table) -> None:
    # rich itself heeds NO_COLOR and sends no colours into a pipe; it fills lines up with spaces, which nobody needs.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
