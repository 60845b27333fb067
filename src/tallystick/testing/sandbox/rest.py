"""A sandbox REST back end in two styles: `account`, a third party's account system, and `wallet`, a card wallet.

    python -m tallystick.testing.sandbox.rest --config FILE.json [--style account|wallet]

It prints `READY <port>` when it accepts connections, and ends at SIGTERM. `rest_back_end` says what it checks,
`rest_rules` what it decides and how it fails on request.
"""

import argparse
import asyncio
import functools
import logging
import signal
import sys
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec
import uvicorn
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tallystick import limits
from tallystick.adapters.connectors.rest_settings import RestSettings
from tallystick.assembly.facts import CredentialKind
from tallystick.crypto.httpsig import sign_response
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import Ed25519Private, load_private, load_public
from tallystick.crypto.tls import server_context
from tallystick.crypto.x509 import read_certificate
from tallystick.errors import Refused
from tallystick.runtime import Clock, SystemClock
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.rest_back_end import Reply, RestBackEnd
from tallystick.testing.sandbox.rest_rules import Magic, SandboxCard, rule
from tallystick.wire.rest import MEDIA_TYPE

STYLES: Final = {"account": CredentialKind.ACCOUNT, "wallet": CredentialKind.CARD}

log = logging.getLogger("tallystick.sandbox")


class RestSandboxConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration file; every key, certificate and the record is the name of a file.

    `chain` and `key` are for TLS; `client_ca` signs the platform's certificate, whose SAN URI is `platform_uri`. The
    platform signs with `platform_key` (public, PEM) as `platform_keyid`. `signing_key` (private Ed25519, PEM) signs
    answers, `encryption_key` (private P-256, PKCS#8 in DER) opens credentials. `accounts` maps an account to its
    secret, `cards` a number to its card. A slow answer comes after `slow_s`. Port 0 takes a free one.
    """

    institution: str
    chain: str
    key: str
    client_ca: str
    platform_uri: str
    platform_key: str
    platform_keyid: str
    signing_key: str
    signing_keyid: str
    encryption_key: str
    encryption_kid: str
    style: Literal["account", "wallet"] = "account"
    accounts: dict[str, str] = {}
    cards: dict[str, SandboxCard] = {}
    record: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    slow_s: float = 30.0


class PlatformOnly(HttpToolsProtocol):
    """Close every connection whose certificate, verified in the handshake, does not name the platform."""

    def __init__(self, uri: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._uri = uri

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the identity before the first request."""
        super().connection_made(transport)
        try:
            uri = read_certificate(transport.get_extra_info("ssl_object").getpeercert(binary_form=True)).uri
        except Refused:
            uri = None
        if uri != self._uri:
            log.warning("connection closed: the certificate does not name the platform")
            transport.abort()


class RestSandbox:
    """One sandbox back end, in this process; `record` has every request."""

    def __init__(self, config: RestSandboxConfig, clock: Clock | None = None) -> None:
        self.record = Record(None if config.record is None else Path(config.record))
        self._config = config
        self._clock = clock or SystemClock()
        self._signing_key = load_private(Path(config.signing_key).read_bytes())
        self._encryption_key = JweKey.from_private(config.encryption_kid, Path(config.encryption_key).read_bytes())
        self._back_end = RestBackEnd(
            institution=config.institution,
            platform_key=load_public(Path(config.platform_key).read_bytes()),
            platform_keyid=config.platform_keyid,
            encryption_key=self._encryption_key,
            rules=functools.partial(
                rule,
                config.accounts if config.style == "account" else {},
                config.cards if config.style == "wallet" else {},
            ),
            record=self.record,
            clock=self._clock,
        )
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """Return the bound port; RuntimeError before `start`."""
        if self._server is None:
            raise RuntimeError("the sandbox is not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def settings(self, **others: Any) -> RestSettings:
        """Return what the platform's operator would be told about this back end; `others` replace or add."""
        told = {
            "base_url": f"https://localhost:{self.port}",
            "institution": self._config.institution,
            "encryption_jwk": self._encryption_key.public_jwk(),
            "verify_key": self._signing_key.public().pem().decode(),
            "accepts": frozenset({STYLES[self._config.style]}),
        }
        return RestSettings(**{**told, **others})

    async def start(self) -> None:
        """Bind and accept."""
        config = self._config
        served = uvicorn.Config(
            self, interface="asgi3", ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        self._server = await asyncio.get_running_loop().create_server(
            functools.partial(PlatformOnly, config.platform_uri, served, self._state, {}),
            config.host,
            config.port,
            ssl=server_context(Path(config.chain), Path(config.key), Path(config.client_ca)),
        )

    async def stop(self) -> None:
        """Cut every connection; what was decided stays decided."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._state.connections):
                connection.transport.abort()
            await asyncio.gather(*self._state.tasks)
            await self._server.wait_closed()
        self.record.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        request = Request(scope, receive)
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk[: limits.BODY_MAX + 1 - len(body)]
        except ClientDisconnect:
            return
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        query = f"?{request.url.query}" if request.url.query else ""
        reply = self._back_end.reply(request.method, scope["raw_path"].decode("latin-1") + query, headers, bytes(body))
        if reply.magic is Magic.SILENCE:
            await _until_disconnect(receive, None)
            return
        if reply.magic is Magic.SLOW:
            await _until_disconnect(receive, self._config.slow_s)
        await self._response(reply)(scope, receive, send)

    def _response(self, reply: Reply) -> Response:
        headers = {}
        if reply.nonce is not None:
            headers = sign_response(
                Ed25519Private() if reply.magic is Magic.FORGE else self._signing_key,
                keyid=self._config.signing_keyid,
                status=reply.status,
                body=reply.body,
                created=self._clock.now() // 1000,
                nonce=reply.nonce,
            )
        return Response(reply.body, reply.status, headers, MEDIA_TYPE)


async def serve(config: RestSandboxConfig) -> None:
    """Run until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with RestSandbox(config) as sandbox:
        sys.stdout.write(f"READY {sandbox.port}\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Read the configuration file and serve."""
    parser = argparse.ArgumentParser(prog="tallystick.testing.sandbox.rest")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see RestSandboxConfig")
    parser.add_argument("--style", choices=STYLES, help="overrides the style of the file")
    arguments = parser.parse_args()
    config = msgspec.json.decode(arguments.config.read_bytes(), type=RestSandboxConfig)
    if arguments.style is not None:
        config = msgspec.structs.replace(config, style=arguments.style)
    asyncio.run(serve(config))


async def _until_disconnect(receive: Receive, seconds: float | None) -> None:
    """Wait until the platform goes away, at most `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


if __name__ == "__main__":
    main()
