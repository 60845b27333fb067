"""`tallystick store`: the database of all nodes."""

from collections.abc import Sequence
from typing import Final

import click
from msgspec import Struct

from tallystick.bootstrap import storing
from tallystick.bootstrap.layout import Layout
from tallystick.cli.app import App, Group, pass_app
from tallystick.config import StoreSection
from tallystick.errors import Misconfigured

PHASES: Final = {"pre": ("pre",), "post": ("pre", "post")}


class Migrated(Struct, frozen=True, kw_only=True):
    """The migrations that were applied, and those that wait for a later phase."""

    applied: Sequence[int]
    waiting: Sequence[int]


class Waiting(Struct, frozen=True, kw_only=True):
    """The migrations of this release that the database has not seen."""

    pre: Sequence[int]
    post: Sequence[int]


@click.group(cls=Group, examples="tallystick store migrate --phase pre")
def store() -> None:
    """Bring the database of all nodes up to date: `[store] kind = "postgres"`.

    The embedded store does so by itself when it is opened.
    """


@store.command(
    "migrate",
    examples="""
    tallystick store migrate --phase pre    # before the first node runs the new release
    tallystick store migrate --phase post   # when no node runs the old one any more
    """,
)
@click.option(
    "--phase",
    type=click.Choice(tuple(PHASES)),
    default="pre",
    show_default=True,
    help="pre: what the release before bears. post: also what only that one needed.",
)
@pass_app
def migrate(app: App, phase: str) -> None:
    """Apply the migrations of a phase, all or none.

    It needs a role that may create tables, which nodes do not; no operator is asked, since there may be no store to
    prove one by.
    """
    section = _section(app)
    applied = storing.migrate(Layout(app.data), section, PHASES[phase])
    app.show(Migrated(applied=applied, waiting=storing.waiting(Layout(app.data), section)["post"]))


@store.command("status", examples="tallystick store status --json")
@pass_app
def status(app: App) -> None:
    """Show which migrations of this release the database has not seen. A node starts when no `pre` waits."""
    waiting = storing.waiting(Layout(app.data), _section(app))
    app.show(Waiting(pre=waiting["pre"], post=waiting["post"]))


def _section(app: App) -> StoreSection:
    section = app.settings().store
    if section.kind != "postgres":
        raise Misconfigured('the store is embedded and migrates by itself: this is for [store] kind = "postgres"')
    return section
