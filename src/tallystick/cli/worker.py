"""`tallystick worker`: do timers and deliveries without a listener."""

import logging
from pathlib import Path

import click
import uvloop

from tallystick.bootstrap.engine import working
from tallystick.cli import logs
from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.orders import Told
from tallystick.cli.serve import LEVELS, bound_process
from tallystick.config import Settings

_log = logging.getLogger(__name__)


@click.command(
    cls=Command,
    examples="""
    tallystick worker
    tallystick --data /srv/tallystick serve --workers 4 --no-timers   # and beside it, as many workers as you like
    """,
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@pass_app
def worker(app: App, log_level: str) -> None:
    """Do a platform's timers and deliveries, without a listener, until SIGTERM or SIGINT.

    Prints `READY` on standard output once it does. Any number may run beside any number of `serve`, here or on other
    machines with the same data directory: they share the work, and take over what one that dies leaves.
    """
    logs.configure(as_json=app.as_json, level=log_level)
    bound_process()
    uvloop.run(_work(app.data, app.settings()))


async def _work(data: Path, settings: Settings) -> None:
    told = Told()
    async with working(data, settings):
        click.echo("READY")
        _log.info("working")
        await told.next()
        _log.info("stopping")
    _log.info("stopped")
