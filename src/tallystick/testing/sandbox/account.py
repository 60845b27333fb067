"""A sandbox account system of a third party in the style of Antom.

    python -m tallystick.testing.sandbox.account --config FILE.json

It prints `READY <port>` when it accepts connections, and ends at SIGTERM. `account_back_end` says what it checks,
`account_rules` what it decides, `http_failures` how it fails on request. It tells the platform what became of pending
payments by callbacks.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from msgspec import field
from starlette.types import Receive, Scope, Send

from tallystick.adapters.connectors.account_settings import AccountSettings
from tallystick.adapters.connectors.http_exchange import HttpExchange
from tallystick.crypto.jose import JweKey
from tallystick.crypto.rsa_sign import (
    RsaPrivate,
    TimeHeader,
    load_rsa_private,
    load_rsa_public,
    sign_message,
    verify_message,
)
from tallystick.crypto.tls import client_context
from tallystick.errors import DeliveryError, SignatureInvalid
from tallystick.runtime import Clock, SystemClock
from tallystick.testing.sandbox.account_back_end import AccountBackEnd, Reply, paid_of, result_of
from tallystick.testing.sandbox.http_failures import Answered, Failure, send_answer
from tallystick.testing.sandbox.http_server import HttpServer, Listening, read_request, serve
from tallystick.testing.sandbox.ledger import Later, Payment
from tallystick.testing.sandbox.record import Record
from tallystick.wire import account as wire

TELL_TIMEOUT_S: Final = 5.0  # s the platform may take to answer a callback
OK: Final = 200


class AccountSandboxConfig(Listening, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration file; every key, certificate and the record is the name of a file.

    The platform is `client_id` and signs with `platform_key` (public RSA, PEM) of version `platform_key_version`.
    `signing_key` (private RSA, PEM) of version `signing_key_version` signs answers and callbacks, `encryption_key`
    (private P-256, PKCS#8 in DER) opens credentials. `accounts` maps an account to its secret. A late answer comes
    after `slow_s`. Callbacks go to `platform_url`, where there is one, for `institution`.
    """

    institution: str
    client_id: str
    platform_key: str
    signing_key: str
    encryption_key: str
    encryption_kid: str
    platform_key_version: int = 1
    signing_key_version: int = 1
    accounts: dict[str, str] = field(default_factory=dict)
    record: str | None = None
    slow_s: float = 30.0
    platform_url: str | None = None


class AccountSandbox:
    """One sandbox account system, in this process; `record` has every request, `server` the connections."""

    def __init__(self, config: AccountSandboxConfig, clock: Clock | None = None) -> None:
        self.record = Record(None if config.record is None else Path(config.record))
        self._config = config
        self._clock = clock or SystemClock()
        self._platform_keys = {config.platform_key_version: load_rsa_public(Path(config.platform_key).read_bytes())}
        self._signing_key = load_rsa_private(Path(config.signing_key).read_bytes())
        self._encryption_key = JweKey.from_private(config.encryption_kid, Path(config.encryption_key).read_bytes())
        self._back_end = AccountBackEnd(
            client_id=config.client_id,
            platform_keys=self._platform_keys,
            encryption_key=self._encryption_key,
            accounts=config.accounts,
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

    def settings(self, **others: Any) -> AccountSettings:
        """Return what the platform's operator would be told; `others` replace or add, and give `private_key`."""
        config = self._config
        told = {
            "base_url": f"https://localhost:{self.port}",
            "client_id": config.client_id,
            "key_version": config.platform_key_version,
            "verify_keys": {config.signing_key_version: self._signing_key.public().pem().decode()},
            "encryption_jwk": self._encryption_key.public_jwk(),
            "currencies": frozenset({"CNY"}),
        }
        return AccountSettings(**{**told, **others})

    async def start(self) -> None:
        """Bind and accept, and go on with what a restart found pending."""
        await self.server.start()
        for key in self._back_end.ledger.pending():
            self._later.start(key)

    async def stop(self) -> None:
        """Cut every connection; what was decided stays decided, what is pending stays so."""
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
        reply = self._back_end.reply(request)
        if reply.pending is not None:
            self._later.start(reply.pending)
        answered = self._signed(request.method, request.target, reply)
        await send_answer(answered, scope, receive, send, late_s=self._config.slow_s)

    def _signed(self, method: str, path: str, reply: Reply) -> Answered:
        headers = {"content-type": wire.MEDIA_TYPE}
        if reply.signed:
            key = RsaPrivate() if reply.failure is Failure.FORGED else self._signing_key
            headers |= self._signature(key, method, path, "response-time", reply.body)
        return Answered(status=reply.status, headers=headers, body=reply.body, failure=reply.failure)

    def _signature(
        self, key: RsaPrivate, method: str, path: str, time_header: TimeHeader, body: bytes
    ) -> dict[str, str]:
        return sign_message(
            key,
            self._config.signing_key_version,
            method=method,
            path=path,
            client_id=self._config.client_id,
            time_header=time_header,
            at=self._clock.now(),
            body=body,
        )

    def _reach_platform(self) -> HttpExchange | None:
        config = self._config
        if config.platform_url is None:
            return None
        context = client_context(Path(config.client_ca), Path(config.chain), Path(config.key))
        return HttpExchange(config.platform_url, context, TELL_TIMEOUT_S, None)

    async def _tell(self, key: str, payment: Payment) -> None:
        """Tell the platform what became of a pending payment, and verify what it answers."""
        if self._platform is None:
            return
        path = wire.NOTIFICATIONS.format(institution=self._config.institution)
        message = wire.PaymentResult(
            notify_type="PAYMENT_RESULT",
            result=result_of(payment),
            payment_request_id=key,
            payment_amount=paid_of(payment),
        )
        body = msgspec.json.encode(message)
        signer = RsaPrivate() if payment.failure is Failure.TOLD_FORGED else self._signing_key
        headers = {"content-type": wire.MEDIA_TYPE, **self._signature(signer, "POST", path, "request-time", body)}
        try:
            response, answer = await self._platform.send("POST", path, headers, body)
            told = str(response.status_code)
            if response.status_code == OK:
                verify_message(
                    self._platform_keys,
                    method="POST",
                    path=path,
                    client_id=self._config.client_id,
                    time_header="response-time",
                    headers=response.headers,
                    body=answer,
                    now=self._clock.now(),
                )
        except (DeliveryError, SignatureInvalid) as failed:
            told = failed.code
        self._back_end.note_told(key, told)


def main() -> None:
    """Read the configuration file and serve."""
    parser = argparse.ArgumentParser(prog="tallystick.testing.sandbox.account")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see AccountSandboxConfig")
    config = msgspec.json.decode(parser.parse_args().config.read_bytes(), type=AccountSandboxConfig)
    asyncio.run(serve(AccountSandbox(config)))


if __name__ == "__main__":
    main()
