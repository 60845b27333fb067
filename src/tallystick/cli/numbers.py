"""`tallystick user numbers`: see and drive the renewal of dynamic numbers (patent claims 4, 7)."""

import sys
from typing import Final

import click
from msgspec import Struct

from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli import administer
from tallystick.cli.app import App, Group, pass_app
from tallystick.runtime import Millis
from tallystick.vault.periods import period_at

SECOND_MS: Final = 1_000  # ms

institution_option = click.option("--institution", help="One institution id, not all that get numbers.")


class Renewed(Struct, frozen=True):
    """The numbers made for one institution; `unreachable` users have one that reached nobody."""

    institution: str
    made: int
    unreachable: int


class Standing(Struct, frozen=True, kw_only=True):
    """How far a renewal is: users with a number of the period, and users who wait for theirs."""

    institution: str
    period: str
    made: int
    left: int
    ends_at: Millis


class Waiting(Struct, frozen=True, kw_only=True):
    """The notices that wait for their provider, how many of them are urgent, and how old the oldest is, in seconds."""

    notices: int
    urgent: int
    oldest_s: int


class Progress(Struct, frozen=True, kw_only=True):
    """Every renewal, and what waits to be sent."""

    renewals: tuple[Standing, ...]
    outbox: Waiting


@click.group("numbers", cls=Group, examples="tallystick user numbers status")
def numbers() -> None:
    """Dynamic numbers (patent claims 4, 7)."""


@numbers.command(
    "renew",
    examples="""
    tallystick user numbers renew
    tallystick user numbers renew --institution 51920374
    """,
)
@institution_option
@pass_app
def renew(app: App, institution: str | None) -> None:
    """Make the dynamic numbers that are due.

    A serving platform does so by itself, and sends them; this helps it, side by side. It may be stopped at any time:
    whoever has a number keeps it, and the next run goes on with the others.
    """
    shown = not app.as_json and sys.stderr.isatty()

    async def work(desk: Office) -> list[Renewed]:
        rows = []
        for back_end in await administer.numbered_institutions(desk, institution):
            waiting = (await administer.numbers_progress(desk, back_end)).left
            with click.progressbar(
                length=waiting, label=back_end.id, file=sys.stderr, show_pos=True, hidden=not shown
            ) as bar:
                done = await administer.renew_numbers(desk, back_end, bar.update)
            rows.append(Renewed(back_end.id, done.made, done.unreachable))
        return rows

    app.show_all(app.at_desk(work), ("institution", "made", "unreachable"))


@numbers.command(
    "status",
    examples="""
    tallystick user numbers status
    tallystick user numbers status --institution 51920374 --json
    """,
)
@institution_option
@pass_app
def status(app: App, institution: str | None) -> None:
    """Show how far the renewal of the current period is, and how many notices wait."""

    async def work(desk: Office) -> Progress:
        rows, now = [], desk.clock.now()
        for back_end in await administer.numbered_institutions(desk, institution):
            period, counted = period_at(back_end, now), await administer.numbers_progress(desk, back_end)
            rows.append(
                Standing(
                    institution=back_end.id,
                    period=period.id,
                    made=counted.made,
                    left=counted.left,
                    ends_at=period.ends,
                )
            )
        backlog = await desk.store.read(lambda books: books.backlog())
        since, waiting = backlog.notices.since, backlog.notices.waiting
        age = 0 if since is None else max(0, now - since) // SECOND_MS
        outbox = Waiting(notices=waiting, urgent=backlog.urgent_notices.waiting, oldest_s=age)
        return Progress(renewals=tuple(rows), outbox=outbox)

    found = app.at_desk(work, needs=operators.READ)
    if app.as_json:
        app.show(found)
        return
    app.show_all(found.renewals, ("institution", "period", "made", "left", "ends_at"))
    app.show(found.outbox)
