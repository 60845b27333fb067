"""Probes: `GET /livez` says that the process answers, `GET /readyz` whether to send requests to it.

A process that does not answer `/livez` is to be ended; one that is not ready is to be left alone until it is.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from tallystick.service.handling import Endpoint, Response
from tallystick.wire.probe import Ready

JSON: Final = "application/json"
LIVE: Final = b'{"live":true}'
READY: Final = 200
NOT_READY: Final = 503


def probes(faults: Callable[[], Awaitable[tuple[str, ...]]], *, told: bool) -> list[Route]:
    """Return the routes; the reasons are `told` on a listener that only the operator reaches."""

    async def live(_: Request) -> Response:
        return Response.of(READY, JSON, LIVE)

    async def ready(_: Request) -> Response:
        found = await faults()
        body = msgspec.json.encode(Ready(ready=not found, faults=found if told else ()))
        return Response.of(NOT_READY if found else READY, JSON, body)

    return [Route("/livez", Endpoint(live), methods=["GET"]), Route("/readyz", Endpoint(ready), methods=["GET"])]
