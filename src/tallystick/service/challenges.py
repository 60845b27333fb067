"""The listener for ACME's http-01 (RFC 8555 section 8.3): plain HTTP, and answers only while an order is open."""

from typing import Final

from starlette.requests import Request
from starlette.routing import Route, Router

from tallystick.service.handling import Endpoint, Response

PLACE: Final = "/.well-known/acme-challenge/{token}"
OCTETS: Final = "application/octet-stream"
OPEN_MAX: Final = 128  # answers that stand at a time


class ChallengeDesk:
    """Show an ACME server that this host is ours (`adapters.acme.Answers`); what is shown is public."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    def put(self, token: str, answer: str) -> None:
        """Answer one challenge from now on."""
        if len(self._answers) >= OPEN_MAX:
            self._answers.clear()
        self._answers[token] = answer

    def drop(self, token: str) -> None:
        """Answer it no more."""
        self._answers.pop(token, None)

    def app(self) -> Router:
        """Return the ASGI application."""

        async def respond(request: Request) -> Response:
            answer = self._answers.get(request.path_params["token"])
            if answer is None:
                return Response.of(404, OCTETS, b"")
            return Response.of(200, OCTETS, answer.encode("ascii"))

        return Router([Route(PLACE, Endpoint(respond), methods=["GET"])])
