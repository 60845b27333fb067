"""A wallet in Visa's style with the platform before it: authority, keys, sandbox, connector, and one that lies."""

import asyncio
import contextlib
import functools
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.connectors.visa import VisaConnector
from tallystick.adapters.connectors.visa_settings import VisaSettings
from tallystick.assembly.facts import Order
from tallystick.crypto import pay_token, pin
from tallystick.crypto.ca import BACK_END, DAY_MS, PLATFORM, Profile
from tallystick.crypto.mle import MleKey
from tallystick.crypto.pay_token import ResourcePath
from tallystick.crypto.tls import client_context, server_context
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.delivery.model import Instruction, MessageIds, Original
from tallystick.runtime import Millis, SystemClock, SystemRandomness
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox.rest_rules import SandboxCard
from tallystick.testing.sandbox.visa import VisaSandbox, VisaSandboxConfig
from tallystick.vault.model import CardCredential, Credential
from tallystick.wire import visa as wire
from tallystick.wire.rest import encode

PLATFORM_URI = "tallystick:platform:main"
API_KEY = "KSKDFJOP934ALSFDJP34"
SHARED_SECRET = "a shared secret of forty characters long"
NUMBER = "4242424242424242"
CARD = CardCredential(pan=Pan(NUMBER), expiry=Secret("3012"), pin_block=pin.pin_block_1(Secret("1234")))
CARDS = {NUMBER: SandboxCard(expiry="3012", pin="1234"), "4111111111111111": SandboxCard(expiry="3012")}


class ShiftedClock(SystemClock):
    """A clock that is wrong by `offset` ms."""

    offset = 0

    def now(self) -> Millis:
        return Millis(super().now() + self.offset)


@functools.cache
def mle_key(kid: str) -> MleKey:
    """Make each RSA key once."""
    return MleKey.generate(kid)


def instruction(amount: int = 1250, credential: Credential = CARD, key: str = "req_1") -> Instruction:
    return Instruction(
        payment_id="pay_1",
        order=Order(payee="Corner Shop", amount=amount, currency="CNY", reference="A-1"),
        ids=MessageIds(stan="000001", rrn="000000000001", key=key, at=Millis(1_767_225_600_000)),
        credential=credential,
    )


def original(sent: Instruction) -> Original:
    return Original(payment_id=sent.payment_id, order=sent.order, ids=sent.ids)


def follow_up(key: str = "req_2") -> MessageIds:
    return MessageIds(stan="000002", rrn="000000000002", key=key, at=Millis(1_767_225_601_000))


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


@dataclass
class World:
    """Files and keys of both sides; `clock` is the platform's."""

    place: Path
    ca: FileCa
    config: VisaSandboxConfig
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    own_key: MleKey = field(default_factory=functools.partial(mle_key, "own-1"))
    wallet_key: MleKey = field(default_factory=functools.partial(mle_key, "wallet-1"))

    def context(self, name: str = "platform", ca: FileCa | None = None) -> ssl.SSLContext:
        return client_context((ca or self.ca).trust, self.place / f"{name}.pem", self.place / f"{name}.key")

    def sandbox(self, **changes: Any) -> VisaSandbox:
        return VisaSandbox(replace(self.config, **changes))

    def settings(self, port: int, **others: Any) -> VisaSettings:
        told = {
            "base_url": f"https://localhost:{port}",
            "api_key": API_KEY,
            "shared_secret": Secret(SHARED_SECRET),
            "mle_kid": "wallet-1",
            "mle_key": self.wallet_key.public().pem().decode(),
            "own_mle_kid": "own-1",
            "own_mle_key": Secret(self.own_key.pem().decode()),
        }
        return VisaSettings(**{**told, **others})

    @contextlib.asynccontextmanager
    async def connector(
        self, settings: VisaSettings, context: ssl.SSLContext | None = None
    ) -> AsyncIterator[VisaConnector]:
        connector = VisaConnector(settings, context or self.context(), clock=self.clock, randomness=SystemRandomness())
        try:
            yield connector
        finally:
            await connector.aclose()

    @contextlib.asynccontextmanager
    async def pair(self, **changes: Any) -> AsyncIterator[tuple[VisaConnector, VisaSandbox]]:
        """Start a sandbox and a connector to it, which waits two seconds for an answer."""
        async with (
            self.sandbox(**changes) as sandbox,
            self.connector(sandbox.settings(self.own_key, timeout_s=2.0)) as connector,
        ):
            yield connector, sandbox


def make_world(place: Path) -> World:
    ca = FileCa.create(place / "ca", name="test", now=SystemClock().now())
    chain, key = certify(ca, place, "wallet", BACK_END, "tallystick:institution:visa", ["localhost"])
    certify(ca, place, "platform", PLATFORM, PLATFORM_URI, [])
    config = VisaSandboxConfig(
        chain=chain,
        key=key,
        client_ca=str(ca.trust),
        platform_uri=PLATFORM_URI,
        api_key=API_KEY,
        shared_secret=SHARED_SECRET,
        mle_kid="wallet-1",
        mle_key=write(place / "wallet-mle.key", mle_key("wallet-1").pem()),
        platform_mle_kid="own-1",
        platform_mle_key=write(place / "own-mle.pub", mle_key("own-1").public().pem()),
        cards=CARDS,
    )
    return World(place, ca, config)


def certify(ca: FileCa, place: Path, name: str, profile: Profile, uri: str, dns: list[str]) -> tuple[str, str]:
    key = new_private_key()
    csr = make_csr(key, uri=uri, dns=dns, common_name=name)
    chain = ca.issue(csr, profile, uri=uri, dns=dns, now=SystemClock().now(), life=DAY_MS)
    return write(place / f"{name}.pem", chain), write(place / f"{name}.key", key)


@dataclass(frozen=True)
class Seen:
    """One request as it left the TLS layer."""

    head: str
    body: bytes

    @property
    def target(self) -> str:
        return self.head.split(" ")[1]

    @property
    def headers(self) -> dict[str, str]:
        lines = [line.partition(": ") for line in self.head.split("\r\n")[1:] if line]
        return {name.lower(): value for name, _, value in lines}


Script = Callable[[Seen], bytes | None]


class LyingWallet:
    """A TLS server that answers every request with the bytes of a script; None closes the connection at once."""

    def __init__(self, world: World, script: Script) -> None:
        self.world = world
        self.script = script
        self.seen: list[Seen] = []

    @contextlib.asynccontextmanager
    async def running(self, **others: Any) -> AsyncIterator[VisaConnector]:
        config = self.world.config
        context = server_context(Path(config.chain), Path(config.key), Path(config.client_ca))
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        settings = self.world.settings(server.sockets[0].getsockname()[1], **{"timeout_s": 3.0, **others})
        try:
            async with self.world.connector(settings) as connector:
                yield connector
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
        writer.transport.abort()


def raw(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def approval(**changes: Any) -> bytes:
    decision = {"type": "authorizationAnswer", "idempotencyKey": "req_1", "status": "approved", "code": "00", **changes}
    return json.dumps(decision).encode()


def token_for(
    seen: Seen, body: bytes, *, status: int = 200, at: Millis | None = None, secret: str = SHARED_SECRET
) -> str:
    resource = ResourcePath.SHORT.of(seen.target)
    text = pay_token.response_text(status, resource, body)
    return pay_token.make(Secret(secret), at or SystemClock().now(), text)


def sealed(world: World, clear: bytes, *, key: MleKey | None = None, at: Millis | None = None) -> bytes:
    public = (key or world.own_key).public()
    return encode(wire.Sealed(enc_data=public.seal(clear, at or SystemClock().now())))


def answered(world: World, seen: Seen, clear: bytes, status: int = 200) -> bytes:
    """Answer as an honest wallet would, with this content."""
    body = sealed(world, clear)
    return raw(status, body, {pay_token.HEADER: token_for(seen, body, status=status)})
