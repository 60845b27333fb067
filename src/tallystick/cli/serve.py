"""`tallystick serve`: run the platform until it is told to stop, then drain."""

import asyncio
import contextlib
import logging
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import uvloop

from tallystick import config
from tallystick.bootstrap.listening import Seat
from tallystick.bootstrap.serving import serving
from tallystick.bootstrap.supervising import supervising
from tallystick.cli import logs
from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.orders import Order, Told
from tallystick.cli.output import Failure
from tallystick.config import Settings
from tallystick.service.sockets import inherited
from tallystick.service.worker_process import SEAT

LEVELS: Final = ("debug", "info", "warning", "error")

_log = logging.getLogger(__name__)


@click.command(
    cls=Command,
    examples="""
    tallystick serve
    TALLYSTICK_GATEWAY__PORT=9443 tallystick --data /srv/tallystick serve --json 2>>platform.log
    """,
)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that share the listeners; else as set, or 1.")
@click.option(
    "--no-timers", is_flag=True, help="Leave timers and webhooks to `tallystick worker`; at least one must run."
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@pass_app
def serve(app: App, workers: int | None, log_level: str, *, no_timers: bool) -> None:
    """Serve the gateway until SIGTERM or SIGINT.

    Prints `READY <port>` on standard output once it accepts connections, and logs one line an event to standard error:
    text, or JSON with --json. At the end it says that it is not ready, serves on for the time that the settings give
    balancers to notice, takes no new connections, and lets requests and payments under way finish. A second signal
    cuts that time short.

    With several workers this process only keeps the others: it starts one that ended again, and SIGHUP replaces them
    one by one by what is installed now, without a failed payment. Exit code 0: all ended in good order.
    """
    seat = _seat(os.environ)
    logs.configure(as_json=app.as_json, level=log_level, worker=seat.number if seat is not None else None)
    bound_process()
    places = config.load(app.data, config.listening())
    count = workers or places.serve.workers
    if seat is not None or count == 1:
        uvloop.run(_serve(app.data, app.settings(), seat, timers=not no_timers))
        return
    said = (*(("--json",) if app.as_json else ()), *(("--no-timers",) if no_timers else ()))
    command = ("tallystick.cli.main", "--data", str(app.data), "serve", "--log-level", log_level, *said)
    if not uvloop.run(_supervise(places, command, count)):
        raise Failure("a worker did not end in good order", "See the log.", code="worker_failed")


def _seat(environ: Mapping[str, str]) -> Seat | None:
    """Return the seat of a process that a supervisor started; raises Misconfigured when its sockets are not there."""
    number = environ.get(SEAT, "")
    return Seat(int(number), inherited(environ)) if number.isdigit() else None


def bound_process() -> None:
    """Leave no core dump, which would hold PINs and card numbers (I7), and open as many files as the system lets us."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _supervise(settings: Settings, command: tuple[str, ...], count: int) -> bool:
    told, hurry = Told(), asyncio.Event()
    async with supervising(settings, command, count) as node:
        click.echo(f"READY {node.port}")
        _log.info("%d workers serve on port %d", count, node.port)
        while await told.next() == Order.ROLL:
            node.supervisor.roll()
        _log.info("draining")
        stopping = asyncio.create_task(node.supervisor.stop(hurry))
        hastening = asyncio.create_task(told.next())
        await asyncio.wait({stopping, hastening}, return_when=asyncio.FIRST_COMPLETED)
        hurry.set()
        hastening.cancel()
        well = await stopping
    _log.info("stopped")
    return well


async def _serve(data: Path, settings: Settings, seat: Seat | None, *, timers: bool) -> None:
    told = Told()
    if seat is not None:
        await told.listen(sys.stdin)
    async with serving(data, settings, seat, timers=timers) as running:
        click.echo(f"READY {running.port}")
        _log.info("serving on port %d", running.port)
        order = await told.next()
        _log.info("draining")
        running.readiness.drain()
        if seat is None or order is Order.DRAIN:
            # Serve whoever has not heard it for a while: a supervisor's other orders are for one process of many.
            running.doors.usher()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.next(), settings.serve.shed_delay_s)
    _log.info("stopped")
