"""The status listener: OCSP (RFC 6960 appendix A) and the revocation list, over plain HTTP.

Both are public and signed in themselves; over TLS, who checks the listener's certificate would have to ask it first
(RFC 5280 section 8).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.routing import Route, Router

from tallystick.channels.model import LimitKind
from tallystick.channels.ports import Counter
from tallystick.crypto.ocsp import REQUEST_MAX
from tallystick.errors import WrongMediaType
from tallystick.runtime import Clock, Millis, Randomness
from tallystick.service.handling import Endpoint, Response, network_of, read_body
from tallystick.service.problems import MEDIA_TYPE, failure, retry_after

OCSP_REQUEST: Final = "application/ocsp-request"
OCSP_RESPONSE: Final = "application/ocsp-response"
CRL: Final = "application/pkix-crl"


class Status(Protocol):
    """What an authority tells anybody."""

    def ocsp(self, request_der: bytes, now: Millis) -> bytes:
        """Answer one OCSP request."""
        ...

    def crl(self) -> bytes:
        """Return the newest revocation list in DER."""
        ...


class StatusDesk:
    """Answer `POST /ocsp` and `GET /crl`, and what is beside them."""

    def __init__(
        self, status: Status, counter: Counter, clock: Clock, randomness: Randomness, more: Sequence[Route] = ()
    ) -> None:
        self._more = more
        self._status = status
        self._counter = counter
        self._clock = clock
        self._randomness = randomness

    def app(self) -> Router:
        """Return the ASGI application."""
        return Router(
            [
                Route("/ocsp", self._guarded(self._ocsp), methods=["POST"]),
                Route("/crl", self._guarded(self._crl), methods=["GET"]),
                *self._more,
            ]
        )

    def _guarded(self, answer: Callable[[Request], Awaitable[Response]]) -> Endpoint:
        async def respond(request: Request) -> Response:
            try:
                self._counter.count(LimitKind.VISITOR, network_of(request))
                return await answer(request)
            except Exception as error:  # noqa: BLE001 - the edge answers every failure, and says nothing about the unforeseen
                document = failure(error, self._randomness)
                body = msgspec.json.encode(document)
                return Response.of(document.status, MEDIA_TYPE, body, retry_after(error))

        return Endpoint(respond)

    async def _ocsp(self, request: Request) -> Response:
        if request.headers.get("content-type") != OCSP_REQUEST:
            raise WrongMediaType(f"this address takes {OCSP_REQUEST}")
        body = await read_body(request, REQUEST_MAX)
        return Response.of(200, OCSP_RESPONSE, self._status.ocsp(body, self._clock.now()))

    async def _crl(self, _: Request) -> Response:
        return Response.of(200, CRL, self._status.crl())
