"""Show the processes that run a platform: `tallystick nodes`."""

import click
from msgspec import Struct

from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli.app import App, Command, pass_app
from tallystick.delivery.model import NodeKind
from tallystick.runtime import Millis


class Shown(Struct, frozen=True, kw_only=True):
    """One node as it is shown; `alive` while its lease is not over."""

    id: str
    kind: NodeKind
    name: str
    release: str
    started_at: Millis
    alive: bool


@click.command(cls=Command, examples="tallystick nodes --json")
@pass_app
def nodes(app: App) -> None:
    """List the processes that serve or work on this platform's store.

    One that is not alive has not renewed its lease: the others bury it, and find out what became of what it was
    sending, at most 25 seconds after its lease was over.
    """

    async def read(desk: Office) -> list[Shown]:
        found, now = await desk.store.read(lambda books: books.nodes()), desk.clock.now()
        return [
            Shown(
                id=each.id,
                kind=each.kind,
                name=each.name,
                release=each.release,
                started_at=each.started_at,
                alive=now < each.lease_until,
            )
            for each in found
        ]

    app.show_all(app.at_desk(read, needs=operators.READ), Shown.__struct_fields__)
