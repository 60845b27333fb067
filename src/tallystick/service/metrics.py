"""The metrics listener: `GET /metrics` for the operator's Prometheus, on the loopback address only.

What it tells (how many payments wait, which back end is down, when keys end) helps whoever attacks, and the form has no
authentication of its own; so no other machine reaches it, unless the operator puts a proxy with a login before it.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.routing import Route, Router

from tallystick.runtime import Randomness
from tallystick.service.handling import Endpoint, Response
from tallystick.service.problems import MEDIA_TYPE, failure, retry_after
from tallystick.wire import metrics


class Gatherer(Protocol):
    """Whoever knows the values."""

    async def gather(self) -> list[metrics.Sample]:
        """Read every value as it is now; raises StoreFailed when the store cannot be read: the scrape fails."""
        ...


class MetricsDesk:
    """Answer `GET /metrics`, whose values are read when they are asked for, and what is beside it."""

    def __init__(self, gatherer: Gatherer, randomness: Randomness, more: Sequence[Route] = ()) -> None:
        self._gatherer = gatherer
        self._randomness = randomness
        self._more = more

    def app(self) -> Router:
        """Return the ASGI application."""
        return Router([Route("/metrics", Endpoint(self._tell), methods=["GET"]), *self._more])

    async def _tell(self, _: Request) -> Response:
        try:
            body = metrics.write(await self._gatherer.gather())
        except Exception as error:  # noqa: BLE001 - the edge answers every failure, and says nothing about the unforeseen
            document = failure(error, self._randomness)
            return Response.of(document.status, MEDIA_TYPE, msgspec.json.encode(document), retry_after(error))
        return Response.of(200, metrics.MEDIA_TYPE, body)
