"""Read one HTTP request into the arrival that the path takes."""

from typing import Final

from starlette.requests import Request

from tallystick import limits
from tallystick.errors import Malformed
from tallystick.runtime import Millis
from tallystick.security.model import Arrival
from tallystick.service.handling import read_body

SINGLE_HEADERS: Final = frozenset(
    {
        "client-id",
        "content-digest",
        "content-type",
        "idempotency-key",
        "request-time",
        "signature",
        "signature-input",
    }
)


async def arrival_of(request: Request, at: Millis) -> Arrival:
    """Read a request; raises TooLarge, and Malformed when a header that a signature rests on is there twice."""
    body = b"" if request.method == "GET" else await read_body(request, limits.BODY_MAX)
    query = request.scope["query_string"].decode("ascii", "replace")
    path = request.scope["raw_path"].decode("ascii", "replace")
    return Arrival(
        method=request.method,
        target=f"{path}?{query}" if query else path,
        headers=headers_of(request),
        body=body,
        at=at,
    )


def headers_of(request: Request) -> dict[str, str]:
    """Read headers; raises Malformed when one that a signature rests on is there twice."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name = raw_name.decode("latin-1")
        if name in headers and name in SINGLE_HEADERS:
            raise Malformed(f"the header {name} is there twice")
        headers[name] = raw_value.decode("latin-1")
    return headers
