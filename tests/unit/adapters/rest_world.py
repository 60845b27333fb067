"""REST sandboxes and back ends that lie, with the files they are configured by, over real TLS on loopback."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.connectors.rest import RestConnector
from tallystick.adapters.connectors.rest_settings import RestSettings
from tallystick.assembly.facts import CredentialKind, Order
from tallystick.crypto.ca import BACK_END, DAY_MS, PLATFORM, Profile
from tallystick.crypto.httpsig import parse_signature, sign_response
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.tls import client_context, server_context
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.delivery.model import Answer, Instruction, MessageIds, Verdict
from tallystick.runtime import Millis, SystemClock, SystemRandomness
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox.record import Entry, read
from tallystick.testing.sandbox.rest import RestSandboxConfig
from tallystick.vault.model import AccountCredential, CardCredential, Credential

INSTITUTION = "40010001"
PLATFORM_URI = "tallystick:platform:main"
ACCOUNT = AccountCredential(account=Secret("alipay:alice@example.com"), secret=Secret("correct horse battery"))
CARD = CardCredential(pan=Pan("4242424242424242"), expiry=Secret("3012"))
APPROVED_ONCE = Answer(verdict=Verdict.APPROVED, code="00", approval="000001")


class ShiftedClock(SystemClock):
    """A clock that is wrong by `offset` ms."""

    offset = 0

    def now(self) -> Millis:
        return Millis(super().now() + self.offset)


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


@dataclass
class Site:
    """One authority, the platform with its keys, and the files a sandbox is configured with."""

    place: Path
    ca: FileCa
    config: RestSandboxConfig
    platform_key: Ed25519Private
    signing_key: Ed25519Private
    encryption_key: JweKey
    clock: ShiftedClock = field(default_factory=ShiftedClock)

    @classmethod
    def make(cls, place: Path, **others: Any) -> "Site":
        ca = FileCa.create(place / "ca", name="test", now=SystemClock().now())
        platform_key, signing_key = Ed25519Private(), Ed25519Private()
        encryption_key = JweKey.generate("enc-1")
        chain, key = certify(ca, place, "bank", BACK_END, f"tallystick:institution:{INSTITUTION}", ["localhost"])
        certify(ca, place, "platform", PLATFORM, PLATFORM_URI, ["localhost"])
        config = RestSandboxConfig(
            institution=INSTITUTION,
            chain=chain,
            key=key,
            client_ca=str(ca.trust),
            platform_uri=PLATFORM_URI,
            platform_key=write(place / "platform-sign.pub", platform_key.public().pem()),
            platform_keyid="platform-1",
            signing_key=write(place / "bank-sign.key", signing_key.pem()),
            signing_keyid="bank-1",
            encryption_key=write(place / "bank-jwe.key", encryption_key.private_bytes()),
            encryption_kid="enc-1",
            record=str(place / "record.jsonl"),
            **{"accounts": {ACCOUNT.account.reveal(): ACCOUNT.secret.reveal()}, **others},
        )
        return cls(place, ca, config, platform_key, signing_key, encryption_key)

    def context(self, name: str = "platform", ca: FileCa | None = None) -> ssl.SSLContext:
        return client_context((ca or self.ca).trust, self.place / f"{name}.pem", self.place / f"{name}.key")

    def settings(self, port: int, **others: Any) -> RestSettings:
        told = {
            "base_url": f"https://localhost:{port}",
            "institution": INSTITUTION,
            "encryption_jwk": self.encryption_key.public_jwk(),
            "verify_key": self.signing_key.public().pem().decode(),
            "accepts": frozenset({CredentialKind.ACCOUNT, CredentialKind.CARD}),
            "timeout_s": 2.0,
        }
        return RestSettings(**{**told, **others})

    @contextlib.asynccontextmanager
    async def connector(
        self, settings: RestSettings, context: ssl.SSLContext | None = None, key: Ed25519Private | None = None
    ) -> AsyncIterator[RestConnector]:
        connector = RestConnector(
            settings,
            context or self.context(),
            signer=key or self.platform_key,
            keyid="platform-1",
            clock=self.clock,
            randomness=SystemRandomness(),
        )
        try:
            yield connector
        finally:
            await connector.aclose()

    def entries(self) -> list[Entry]:
        return read(self.place / "record.jsonl")


def certify(ca: FileCa, place: Path, name: str, profile: Profile, uri: str, dns: list[str]) -> tuple[str, str]:
    key = new_private_key()
    csr = make_csr(key, uri=uri, dns=dns, common_name=name)
    chain = ca.issue(csr, profile, uri=uri, dns=dns, now=SystemClock().now(), life=DAY_MS)
    return write(place / f"{name}.pem", chain), write(place / f"{name}.key", key)


def instruction(amount: int = 1250, credential: Credential = ACCOUNT, key: str = "req_1") -> Instruction:
    return Instruction(
        payment_id="pay_1",
        order=Order(payee="Corner Shop", amount=amount, currency="CNY", reference="A-1"),
        ids=MessageIds(stan="000001", rrn="000000000001", key=key, at=SystemClock().now()),
        credential=credential,
    )


@dataclass(frozen=True)
class Seen:
    """One request as it left the TLS layer."""

    head: str
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        lines = [line.partition(": ") for line in self.head.split("\r\n")[1:] if line]
        return {name.lower(): value for name, _, value in lines}

    @property
    def nonce(self) -> str:
        return parse_signature(self.headers).nonce


Script = Callable[[Seen], bytes | None]


class LyingBackEnd:
    """A TLS server that answers every request with the bytes of a script; None closes the connection at once.

    After an answer it sends `drip` for ever, where there is one.
    """

    def __init__(self, site: Site, script: Script, drip: bytes = b"") -> None:
        self.site = site
        self.script = script
        self.drip = drip
        self.seen: list[Seen] = []
        self.connections = 0

    @contextlib.asynccontextmanager
    async def running(self, **others: Any) -> AsyncIterator[RestSettings]:
        config = self.site.config
        context = server_context(Path(config.chain), Path(config.key), Path(config.client_ca))
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        try:
            yield self.site.settings(server.sockets[0].getsockname()[1], **others)
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(Seen(head, b"").headers.get("content-length", "0"))
                request = Seen(head, await reader.readexactly(length))
                self.seen.append(request)
                answer = self.script(request)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                while self.drip:
                    writer.write(self.drip)
                    await writer.drain()
                    await asyncio.sleep(0.05)
        writer.transport.abort()


def raw(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def silent(arrived: asyncio.Event) -> Script:
    """Read a request, say so, and answer nothing."""

    def script(_: Seen) -> bytes:
        arrived.set()
        return b""

    return script


def approval(**changes: Any) -> bytes:
    decision = {"version": 1, "payment_key": "req_1", "verdict": "approved", "code": "00", **changes}
    return json.dumps(decision).encode()


def signed(site: Site, seen: Seen, body: bytes, status: int = 200, nonce: str | None = None) -> dict[str, str]:
    return sign_response(
        site.signing_key, keyid="bank-1", status=status, body=body, created=1, nonce=nonce or seen.nonce
    )
