"""The server under measurement: the whole platform, or an echo behind the same listener; pinned to one core.

Run as `python -m bench.server DATA_DIR {platform|echo} [PROFILE_FILE]`, or with `workers N` for the product's own
command with so many processes. Prints `READY <port>`.
"""

import asyncio
import cProfile
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from tallystick import config
from tallystick.adapters.ca_files import FileCa
from tallystick.bootstrap.layout import Layout
from tallystick.bootstrap.serving import serving
from tallystick.crypto import tls
from tallystick.service.server import Listener

CORE = 0


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    """Send the body back: the same server and TLS with no work."""
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def main(data: Path, what: str) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if what == "platform":
        async with serving(data, config.load(data, os.environ)) as running:
            print("READY", running.port, flush=True)
            await stop.wait()
        return
    layout = Layout(data)
    context = tls.server_context(layout.certificate, layout.private_key, FileCa(layout.ca).trust)
    async with Listener(echo, host="127.0.0.1", port=0, context=context) as listener:
        print("READY", listener.port, flush=True)
        await stop.wait()


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    if sys.argv[2] == "workers":
        serve = [
            "-m",
            "tallystick.cli.main",
            "--data",
            sys.argv[1],
            "serve",
            "--log-level",
            "error",
            "--workers",
            sys.argv[3],
        ]
        os.execv(sys.executable, [sys.executable, *serve])  # noqa: S606 - our own command
    profile = cProfile.Profile() if len(sys.argv) > 3 else None
    if profile is not None:
        profile.enable()
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2]))
    if profile is not None:
        profile.disable()
        profile.dump_stats(sys.argv[3])
