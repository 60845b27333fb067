"""A receiver of webhooks over real TLS, which answers as it is told and proves what came as any receiver should."""

import asyncio
import ssl
from typing import Final, Self

import msgspec
from msgspec import Struct

from tallystick.crypto import webhooks
from tallystick.errors import Refused
from tallystick.runtime import SystemClock
from tallystick.secret import Secret
from tallystick.wire.outcome import OutcomeMessage

BODY_MAX: Final = 16 * 1024  # bytes
OK: Final = "204 No Content"
NOT_PROVEN: Final = "400 Bad Request"


class Arrived(Struct, frozen=True):
    """One request as it came: the first line, the headers by lower-case name, the body, and what it says if proven."""

    line: str
    headers: dict[str, str]
    body: bytes
    message: OutcomeMessage | None


class WebhookReceiver:
    """Listen on this machine, as an `async with` block; `script` holds status lines, with headers, to answer first.

    What is not signed under one of `secrets` is answered with 400, and everything else with 204.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.secrets: list[str] = []
        self.script: list[str] = []
        self.arrived: list[Arrived] = []
        self.port = 0
        self._context = context
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Return the address to register."""
        return f"https://localhost:{self.port}/outcomes?from=tallystick"

    @property
    def messages(self) -> list[OutcomeMessage]:
        """Return what the proven webhooks say."""
        return [each.message for each in self.arrived if each.message is not None]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            arrived = await self._read(reader)
            self.arrived.append(arrived)
            status = self.script.pop(0) if self.script else OK if arrived.message is not None else NOT_PROVEN
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the sender went away, which it may at any time
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> Arrived:
        line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest if each)}
        body = await reader.readexactly(min(int(headers["content-length"]), BODY_MAX))
        return Arrived(line, headers, body, self._proven(headers, body))

    def _proven(self, headers: dict[str, str], body: bytes) -> OutcomeMessage | None:
        secrets = [Secret(secret) for secret in self.secrets]
        try:
            webhooks.verify(headers, body, secrets=secrets, now=SystemClock().now())
        except Refused:
            return None
        return msgspec.json.decode(body, type=OutcomeMessage)
