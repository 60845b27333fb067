"""`tallystick serve`: run the platform until it is told to stop, then drain."""

import asyncio
import logging
import resource
import signal
from pathlib import Path
from typing import Final

import click
import uvloop

from tallystick.bootstrap.serving import serving
from tallystick.cli import logs
from tallystick.cli.app import App, Command, pass_app
from tallystick.config import Settings

LEVELS: Final = ("debug", "info", "warning", "error")

_log = logging.getLogger(__name__)


@click.command(
    cls=Command,
    examples="""
    tallystick serve
    TALLYSTICK_GATEWAY__PORT=9443 tallystick --data /srv/tallystick serve --json 2>>platform.log
    """,
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@pass_app
def serve(app: App, log_level: str) -> None:
    """Serve the gateway until SIGTERM or SIGINT.

    Prints `READY <port>` on standard output once it accepts connections, and logs one line an event to standard error:
    text, or JSON with --json. At the end it takes no new connections and lets requests and payments under way finish.
    """
    settings = app.settings()
    logs.configure(as_json=app.as_json, level=log_level)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold PINs and card numbers (I7)
    uvloop.run(_serve(app.data, settings))


async def _serve(data: Path, settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(data, settings) as running:
        click.echo(f"READY {running.port}")
        _log.info("serving on port %d", running.port)
        await stopped.wait()
        _log.info("draining")
    _log.info("stopped")
