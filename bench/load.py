"""The two-channel load generator: messages are sealed before the clock starts, so that its own work hardly counts.

It runs on another core than the server. Each worker keeps one connection per channel and sends the two parts of one
payment after the other.
"""

import asyncio
import itertools
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2

from tallystick.crypto.pin import pin_block_1
from tallystick.crypto.tls import client_context
from tallystick.sdk.keys import HeldKeys
from tallystick.sdk.requests import Request, seal_request
from tallystick.sdk.settings import Profile
from tallystick.secret import Secret
from tallystick.wire.part import PartContent, PhoneElement, WireOrder

PAN = "6250947000000014"
POLICY = "card"
ACCEPTED = 202


@dataclass
class Payment:
    """Two messages as bytes, and the amount by which the back end's acknowledgement is found."""

    amount: int
    first: bytes
    second: bytes


@dataclass
class Load:
    """What a run measured; times are monotonic nanoseconds, `refused` counts parts."""

    sent: dict[int, int] = field(default_factory=dict)
    refused: int = 0


async def held_keys(profile: Profile) -> HeldKeys:
    """Fetch the platform's key list as a channel does."""
    context = client_context(profile.ca, profile.certificate, profile.private_key)
    async with httpx2.AsyncClient(base_url=profile.base_url, verify=context, trust_env=False) as http:
        answer = await http.get("/.well-known/tallystick-keys")
    held = HeldKeys(profile.identity, profile.suite)
    held.take(answer.content, int(time.time() * 1000))  # type: ignore[arg-type]
    return held


Halves = Callable[[int], tuple[PartContent, PartContent]]


def prepare(
    pc: Profile,
    phone: Profile,
    keys: HeldKeys,
    numbers: "itertools.count[int]",
    count: int,
    halves: Halves | None = None,
) -> list[Payment]:
    """Seal and sign both messages of `count` payments, by default of embodiment 1."""
    write = halves or card_halves
    key, created = keys.newest(int(time.time() * 1000)), int(time.time())  # type: ignore[arg-type]

    def message(profile: Profile, content: PartContent) -> bytes:
        nonce, idempotency_key = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
        request = seal_request(
            profile.credentials,
            key,
            "/v1/parts",
            content,
            created=created,
            nonce=nonce,
            idempotency_key=idempotency_key,
        )
        return encode(request)

    made = []
    for number in itertools.islice(numbers, count):
        first, second = write(number)
        made.append(Payment(number + 1, message(pc, first), message(phone, second)))
    return made


def card_halves(number: int) -> tuple[PartContent, PartContent]:
    """Write the two parts of an embodiment 1 payment: card number by PC, PIN by phone."""
    element = PhoneElement(phone=f"+86138{number:08d}")
    card = {"pan": Secret(PAN), "expiry": Secret("3012")}
    first = PartContent(policy=POLICY, element=element, fields=card, order=order(number))
    return first, PartContent(policy=POLICY, element=element, fields={"pin_block": pin_block_1(Secret("135790"))})


def order(number: int) -> WireOrder:
    """Return what payment `number` is for; its amount is how the back end's acknowledgement is found."""
    return WireOrder(payee="Bench", amount=number + 1, currency="CNY", reference=f"bench-{number}")


def encode(request: Request) -> bytes:
    """Return a request as it goes over the wire."""
    head = [f"{request.method} {request.target} HTTP/1.1", "host: localhost", f"content-length: {len(request.body)}"]
    head += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join((*head, "", "")).encode() + request.body


class Connection:
    """One keep-alive connection that sends ready bytes and reads one answer at a time."""

    def __init__(self, profile: Profile, port: int) -> None:
        self._context: ssl.SSLContext = client_context(profile.ca, profile.certificate, profile.private_key)
        self._port = port

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._context, server_hostname="localhost"
        )

    async def exchange(self, message: bytes) -> int:
        """Send one message; return the status of its answer."""
        self._writer.write(message)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await self._reader.readexactly(length)
        return int(head[9:12])

    async def close(self) -> None:
        """Close."""
        self._writer.close()


async def connect(pc: Profile, phone: Profile, port: int, workers: int) -> list[tuple[Connection, Connection]]:
    """Open the connections of all workers: gateways keep theirs open, so handshakes are not part of a payment."""
    pairs = [(Connection(pc, port), Connection(phone, port)) for _ in range(workers)]
    for first, second in pairs:
        await first.open()
        await second.open()
    return pairs


async def run(payments: list[Payment], pairs: list[tuple[Connection, Connection]], *, second: bool = True) -> Load:
    """Send all payments, one at a time on each pair of connections; returns when every part is acknowledged.

    Without `second` only part one of each is sent: the payments stay open.
    """
    load, waiting = Load(), iter(payments)

    async def work(pc: Connection, phone: Connection) -> None:
        for payment in waiting:
            load.refused += await pc.exchange(payment.first) != ACCEPTED
            if second:
                load.sent[payment.amount] = time.monotonic_ns()
                load.refused += await phone.exchange(payment.second) != ACCEPTED

    await asyncio.gather(*(work(*pair) for pair in pairs))
    return load


async def echo(body: bytes, connections: list[Connection], count: int) -> None:
    """Send `count` equal bodies over the connections."""
    message = b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    waiting = iter(range(count))

    async def work(connection: Connection) -> None:
        for _ in waiting:
            await connection.exchange(message)

    await asyncio.gather(*(work(connection) for connection in connections))
