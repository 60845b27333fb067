"""What every command shares: the data directory, `--json`, examples in the help, and errors told with their remedy."""

import asyncio
import errno
import getpass
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from msgspec import Struct
from msgspec.structs import replace

from tallystick import config
from tallystick.audit.acting import acting
from tallystick.bootstrap.office import Office, office
from tallystick.channels import operators
from tallystick.channels.model import Scope
from tallystick.cli import output
from tallystick.cli.custody import ask_shares
from tallystick.cli.inputs import read_password
from tallystick.cli.output import Failure
from tallystick.config import Settings
from tallystick.errors import ApiKeyRefused, TallystickError
from tallystick.security.access_keys import KeyringAccess

_T = TypeVar("_T")

KEY_REMEDY: Final = (
    "Name the file of your own key in TALLYSTICK_OPERATOR_KEY_FILE; an operator makes one: tallystick operator add."
)


@dataclass(slots=True)
class App:
    """One run of the command line: where the platform's data is, who runs it, and how to answer.

    `operator` is the proven one while a command is at the desk of a platform that has operators; `claim` is who the
    caller said to be, `operator_key` the file with their key.
    """

    data: Path
    operator: str = ""
    as_json: bool = False
    claim: str | None = None
    operator_key: Path | None = None
    operator_key_id: str = ""

    def settings(self) -> Settings:
        """Read the platform's settings; on a terminal, ask custodians for wanted shares; raises Misconfigured."""
        settings = config.load(self.data)
        if settings.keys.provider != "shares" or settings.keys.shares is not None or not sys.stdin.isatty():
            return settings
        return replace(settings, keys=replace(settings.keys, shares=ask_shares()))

    def at_desk(self, work: Callable[[Office], Awaitable[_T]], *, needs: Collection[Scope] = operators.CHANGE) -> _T:
        """Do an operator's work with the books and keys of the data directory, once the operator is proven.

        A command that says nothing else needs an operator who may change things: one that only looks says so.
        """
        settings = self.settings()

        async def run() -> _T:
            async with office(self.data, settings) as desk:
                await self._prove(desk, needs)
                with acting(f"operator:{self.operator}"):
                    return await work(desk)

        return asyncio.run(run())

    async def _prove(self, desk: Office, needs: Collection[Scope]) -> None:
        if not await desk.store.read(operators.registered):
            return
        token = read_password(self.operator_key, "Your operator's key")
        keys, now = KeyringAccess(desk.keyring), desk.clock.now()
        try:
            proven = await desk.store.read(
                lambda books: operators.prove(books, keys, token, now, claim=self.claim, needs=needs)
            )
        except ApiKeyRefused as refusal:
            raise Failure.of(refusal, KEY_REMEDY) from None
        if proven is not None:
            self.operator, self.operator_key_id = proven.holder, proven.key_id

    def show(self, record: Struct) -> None:
        """Answer with one record."""
        if self.as_json:
            output.write_json(record)
        else:
            output.write_record(record)

    def show_all(self, records: Sequence[Struct], columns: tuple[str, ...]) -> None:
        """Answer with a list of records; people see these columns, JSON has all members."""
        if self.as_json:
            output.write_json(records)
        else:
            output.write_table(records, columns)


pass_app = click.make_pass_decorator(App)


def this_user() -> str:
    """Return the name of the user this process runs as, or the number of one without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.geteuid()}"


class _Explained(click.Command):
    """A command or group whose help ends with examples."""

    def __init__(self, *args: Any, examples: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = inspect.cleandoc(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they stand, never folded: they are there to be copied."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples"):
            for line in self.examples.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Command(_Explained):
    """A command with `--json`; whatever goes wrong in it ends with exit code 1 and a message that holds no value."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_take_json,
                help="Answer with one JSON document; errors too, on standard error.",
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            failure = _failure(error)
            if failure is None:
                raise
            app = ctx.find_object(App)
            failure.as_json = app is not None and app.as_json
            raise failure from error


class Group(_Explained, click.Group):
    """A group of commands."""

    command_class = Command
    group_class = type


def _take_json(ctx: click.Context, _parameter: click.Parameter, value: object) -> None:
    app = ctx.find_object(App)
    if app is not None:
        app.as_json = bool(value)


def _failure(error: Exception) -> Failure | None:
    """Turn an error into the failure to show, or None for what click itself tells."""
    match error:
        case Failure():
            return error
        case TallystickError():
            return Failure.of(error)
        case click.ClickException() | click.exceptions.Exit() | click.Abort():
            return None
        case OSError(errno=errno.EPIPE):
            return None
        case OSError():
            name = Path(str(error.filename)).name if error.filename is not None else "a file or address"
            detail = f"{name}: {error.strerror or type(error).__name__}"
            return Failure(detail, "Check the path, its rights and the free space.", code="system")
        case _:
            remedy = "This is a fault of Tallystick: report it with this line."
            return Failure(f"unexpected {output.fault_of(error)}", remedy, code="internal")
