"""One connection of the UnionPay-style sandbox: it checks what a real switch would, and fails on request."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from tallystick.crypto.x509 import read_certificate
from tallystick.errors import Malformed, NotAuthentic, Refused
from tallystick.iso8583.framing import Deframer, frame
from tallystick.iso8583.message import Codec
from tallystick.iso8583.network_header import NetworkHeader, unwrap, wrap
from tallystick.testing.sandbox.unionpay_config import SandboxConfig
from tallystick.testing.sandbox.unionpay_issuer import Code, Issuer
from tallystick.testing.sandbox.unionpay_keys import MAC_KEY, PIN_KEY, SandboxKeys
from tallystick.testing.sandbox.unionpay_magic import NEVER_ACTED, Failure, Magic, magic_of

PLATFORM: Final = "tallystick:platform:"  # how the SAN URI of every permitted peer begins
ORDER: Final = ("2", "3", "4", "7", "11", "12", "13", "22", "25", "32", "37", "41", "42", "49")
SECRETS: Final = ("52", "53", "55")  # what a follow-up never holds
ECHOED: Final = ("2", "3", "4", "7", "11", "12", "13", "25", "32", "33", "37", "41", "42", "49", "90")
NETWORK_ECHOED: Final = ("7", "11", "32", "33", "53", "70")
SIGN_ON: Final = "001"  # DE70
SIGN_OFF: Final = "002"
KEY_RESET: Final = "101"
ECHO: Final = "301"
QUERY: Final = "310000"  # DE3
AUTHORISATIONS: Final = frozenset({"0100", "0200"})
REVERSALS: Final = frozenset({"0400", "0401", "0420", "0421"})
WITH_PIN: Final = "1"  # third digit of DE22
WITH_CHIP: Final = "05"  # first two digits of DE22
REJECT_CODE: Final = "10001"
PUSHED_AT: Final = "0101000000"  # DE7 of what the sandbox sends by itself
UNANSWERED: Final = frozenset({Failure.SILENT, Failure.UNACKNOWLEDGED, Failure.IRREVERSIBLE})


class Connection(asyncio.Protocol):
    """One peer: authenticated by its certificate, signed on by an 0800, every message by its MAC.

    `answers` are the peer's, to what the sandbox asked.
    """

    def __init__(
        self, config: SandboxConfig, keys: SandboxKeys, issuer: Issuer, connections: "set[Connection]"
    ) -> None:
        self.signed_on = False
        self.answers: list[dict[str, str]] = []
        self._config = config
        self._keys = keys
        self._issuer = issuer
        self._connections = connections
        self._deframer = Deframer(config.header)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio)."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        try:
            _check_peer(transport.get_extra_info("ssl_object"))
        except Refused:
            self._issuer.note({}, "wrong certificate")
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes (asyncio)."""
        try:
            for content in self._deframer.feed(data):
                _, message = unwrap(self._config.network, content)
                self._take(message)
        except Malformed:
            self._issuer.note({}, "malformed")
            self.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """End (asyncio)."""
        self._connections.discard(self)

    def abort(self) -> None:
        """Cut the connection, as a network failure would."""
        self._transport.abort()

    def push_key(self, kind: str) -> None:
        """Send the peer a new session key; it comes into use when the peer has acknowledged its check value."""
        offer = self._keys.offer(kind)
        if offer is not None:
            stan, block = offer
            self.ask(KEY_RESET, stan, {"48": block, "53": self._keys.control(kind)})

    def ask(self, what: str, stan: str, more: Mapping[str, str]) -> None:
        """Send the peer a network management message."""
        codec = self._keys.codec()
        if codec is not None:
            self._write(codec.sign({"t": "0800", "7": PUSHED_AT, "11": stan, "70": what, **more}))

    def _take(self, message: bytes) -> None:
        try:
            request, codec = self._keys.check(message)
        except NotAuthentic:
            self._take_unproven(self._keys.decode(message))
            return
        if request["t"] == "0810":
            self.answers.append(request)
            self._keys.acknowledge(request["11"], request.get("44") if request.get("39") == Code.APPROVED else None)
        elif request["t"] == "0800":
            self._manage(request, codec)
        elif code := self._refusal(request):
            self._issuer.note(request, code)
            self._answer(request, code, codec)
        else:
            self._serve(request, codec, message)

    def _take_unproven(self, request: Mapping[str, str]) -> None:
        """Give a peer without a MAC key one, neither side signing; refuse anything else."""
        asked = self._keys.exchanged and request["t"] == "0800" and request.get("70") == KEY_RESET
        if not asked or {"64", "128"} & request.keys() or self._keys.kind_of(request.get("53", "")) != MAC_KEY:
            self._issuer.note(request, "wrong MAC")
            self._answer(request, Code.WRONG_MAC, self._keys.codec())
            return
        key, block, _ = self._keys.make(MAC_KEY)
        answer = {**_chosen(request, NETWORK_ECHOED), "t": "0810", "39": Code.APPROVED.value, "48": block}
        self._write(self._keys.encode_bare(answer))
        self._keys.use(MAC_KEY, key)

    def _manage(self, request: Mapping[str, str], codec: Codec) -> None:
        what, code = request.get("70"), Code.APPROVED.value
        more: dict[str, str] = {}
        kind = self._keys.kind_of(request.get("53", ""))
        if what == SIGN_ON:
            code = self._config.sign_on_code
            self.signed_on = code == Code.APPROVED
        elif what == SIGN_OFF:
            self.signed_on = False
        elif what == KEY_RESET and self._keys.exchanged and kind is not None:
            key, more["48"], _ = self._keys.make(kind)
            self._keys.use(kind, key)
        elif what != ECHO:
            code = Code.INVALID_TRANSACTION
        self._write(codec.sign({**_chosen(request, NETWORK_ECHOED), "t": "0810", "39": code, **more}))

    def _refusal(self, request: Mapping[str, str]) -> str | None:
        kind = request["t"]
        query = request.get("3") == QUERY
        if kind not in AUTHORISATIONS | REVERSALS or (query and kind != "0100"):
            return Code.INVALID_TRANSACTION
        if not self.signed_on:
            return Code.SIGN_ON_AGAIN
        follow_up = query or kind in REVERSALS
        if any(number not in request for number in ORDER) or follow_up != ("90" in request):
            return Code.FORMAT
        if follow_up:
            return Code.FORMAT if any(number in request for number in SECRETS) else None
        matches = ("52" in request) == (request["22"][-1] == WITH_PIN)
        return None if matches and ("55" in request) == (request["22"][:2] == WITH_CHIP) else Code.FORMAT

    def _serve(self, request: Mapping[str, str], codec: Codec, message: bytes) -> None:
        if request["t"] in REVERSALS:
            code = self._issuer.reverse(request)
            if code is not None:
                self._answer(request, code, codec)
        elif request["3"] == QUERY:
            code, told = self._issuer.inquire(request)
            self._answer(request, code, codec, told=told)
        else:
            self._authorise(request, codec, message)

    def _authorise(self, request: Mapping[str, str], codec: Codec, message: bytes) -> None:
        magic = magic_of(request["4"])
        if magic.failure in NEVER_ACTED:
            self._issuer.note(request, magic.failure)
            if magic.failure is Failure.CUT_BEFORE:
                self.abort()
            elif magic.failure is Failure.BOUNCED and self._config.network.kind is NetworkHeader.UNIONPAY_46:
                self._write(message, reject_code=REJECT_CODE)
        elif magic.failure is Failure.HELD:
            self._issuer.hold(request)
            self._later(self._config.delay_s, lambda: self._decide(request, codec, magic))
        else:
            self._decide(request, codec, magic)

    def _decide(self, request: Mapping[str, str], codec: Codec, magic: Magic) -> None:
        self._answer(request, self._issuer.authorise(request, magic), codec, magic.failure)
        every = self._config.rekey_every
        if every and self._issuer.authorisations % every == 0:
            self.push_key(MAC_KEY)
            self.push_key(PIN_KEY)

    def _answer(
        self,
        request: Mapping[str, str],
        code: str,
        codec: Codec | None,
        failure: Failure | None = None,
        told: str | None = None,
    ) -> None:
        kind = request["t"]
        answer = {**_chosen(request, ECHOED), "t": f"{kind[:2]}{int(kind[2]) + 1}0", "39": code}
        if code == Code.APPROVED and kind in AUTHORISATIONS:
            answer["38"] = request["11"]
        if told is not None:
            answer["44"] = told
        if codec is not None and failure not in UNANSWERED:
            self._send(codec.sign(answer), failure)

    def _send(self, message: bytes, failure: Failure | None) -> None:
        match failure:
            case Failure.LATE | Failure.SLOW:
                seconds = self._config.delay_s if failure is Failure.LATE else self._config.slow_s
                self._later(seconds, lambda: self._write(message))
            case Failure.CUT:
                self.abort()
            case Failure.GARBAGE:
                self._transport.write(frame(b"garbage", self._config.header))
            case Failure.HALF:
                framed = frame(wrap(self._config.network, message), self._config.header)
                self._transport.write(framed[: len(framed) // 2])
                self._transport.close()
            case Failure.FORGED:
                self._write(message[:-1] + bytes([message[-1] ^ 1]))
            case _:
                self._write(message)
                if failure is Failure.TWICE:
                    self._write(message)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, act)

    def _write(self, message: bytes, reject_code: str = "00000") -> None:
        if not self._transport.is_closing():
            content = wrap(self._config.network, message, reject_code=reject_code)
            self._transport.write(frame(content, self._config.header))


def _check_peer(tls: ssl.SSLObject) -> None:
    """Refuse a peer whose certificate (its chain was verified by TLS) is not a platform's."""
    der = tls.getpeercert(binary_form=True)
    uri = None if der is None else read_certificate(der).uri
    if uri is None or not uri.startswith(PLATFORM):
        raise NotAuthentic("the peer's certificate is not one of a platform")


def _chosen(request: Mapping[str, str], numbers: Sequence[str]) -> dict[str, str]:
    return {number: request[number] for number in numbers if number in request}
