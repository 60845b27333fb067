"""A sandbox REST back end in two styles: `account`, a third party's account system, and `wallet`, a card wallet.

    python -m tallystick.testing.sandbox.rest --config FILE.json [--style account|wallet]

It prints `READY <port>` when it accepts connections, and ends at SIGTERM. `rest_back_end` says what it checks,
`rest_rules` what it decides and how it fails on request.
"""

import argparse
import asyncio
import functools
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec
from msgspec import field
from starlette.types import Receive, Scope, Send

from tallystick.adapters.connectors.http_exchange import HttpExchange
from tallystick.adapters.connectors.rest_settings import RestSettings
from tallystick.assembly.facts import CredentialKind
from tallystick.crypto.httpsig import sign_request, sign_response
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import Ed25519Private, load_private, load_public
from tallystick.crypto.tls import client_context
from tallystick.errors import DeliveryError
from tallystick.runtime import Clock, SystemClock, SystemRandomness, new_id
from tallystick.testing.sandbox.http_failures import Answered, Failure, send_answer
from tallystick.testing.sandbox.http_server import HttpServer, Listening, read_request, serve
from tallystick.testing.sandbox.ledger import Later, Payment, Standing
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.rest_back_end import Reply, RestBackEnd
from tallystick.testing.sandbox.rest_rules import SandboxCard, rule
from tallystick.wire import rest as wire

STYLES: Final = {"account": CredentialKind.ACCOUNT, "wallet": CredentialKind.CARD}
TELL_TIMEOUT_S: Final = 5.0  # s the platform may take to answer an outcome


class RestSandboxConfig(Listening, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration file; every key, certificate and the record is the name of a file.

    The platform signs with `platform_key` (public, PEM) as `platform_keyid`. `signing_key` (private Ed25519, PEM) signs
    answers, `encryption_key` (private P-256, PKCS#8 in DER) opens credentials. `accounts` maps an account to its
    secret, `cards` a number to its card. A late answer comes after `slow_s`. Outcomes of what was pending are told to
    `platform_url`, where there is one.
    """

    institution: str
    platform_key: str
    platform_keyid: str
    signing_key: str
    signing_keyid: str
    encryption_key: str
    encryption_kid: str
    style: Literal["account", "wallet"] = "account"
    accounts: dict[str, str] = field(default_factory=dict)
    cards: dict[str, SandboxCard] = field(default_factory=dict)
    record: str | None = None
    slow_s: float = 30.0
    platform_url: str | None = None


class RestSandbox:
    """One sandbox back end, in this process; `record` has every request, `server` the connections."""

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
        self._later = Later(self._back_end.ledger, self._back_end.note_decision, self._tell)
        self._platform = self._reach_platform()
        self.server = HttpServer(self, config)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """Return the bound port; RuntimeError before `start`."""
        return self.server.port

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
        """Bind and accept, and go on with what a restart found pending."""
        await self.server.start()
        for key in self._back_end.ledger.pending():
            self._later.start(key)

    async def stop(self) -> None:
        """Cut every connection; what was decided stays decided."""
        await self.server.stop()
        await self._later.aclose()
        if self._platform is not None:
            await self._platform.aclose()
        self.record.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        request = await read_request(scope, receive)
        if request is None:
            return
        reply = self._back_end.reply(request.method, request.target, request.headers, request.body)
        if reply.pending is not None:
            self._later.start(reply.pending)
        await send_answer(self._signed(reply), scope, receive, send, late_s=self._config.slow_s)

    def _signed(self, reply: Reply) -> Answered:
        headers = {"content-type": wire.MEDIA_TYPE}
        if reply.nonce is not None:
            headers |= sign_response(
                Ed25519Private() if reply.failure is Failure.FORGED else self._signing_key,
                keyid=self._config.signing_keyid,
                status=reply.status,
                body=reply.body,
                created=self._clock.now() // 1000,
                nonce=reply.nonce,
            )
        return Answered(status=reply.status, headers=headers, body=reply.body, failure=reply.failure)

    def _reach_platform(self) -> HttpExchange | None:
        config = self._config
        if config.platform_url is None:
            return None
        context = client_context(Path(config.client_ca), Path(config.chain), Path(config.key))
        return HttpExchange(config.platform_url, context, TELL_TIMEOUT_S, None)

    async def _tell(self, key: str, payment: Payment) -> None:
        """Tell the platform what became of a pending request, signed like an institution's message."""
        if self._platform is None:
            return
        verdict: Literal["approved", "declined"] = "approved" if payment.standing is Standing.APPROVED else "declined"
        body = wire.encode(wire.OutcomeNotice(version=1, payment_key=key, verdict=verdict, code=payment.code))
        headers = {"content-type": wire.MEDIA_TYPE, "idempotency-key": key}
        headers |= sign_request(
            Ed25519Private() if payment.failure is Failure.TOLD_FORGED else self._signing_key,
            keyid=self._config.institution,
            method="POST",
            target=wire.OUTCOMES,
            body=body,
            headers=headers,
            covered=wire.REQUEST_COVERED,
            created=self._clock.now() // 1000,
            nonce=new_id("n", SystemRandomness()),
        )
        try:
            response, _ = await self._platform.send("POST", wire.OUTCOMES, headers, body)
            answer = str(response.status_code)
        except DeliveryError as failed:
            answer = failed.code
        self._back_end.note_told(key, answer)


def main() -> None:
    """Read the configuration file and serve."""
    parser = argparse.ArgumentParser(prog="tallystick.testing.sandbox.rest")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see RestSandboxConfig")
    parser.add_argument("--style", choices=STYLES, help="overrides the style of the file")
    arguments = parser.parse_args()
    config = msgspec.json.decode(arguments.config.read_bytes(), type=RestSandboxConfig)
    if arguments.style is not None:
        config = msgspec.structs.replace(config, style=arguments.style)
    asyncio.run(serve(RestSandbox(config)))


if __name__ == "__main__":
    main()
