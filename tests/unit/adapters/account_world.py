"""Account systems in the sandbox, and one that lies, with the files they are configured by, over real TLS."""

import contextlib
import json
import urllib.parse
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rest_world import ACCOUNT, INSTITUTION, PLATFORM_URI, LyingBackEnd, Seen, ShiftedClock, certify, raw, write

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.connectors.account import AccountConnector
from tallystick.adapters.connectors.account_settings import AccountSettings
from tallystick.assembly.facts import Order
from tallystick.crypto.ca import BACK_END, PLATFORM
from tallystick.crypto.jose import JweKey
from tallystick.crypto.rsa_sign import RsaPrivate, sign_message
from tallystick.crypto.tls import client_context
from tallystick.delivery.model import Instruction, MessageIds, Original
from tallystick.runtime import Clock, Millis, SystemClock
from tallystick.secret import Secret
from tallystick.testing.sandbox.account import AccountSandboxConfig
from tallystick.vault.model import Credential

CLIENT_ID = "CLIENT_1"
OURS, THEIRS = RsaPrivate(), RsaPrivate()
ENCRYPTION_KEY = JweKey.generate("enc-1")


def instruction(amount: int = 1250, credential: Credential = ACCOUNT, key: str = "req_1", **order: Any) -> Instruction:
    return Instruction(
        payment_id="pay_1",
        order=Order(**{"payee": "Corner Shop", "amount": amount, "currency": "CNY", "reference": "A-1", **order}),
        ids=MessageIds(stan="000001", rrn="000000000001", key=key, at=SystemClock().now()),
        credential=credential,
    )


def original(amount: int = 1250, key: str = "req_1") -> Original:
    told = instruction(amount, key=key)
    return Original(payment_id=told.payment_id, order=told.order, ids=told.ids)


IDS = MessageIds(stan="000002", rrn="000000000002", key="req_2", at=Millis(1))


@dataclass
class AccountSite:
    """One authority, the platform, and the files an account sandbox is configured with."""

    place: Path
    ca: FileCa
    config: AccountSandboxConfig
    clock: Clock

    @classmethod
    def make(cls, place: Path, clock: Clock | None = None, **others: Any) -> "AccountSite":
        ca = FileCa.create(place / "ca", name="test", now=SystemClock().now())
        uri = f"tallystick:institution:{INSTITUTION}"
        chain, key = certify(ca, place, "bank", BACK_END, uri, ["localhost"])
        certify(ca, place, "platform", PLATFORM, PLATFORM_URI, ["localhost"])
        config = AccountSandboxConfig(
            institution=INSTITUTION,
            chain=chain,
            key=key,
            client_ca=str(ca.trust),
            platform_uri=PLATFORM_URI,
            client_id=CLIENT_ID,
            platform_key=write(place / "platform.pub", OURS.public().pem()),
            signing_key=write(place / "bank-sign.key", THEIRS.pem()),
            encryption_key=write(place / "bank-jwe.key", ENCRYPTION_KEY.private_bytes()),
            encryption_kid="enc-1",
            **{"accounts": {ACCOUNT.account.reveal(): ACCOUNT.secret.reveal()}, **others},
        )
        return cls(place, ca, config, clock or ShiftedClock())

    def settings(self, port: int, **others: Any) -> AccountSettings:
        told = {
            "base_url": f"https://localhost:{port}",
            "client_id": CLIENT_ID,
            "key_version": 1,
            "private_key": Secret(OURS.pem().decode()),
            "verify_keys": {1: THEIRS.public().pem().decode()},
            "encryption_jwk": ENCRYPTION_KEY.public_jwk(),
            "currencies": frozenset({"CNY", "HKD"}),
            "timeout_s": 2.0,
        }
        return AccountSettings(**{**told, **others})

    @contextlib.asynccontextmanager
    async def connector(self, port: int, name: str = "platform", **others: Any) -> AsyncIterator[AccountConnector]:
        context = client_context(self.ca.trust, self.place / f"{name}.pem", self.place / f"{name}.key")
        connector = AccountConnector(self.settings(port, **others), context, self.clock)
        try:
            yield connector
        finally:
            await connector.aclose()

    @contextlib.asynccontextmanager
    async def lying(self, lie: Callable[["AccountSite", Seen], bytes | None]) -> AsyncIterator["Liar"]:
        """Run a back end that answers by `lie`, and a connector to it."""
        back_end = LyingBackEnd(self, lambda seen: lie(self, seen))  # type: ignore[arg-type]  # it needs TLS files only
        async with back_end.running() as settings:
            port = urllib.parse.urlsplit(settings.base_url).port
            assert port is not None
            async with self.connector(port) as connector:
                yield Liar(connector, back_end.seen)


@dataclass(frozen=True)
class Liar:
    connector: AccountConnector
    seen: list[Seen]


def signed(
    seen: Seen, body: bytes, *, key: RsaPrivate = THEIRS, version: int = 1, late_ms: int = 0, path: str | None = None
) -> dict[str, str]:
    return sign_message(
        key,
        version,
        method="POST",
        path=path or seen.head.split(" ")[1],
        client_id=CLIENT_ID,
        time_header="response-time",
        at=Millis(SystemClock().now() - late_ms),
        body=body,
    )


def answer(
    told: object, status: int = 200, sent: bytes | None = None, **how: Any
) -> Callable[[AccountSite, Seen], bytes]:
    """Answer with JSON signed as `how` says; `sent` is what goes over the wire in its place."""
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return lambda _, seen: raw(status, body if sent is None else sent, signed(seen, body, **how))


def result(code: str = "SUCCESS", status: str = "S", **others: Any) -> dict[str, Any]:
    return {
        "result": {"resultCode": code, "resultStatus": status, "resultMessage": "text"},
        "paymentRequestId": "req_1",
        **others,
    }


PAID = {"paymentAmount": {"currency": "CNY", "value": "1250"}}
