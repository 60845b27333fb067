"""`tallystick events`: the log of what those who wait are told."""

from typing import Final

import click
import msgspec

from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli.app import App, Group, pass_app
from tallystick.outcomes.model import Event

BATCH: Final = 500  # events read at a time
LOOK_EVERY_S: Final = 1.0  # s between two looks at the store


@click.group(cls=Group, examples="tallystick events tail")
def events() -> None:
    """Follow the log of events: each change of a payment that somebody is told."""


@events.command(
    "tail",
    examples="""
    tallystick events tail
    tallystick events tail --after 1200 --until-now
    """,
)
@click.option("--after", type=click.IntRange(min=0), default=0, show_default=True, help="Begin behind this number.")
@click.option("--until-now", is_flag=True, help="End when all that is there was shown.")
@pass_app
def tail(app: App, after: int, *, until_now: bool) -> None:
    """Print each event as a line of JSON, and follow.

    The log goes back one day. Its numbers, `seq`, only grow; with --after a reader goes on where it stopped.
    """

    async def follow(desk: Office) -> None:
        seen = after
        while True:
            found = await _events(desk, seen)
            for event in found:
                click.echo(msgspec.json.encode(event))
                seen = event.seq
            if len(found) == BATCH:
                continue
            if until_now:
                return
            await desk.clock.sleep(LOOK_EVERY_S)

    app.at_desk(follow, needs=operators.READ)


async def _events(desk: Office, after: int) -> list[Event]:
    return await desk.store.read(lambda books: books.events_after(after, BATCH))
