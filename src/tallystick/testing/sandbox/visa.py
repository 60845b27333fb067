"""A sandbox wallet in Visa's style.

    python -m tallystick.testing.sandbox.visa --config FILE.json

It prints `READY <port>` when it accepts connections, and ends at SIGTERM. `visa_back_end` says what it checks,
`visa_ledger` what it remembers, `visa_rules` how it fails on request.
"""

import argparse
import asyncio
import base64
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import field
from starlette.types import Receive, Scope, Send

from tallystick.adapters.connectors.visa_settings import VisaSettings
from tallystick.crypto import pay_token
from tallystick.crypto.mle import ContentEncryption, MleKey, MlePublic
from tallystick.crypto.pay_token import ResourcePath
from tallystick.runtime import Clock, SystemClock
from tallystick.secret import Secret
from tallystick.testing.sandbox.http_failures import Answered, Failure, send_answer
from tallystick.testing.sandbox.http_server import HttpServer, Listening, Received, read_request, serve
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.rest_rules import SandboxCard
from tallystick.testing.sandbox.visa_back_end import Agreed, Reply, VisaBackEnd
from tallystick.testing.sandbox.visa_ledger import Ledger
from tallystick.wire import visa as wire
from tallystick.wire.rest import encode


class VisaSandboxConfig(Listening, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration file; every key but the API key, every certificate and the record is the name of a file.

    `mle_key` (private RSA, PEM) opens requests, `platform_mle_key` (public RSA, PEM) seals answers, with `encryption`.
    With `user_id` and `password` each request must bring them. `cards` maps a number to its card. A late answer comes
    after `late_s`; a pending authorization is decided after `pending_queries` inquiries;
    `reversal_silences` reversals of amounts that end in 9911 get no answer.
    """

    api_key: str
    shared_secret: str
    mle_kid: str
    mle_key: str
    platform_mle_kid: str
    platform_mle_key: str
    encryption: ContentEncryption = "A128GCM"
    token_path: ResourcePath = ResourcePath.SHORT
    user_id: str | None = None
    password: str | None = None
    cards: dict[str, SandboxCard] = field(default_factory=dict)
    late_s: float = 30.0
    pending_queries: int = 1
    reversal_silences: int = 2
    record: str | None = None


class VisaSandbox:
    """One sandbox wallet, in this process; `record` has every request, `server` the connections."""

    def __init__(self, config: VisaSandboxConfig, clock: Clock | None = None) -> None:
        self.record = Record(None if config.record is None else Path(config.record))
        self.server = HttpServer(self, config)
        self._config = config
        self._clock = clock or SystemClock()
        self._secret = Secret(config.shared_secret)
        self._key = MleKey.from_pem(config.mle_kid, Path(config.mle_key).read_bytes())
        self._platform_key = MlePublic.from_pem(config.platform_mle_kid, Path(config.platform_mle_key).read_bytes())
        agreed = Agreed(
            api_key=config.api_key,
            shared_secret=self._secret,
            key=self._key,
            token_path=config.token_path,
            login=_login(config.user_id, config.password),
        )
        ledger = Ledger(
            config.cards,
            self.record,
            self._clock,
            pending_queries=config.pending_queries,
            silences=config.reversal_silences,
        )
        self._back_end = VisaBackEnd(agreed, ledger, self._clock)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """Return the bound port; RuntimeError before `start`."""
        return self.server.port

    def settings(self, own_mle_key: MleKey, **others: Any) -> VisaSettings:
        """Return what the platform's operator would set for this wallet; `others` replace or add."""
        config = self._config
        told = {
            "base_url": f"https://localhost:{self.port}",
            "api_key": config.api_key,
            "shared_secret": self._secret,
            "mle_kid": config.mle_kid,
            "mle_key": self._key.public().pem().decode(),
            "own_mle_kid": own_mle_key.kid,
            "own_mle_key": Secret(own_mle_key.pem().decode()),
            "token_path": config.token_path,
            "user_id": None if config.user_id is None else Secret(config.user_id),
            "password": None if config.password is None else Secret(config.password),
        }
        return VisaSettings(**{**told, **others})

    async def start(self) -> None:
        """Bind and accept."""
        await self.server.start()

    async def stop(self) -> None:
        """Cut every connection; what was decided stays decided."""
        await self.server.stop()
        self.record.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI), or fail to, as its amount asks."""
        request = await read_request(scope, receive)
        if request is None:
            return
        reply = self._back_end.reply(request)
        if reply.failure is Failure.TWICE:
            reply = self._back_end.reply(request)
        await send_answer(self._sealed(request, reply), scope, receive, send, late_s=self._config.late_s)

    def _sealed(self, request: Received, reply: Reply) -> Answered:
        """Seal an answer and make its token; a refusal has neither."""
        headers = {"content-type": wire.MEDIA_TYPE}
        if reply.answer is None:
            body = msgspec.json.encode({"code": reply.refusal})
            return Answered(status=reply.status, headers=headers, body=body, failure=reply.failure)
        now, config = self._clock.now(), self._config
        token = self._platform_key.seal(encode(reply.answer), now, config.encryption)
        body = encode(wire.Sealed(enc_data=token))
        secret = Secret("nobody knows this secret") if reply.failure is Failure.FORGED else self._secret
        text = pay_token.response_text(reply.status, config.token_path.of(request.target), body)
        headers[pay_token.HEADER] = pay_token.make(secret, now, text)
        return Answered(status=reply.status, headers=headers, body=body, failure=reply.failure)


def _login(user_id: str | None, password: str | None) -> Secret | None:
    if user_id is None or password is None:
        return None
    return Secret(f"Basic {base64.b64encode(f'{user_id}:{password}'.encode()).decode()}")


def main() -> None:
    """Read the configuration file and serve."""
    parser = argparse.ArgumentParser(prog="tallystick.testing.sandbox.visa")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see VisaSandboxConfig")
    arguments = parser.parse_args()
    config = msgspec.json.decode(arguments.config.read_bytes(), type=VisaSandboxConfig)
    asyncio.run(serve(VisaSandbox(config)))


if __name__ == "__main__":
    main()
