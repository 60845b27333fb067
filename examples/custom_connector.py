"""A connector of one's own, whole, with a small back end: JSON lines over TLS, each line under an HMAC.

The back end can be asked what became of a request, so the connector declares Recovery.INQUIRY. Every request has a
connection of its own. docs/howto/connect-a-back-end.md walks through this file; `tests/e2e/test_custom_connector.py`
runs it through the conformance suite.
"""

import asyncio
import contextlib
import hmac
import ssl
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from tallystick.adapters.connectors.kinds import Address, ConnectorKind, ConnectorTools
from tallystick.delivery.model import Answer, Finding, Instruction, Known, MessageIds, Original, Recovery, Verdict
from tallystick.errors import Misconfigured, NotSent, OutcomeUnknown, Unfit
from tallystick.runtime import Randomness
from tallystick.secret import Secret
from tallystick.vault.model import CardCredential

CONNECT_S = 5.0  # s for TCP and TLS
LINE_MAX = 4096  # bytes of a line
KEY_DIGITS = 64  # hexadecimal digits of the MAC key: 32 bytes
NO_ANSWER = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)  # TLS errors and time-outs are OSErrors


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator gives to `institution connect`; `mac_key` in hexadecimal."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)]
    server_name: str
    mac_key: Secret
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 20.0


class Reply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the back end answers: to the request with this `nonce`, about the payment with this `key`."""

    nonce: str
    key: str
    known: Literal["approved", "declined", "not_found"]
    code: str


def check(data: bytes) -> Settings:
    """Read settings; the error names no value, for one of them is a key."""
    with contextlib.suppress(msgspec.MsgspecError, ValueError):
        settings = msgspec.json.decode(data, type=Settings, dec_hook=lambda _, text: Secret(text))
        if len(settings.mac_key) == KEY_DIGITS and bytes.fromhex(settings.mac_key.reveal()):
            return settings
    raise Misconfigured("the settings are host, port, server_name, mac_key (64 hexadecimal digits) and timeout_s")


def seal(key: bytes, direction: bytes, body: bytes) -> bytes:
    """Write a line: the MAC, a blank, the JSON. The MAC covers the direction: no request serves as an answer."""
    return hmac.digest(key, direction + body, "sha256").hex().encode() + b" " + body + b"\n"


def unseal(key: bytes, direction: bytes, line: bytes) -> bytes | None:
    """Return the JSON of a line, or None when its MAC is not right."""
    body = line.partition(b" ")[2].rstrip(b"\n")
    return body if hmac.compare_digest(seal(key, direction, body), line) else None


class JsonLinesConnector:
    """One back end (`tallystick.delivery.ports.Connector`)."""

    recovery = frozenset({Recovery.INQUIRY})
    keeps_account = False

    def __init__(self, settings: Settings, context: ssl.SSLContext, randomness: Randomness) -> None:
        self._settings = settings
        self._key = bytes.fromhex(settings.mac_key.reveal())
        self._context = context
        self._randomness = randomness
        self._open: set[asyncio.StreamWriter] = set()
        self._closed = False

    async def deliver(self, instruction: Instruction) -> Answer:
        """Ask for one payment. What cannot be asked for is Unfit: the back end's health is not in question."""
        card, order = instruction.credential, instruction.order
        if not isinstance(card, CardCredential):
            raise Unfit("this back end takes cards only")
        expiry = card.expiry.reveal() if card.expiry else None
        facts = {"amount": order.amount, "currency": order.currency, "pan": card.pan.reveal(), "expiry": expiry}
        reply = await self._ask("pay", instruction.ids.key, facts)
        if reply.known == "not_found":
            raise OutcomeUnknown("the back end answers without a decision")
        return Answer(verdict=Verdict(reply.known), code=reply.code)

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:  # noqa: ARG002  # an inquiry has no id here
        """Ask what became of a payment."""
        reply = await self._ask("inquire", original.ids.key, {})
        return Finding(known=Known(reply.known), code=reply.code)

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:  # noqa: ARG002  # refused
        """Refuse: Recovery.REVERSAL is not declared, so nobody asks."""
        raise NotSent("this back end takes no reversals")

    async def echo(self) -> None:
        """Prove link, certificates and MAC key."""
        await self._ask("echo", "echo", {})

    async def aclose(self) -> None:
        """Cut every connection: requests under way end as OutcomeUnknown, later ones as NotSent."""
        self._closed = True
        for writer in self._open:
            writer.transport.abort()

    async def _ask(self, what: str, key: str, facts: dict[str, Any]) -> Reply:
        """Send one request and read its answer.

        1. Until the connection stands, nothing was sent: NotSent.
        2. From the first byte on, only an answer counts that has a right MAC and names this request: else
           OutcomeUnknown.
        """
        nonce = self._randomness.token(16).hex()
        request = seal(self._key, b"request", msgspec.json.encode({"type": what, "key": key, "nonce": nonce, **facts}))
        # 1.
        reader, writer = await self._connect()
        self._open.add(writer)
        # 2.
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                writer.write(request)
                line = await reader.readuntil(b"\n")
        except NO_ANSWER as failed:
            raise OutcomeUnknown(f"no answer of the back end: {type(failed).__name__}") from failed
        finally:
            self._open.discard(writer)
            writer.transport.abort()
        body = unseal(self._key, b"answer", line)
        with contextlib.suppress(msgspec.MsgspecError):
            reply = msgspec.json.decode(body or b"", type=Reply)
            if (reply.nonce, reply.key) == (nonce, key):
                return reply
        raise OutcomeUnknown("the answer of the back end proves nothing")

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._closed:
            raise NotSent("the connector is closed")
        to = self._settings
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    to.host, to.port, ssl=self._context, server_hostname=to.server_name, limit=LINE_MAX
                )
        except OSError as failed:  # ssl.SSLError and TimeoutError, too
            raise NotSent(f"no connection to the back end: {type(failed).__name__}") from failed
        if self._closed:
            writer.transport.abort()
            raise NotSent("the connector is closed")
        return reader, writer


def build(settings: bytes, tools: ConnectorTools) -> JsonLinesConnector:
    """Make a connector with the platform's certificate."""
    return JsonLinesConnector(check(settings), tools.ssl_context, tools.randomness)


def address(settings: bytes) -> Address:
    """Say where `institution test` finds the back end."""
    to = check(settings)
    return Address(to.host, to.port, to.server_name)


KIND = ConnectorKind(name="jsonl", check=check, build=build, address=address)
"""What the entry point names: see docs/howto/connect-a-back-end.md."""


class JsonLinesBackEnd:
    """The other end: it decides each key once, approves even amounts and declines odd ones."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.decided: dict[str, str] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection (`asyncio.start_server`)."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            body = unseal(self._key, b"request", await reader.readuntil(b"\n"))
            if body is not None:
                await self.answer(msgspec.json.decode(body), writer)
        writer.close()

    async def answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Decide, where it is asked to, and answer."""
        key = request["key"]
        if request["type"] == "pay":
            self.decided.setdefault(key, "declined" if request["amount"] % 2 else "approved")
        known = self.decided.get(key, "not_found")
        reply = {"nonce": request["nonce"], "key": key, "known": known, "code": "05" if known == "declined" else "00"}
        writer.write(seal(self._key, b"answer", msgspec.json.encode(reply)))
