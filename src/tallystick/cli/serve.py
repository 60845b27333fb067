"""`tallystick serve`: run the platform until it is told to stop, then drain."""

import asyncio
import contextlib
import logging
import resource
import signal
from pathlib import Path
from typing import Final

import click
import uvloop

from tallystick.bootstrap.listening import Running, Seat
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
    text, or JSON with --json. At the end it says that it is not ready, serves on for the time that the settings give
    balancers to notice, takes no new connections, and lets requests and payments under way finish. A second signal
    cuts that time short.
    """
    settings = app.settings()
    logs.configure(as_json=app.as_json, level=log_level)
    _bound_process()
    uvloop.run(_serve(app.data, settings, Seat()))


def _bound_process() -> None:
    """Leave no core dump, which would hold PINs and card numbers (I7), and open as many files as the system lets us."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(data: Path, settings: Settings, seat: Seat) -> None:
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    async with serving(data, settings, seat) as running:
        click.echo(f"READY {running.port}")
        _log.info("serving on port %d", running.port)
        await signals.get()
        await _shed(running, settings.serve.shed_delay_s, signals)
    _log.info("stopped")


async def _shed(running: Running, delay_s: float, signals: asyncio.Queue[int]) -> None:
    """Say that no more is wanted here, and serve whoever has not heard it for a while."""
    _log.info("draining")
    running.readiness.drain()
    running.doors.usher()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(signals.get(), delay_s)
