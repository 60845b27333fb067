"""A process that serves nothing but its own number: what a supervisor starts, without a platform behind it."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from starlette.routing import Router

from tallystick.cli.orders import Order, Told
from tallystick.service.doors import Doors
from tallystick.service.probes import probes
from tallystick.service.readiness import Readiness
from tallystick.service.sockets import inherited
from tallystick.service.worker_process import SEAT

FAIL = "TINY_FAIL"  # a file; while it is there, a process does not start


async def serve() -> None:
    told, handed = Told(), inherited()
    await told.listen(sys.stdin)
    readiness = Readiness({})

    async def tell(_scope: object, _receive: object, send: Any) -> None:
        body = f"{os.environ[SEAT]} {os.getpid()}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with Doors(handed, linger_s=0.2) as doors:
        await doors.open("metrics", Router(probes(readiness.faults, told=True)), host="", port=0, context=None)
        await doors.open("gateway", tell, host="", port=0, context=None)
        readiness.begin()
        sys.stdout.write("READY 0\n")
        sys.stdout.flush()
        if await told.next() is Order.DRAIN:
            readiness.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.next(), 30)


if __name__ == "__main__":
    if Path(os.environ[FAIL]).exists():
        raise SystemExit(1)
    asyncio.run(serve())
