"""A back end in UnionPay's style: it checks what a real one would, keeps a record, and fails on request.

    python -m tallystick.testing.sandbox.unionpay --config FILE.json

prints `READY <port>` when it listens and ends on SIGTERM or SIGINT. The file holds a `SandboxConfig`.
"""

import argparse
import asyncio
import signal
import ssl
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal, cast

import msgspec
from msgspec import Struct

from tallystick.crypto import mac
from tallystick.crypto.mac import MacAlgorithm
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.tls import server_context
from tallystick.crypto.x509 import read_certificate
from tallystick.errors import Malformed, Misconfigured, NotAuthentic, Refused, SignatureInvalid
from tallystick.iso8583.framing import Deframer, LengthHeader, frame
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import specification
from tallystick.runtime import Clock, SystemClock
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.unionpay_issuer import FAILURES, Card, Code, Failure, Issuer

if sys.platform == "win32":
    from asyncio import run
else:
    from uvloop import run  # a benchmark measures the platform, not its back end

PLATFORM: Final = "tallystick:platform:"  # how the SAN URI of every permitted peer begins
REQUIRED: Final = ("2", "3", "4", "7", "11", "12", "13", "22", "25", "32", "37", "41", "42", "49")
ECHOED: Final = ("2", "3", "4", "7", "11", "12", "13", "25", "32", "33", "37", "41", "42", "49")
SIGN_ON: Final = "001"  # DE70
NETWORK_MESSAGES: Final = frozenset({SIGN_ON, "002", "301"})  # DE70
WITH_PIN: Final = "1"  # third digit of DE22
DELAY_S: Final = 1.0  # s before a delayed answer
CLOSE_TIMEOUT_S: Final = 1.0  # s for a peer to confirm the end of TLS


class SandboxConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the sandbox listens and what it knows. Keys are hexadecimal, port 0 takes any free one, `ca` signs peers."""

    cert: str
    key: str
    ca: str
    mac_key: str
    pin_key: str
    cards: dict[str, Card]
    host: str = "127.0.0.1"
    port: int = 0
    header: LengthHeader = LengthHeader.ASCII_4
    pin_format: Literal[0, 4] = 0
    mac: MacAlgorithm = MacAlgorithm.CMAC
    delay_s: float = DELAY_S
    record: str | None = None


class UnionPaySandbox:
    """The back end; `record` tells what it was asked, `port` where it listens after `start`."""

    def __init__(self, config: SandboxConfig, clock: Clock | None = None) -> None:
        self.record = Record(None if config.record is None else Path(config.record))
        self.port = 0
        self._config = config
        form = PinFormat(config.pin_format)
        pin_key = bytes.fromhex(config.pin_key)
        self._issuer = Issuer(config.cards, pin_key, form, self.record, clock or SystemClock())
        key = bytes.fromhex(config.mac_key)
        self._codec = Codec(
            specification(16 if form is PinFormat.ISO_4 else 8),
            partial(mac.tag, config.mac, key),
            partial(mac.verify, config.mac, key),
        )
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Listen; raises Misconfigured for unusable certificates, OSError for an address in use."""
        config = self._config
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self._codec, config, self._issuer, self._connections),
            config.host,
            config.port,
            ssl=server_context(Path(config.cert), Path(config.key), Path(config.ca)),
            ssl_shutdown_timeout=CLOSE_TIMEOUT_S,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, cut every connection, close the record's file."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
        self.record.close()

    def cut(self) -> None:
        """Cut every connection, as a network failure would."""
        for connection in tuple(self._connections):
            connection.abort()


class _Connection(asyncio.Protocol):
    """One peer: authenticated by its certificate, signed on by an 0800, every message by its MAC."""

    def __init__(self, codec: Codec, config: SandboxConfig, issuer: Issuer, connections: "set[_Connection]") -> None:
        self._codec = codec
        self._config = config
        self._deframer = Deframer(config.header)
        self._issuer = issuer
        self._connections = connections
        self._transport: asyncio.Transport
        self._signed_on = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        try:
            _check_peer(transport.get_extra_info("ssl_object"))
        except Refused:
            self._issuer.note({}, "wrong certificate", effective=False)
            self.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._deframer.feed(data):
                self._take(message)
        except Malformed:
            self._issuer.note({}, "malformed", effective=False)
            self.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.discard(self)

    def abort(self) -> None:
        self._transport.abort()

    def _take(self, message: bytes) -> None:
        try:
            request = self._codec.check(message)
        except SignatureInvalid:
            request = self._codec.decode(message)
            self._issuer.note(request, "wrong MAC", effective=False)
            self._answer(request, Code.WRONG_MAC)
            return
        if request["t"] == "0800":
            self._manage(request)
        elif code := self._refusal(request):
            self._issuer.note(request, code, effective=False)
            self._answer(request, code)
        else:
            failure = FAILURES.get(request["4"][-4:])
            self._answer(request, self._issuer.authorise(request, failure), failure)

    def _manage(self, request: Mapping[str, str]) -> None:
        known = request.get("70") in NETWORK_MESSAGES
        if known:
            self._signed_on = request["70"] == SIGN_ON or (self._signed_on and request["70"] != "002")
        code = Code.APPROVED if known else Code.INVALID_TRANSACTION
        self._write({**_chosen(request, ("7", "11", "33", "70")), "t": "0810", "39": code})

    def _refusal(self, request: Mapping[str, str]) -> str | None:
        if request["t"] != "0200":
            return Code.INVALID_TRANSACTION
        if not self._signed_on:
            return Code.NOT_SIGNED_ON
        if any(number not in request for number in REQUIRED):
            return Code.FORMAT
        if ("52" in request) != (request["22"][-1] == WITH_PIN):
            return Code.FORMAT
        return None

    def _answer(self, request: Mapping[str, str], code: str, failure: Failure | None = None) -> None:
        kind = request["t"]
        answer = {**_chosen(request, ECHOED), "t": f"{kind[:2]}1{kind[3]}", "39": code}
        if code == Code.APPROVED:
            answer["38"] = request["11"]
        match failure:
            case Failure.SILENT:
                return
            case Failure.LATE:
                asyncio.get_running_loop().call_later(self._config.delay_s, self._write, answer)
            case Failure.CUT:
                self.abort()
            case Failure.GARBAGE:
                self._transport.write(frame(b"garbage", self._config.header))
            case Failure.FORGED | None:
                self._write(answer, forged=failure is not None)

    def _write(self, fields: Mapping[str, str], *, forged: bool = False) -> None:
        message = self._codec.sign(fields)
        if forged:
            message = message[:-1] + bytes([message[-1] ^ 1])
        self._transport.write(frame(message, self._config.header))


def _check_peer(tls: ssl.SSLObject) -> None:
    """Refuse a peer whose certificate (its chain was verified by TLS) is not a platform's."""
    der = tls.getpeercert(binary_form=True)
    uri = None if der is None else read_certificate(der).uri
    if uri is None or not uri.startswith(PLATFORM):
        raise NotAuthentic("the peer's certificate is not one of a platform")


def _chosen(request: Mapping[str, str], numbers: Sequence[str]) -> dict[str, str]:
    return {number: request[number] for number in numbers if number in request}


async def serve(config: SandboxConfig) -> None:
    """Run until SIGTERM or SIGINT."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    sandbox = UnionPaySandbox(config)
    await sandbox.start()
    sys.stdout.write(f"READY {sandbox.port}\n")
    sys.stdout.flush()
    await done.wait()
    await sandbox.stop()


def main() -> None:
    """Run the sandbox as a process of its own."""
    parser = argparse.ArgumentParser(description="A UnionPay-style sandbox back end.")
    parser.add_argument("--config", type=Path, required=True)
    path: Path = parser.parse_args().config
    try:
        config = msgspec.json.decode(path.read_bytes(), type=SandboxConfig)
    except (OSError, msgspec.DecodeError) as broken:
        raise Misconfigured(f"the sandbox's configuration cannot be used: {broken}") from broken
    run(serve(config))


if __name__ == "__main__":
    main()
