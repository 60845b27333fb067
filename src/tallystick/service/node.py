"""What a supervisor tells of all its processes: metrics under one address, and whether the node wants requests."""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.routing import Route, Router

from tallystick.service.handling import Endpoint, Response
from tallystick.service.probes import probes
from tallystick.service.readiness import DRAINING, OVERLOADED
from tallystick.service.supervisor import Supervisor
from tallystick.wire import metrics
from tallystick.wire.metrics import Sample
from tallystick.wire.probe import Ready

NOBODY: Final = "no_worker"


class NodeDesk:
    """Answer `GET /metrics`, `/readyz` and `/livez` for all processes of a supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def app(self) -> Router:
        """Return the ASGI application."""
        return Router([Route("/metrics", Endpoint(self._tell), methods=["GET"]), *probes(self.faults, told=True)])

    async def faults(self) -> tuple[str, ...]:
        """Return the reasons not to send requests to this node.

        One process that is ready is enough, for they share their sockets; but one that is overloaded is a reason: it
        would refuse its share.
        """
        if self._supervisor.stopping:
            return (DRAINING,)
        found = [_read(body) for body in (await self._ask("/readyz")).values()]
        if not found:
            return (NOBODY,)
        words = {word for ready in found for word in ready.faults}
        if all(not ready.ready for ready in found):
            return tuple(sorted(words)) or (NOBODY,)
        return (OVERLOADED,) if OVERLOADED in words else ()

    async def _tell(self, _: Request) -> Response:
        texts = await self._ask("/metrics")
        seats = self._supervisor.seats
        own = [Sample(metrics.WORKER_UP, int(str(seat.number) in texts), (str(seat.number),)) for seat in seats]
        own += [Sample(metrics.WORKER_RESTARTS, seat.restarts, (str(seat.number),)) for seat in seats]
        return Response.of(200, metrics.MEDIA_TYPE, metrics.merge(own, texts))

    async def _ask(self, path: str) -> Mapping[str, bytes]:
        """Ask every process that there is; returns the answers by the number of the seat."""
        asked = {
            str(seat.number): seat.process.ask(path) for seat in self._supervisor.seats if seat.process is not None
        }
        answers = await asyncio.gather(*asked.values())
        return {number: body for number, body in zip(asked, answers, strict=True) if body is not None}


def _read(body: bytes) -> Ready:
    try:
        return msgspec.json.decode(body, type=Ready)
    except msgspec.MsgspecError:
        return Ready(ready=False)
