"""`tallystick limits`: how often anything may be tried."""

from typing import Final

import click
from msgspec import Struct

from tallystick.bootstrap.office import Office
from tallystick.channels import limiting, operators
from tallystick.channels.limiting import DEFAULTS, read_limit, write_limit
from tallystick.channels.model import LimitKind, ProposalKind
from tallystick.cli.acting import Acted, Action, DeskBooks, Subject, act_at
from tallystick.cli.app import App, Group, pass_app
from tallystick.security.access_keys import KeyringAccess

COLUMNS: Final = ("kind", "limit", "built_in")


class LimitView(Struct, frozen=True, kw_only=True):
    """A limit as people write it, and the one it began with."""

    kind: LimitKind
    limit: str
    built_in: str


async def _held(desk: Office, books: DeskBooks, subject: Subject) -> str:
    """Say which limit holds now."""
    held = await limiting.present(books, KeyringAccess(desk.keyring))
    return write_limit(held[LimitKind(subject["kind"])])


async def _set(desk: Office, books: DeskBooks, subject: Subject) -> None:
    await limiting.change(
        books,
        KeyringAccess(desk.keyring),
        LimitKind(subject["kind"]),
        read_limit(subject["limit"]),
        author=subject["author"],
        at=desk.clock.now(),
    )


SET: Final = Action(kind=ProposalKind.LIMITS, name="set", base=_held, apply=_set)


@click.group(cls=Group, examples="tallystick limits show")
def limits() -> None:
    """See and set how often anything may be tried; what is over a limit is answered 429."""


@limits.command("show", examples="tallystick limits show --json")
@pass_app
def show(app: App) -> None:
    """List the limits that hold.

    channel: all messages of one channel. element: parts under one phone number, code or dynamic number. credential:
    sends of one card or account to back ends. network: requests of one address with a client certificate; visitor: of
    one without, on the payers' pages; enrolment: of one that asks for a certificate; caller and holder: of one address
    and of one merchant, at the merchants' API.
    """

    async def work(desk: Office) -> list[LimitView]:
        held = await desk.store.read(lambda books: limiting.present(books, KeyringAccess(desk.keyring)))
        return [
            LimitView(kind=kind, limit=write_limit(limit), built_in=write_limit(DEFAULTS[kind]))
            for kind, limit in held.items()
        ]

    app.show_all(app.at_desk(work, needs=operators.READ), COLUMNS)


@limits.command(
    "set",
    examples="""
    tallystick limits set element 20/10m
    tallystick limits set channel 120000/1m
    """,
)
@click.argument("kind", type=click.Choice([kind.value for kind in LimitKind]))
@click.argument("limit")
@pass_app
def set_(app: App, kind: str, limit: str) -> None:
    """Set a limit: a number, a slash, and a time in s, m or h.

    A serving platform goes by it within seconds. With four_eyes.limits in the settings, another person approves it
    first.
    """
    written = write_limit(read_limit(limit))

    async def work(desk: Office) -> Acted:
        subject = {"kind": kind, "limit": written, "author": app.operator}
        return await desk.store.transact(lambda books: act_at(app, desk, books, SET, subject, f"{kind} {written}"))

    app.show(app.at_desk(work))
