"""Ask an ASGI application without a socket."""

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Protocol

from msgspec import Struct

Message = MutableMapping[str, Any]


class App(Protocol):
    """An ASGI 3 application."""

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Serve one request."""
        ...


class Reply(Struct, frozen=True, kw_only=True):
    """What the application answered; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(
    app: App,
    method: str,
    target: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    scope: Mapping[str, object] | None = None,
) -> Reply:
    """Send one request; `headers` may name a field twice, `scope` adds what a server would put there."""
    path, _, query = target.partition("?")
    request: Message = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        **(scope or {}),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(request, receive, send)
    start = sent[0]
    answered = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Reply(
        status=start["status"], headers=answered, body=b"".join(message.get("body", b"") for message in sent[1:])
    )
