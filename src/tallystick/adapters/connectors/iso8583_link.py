"""One TLS connection to an ISO 8583 back end, shared by many requests at a time."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, cast

from tallystick import limits
from tallystick.adapters.connectors.iso8583_keys import SessionKeys
from tallystick.adapters.connectors.iso8583_matching import Counts, Matcher
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings
from tallystick.errors import Malformed, NotSent, OutcomeUnknown, SignatureInvalid
from tallystick.iso8583.framing import Deframer, frame
from tallystick.iso8583.message import Codec
from tallystick.iso8583.network_header import Header, unwrap, wrap

IN_FLIGHT_MAX: Final = limits.PATHS_IN_FLIGHT_MAX  # requests that wait for an answer on one connection
UNREAD_MAX: Final = 64 * 1024  # bytes of ours that the switch leaves unread when it asks for more answers
MAC_ELEMENTS: Final = frozenset({"64", "128"})

Serve = Callable[["Link", dict[str, str], Codec], None]
"""What takes a request of the switch: the connection, the authenticated request, the codec to sign the answer with."""


class Link(asyncio.Protocol):
    """Write requests, and hand on what comes.

    An answer counts only when its MAC is right; a request whose answer has a wrong MAC ends as OutcomeUnknown. Bytes
    that are no message lose the connection, and with it every request in flight on it ends as OutcomeUnknown.
    """

    def __init__(
        self, settings: Iso8583Settings, keys: SessionKeys, matcher: Matcher, counts: Counts, serve: Serve
    ) -> None:
        self.in_flight = 0
        self._settings = settings
        self._keys = keys
        self._matcher = matcher
        self._counts = counts
        self._serve = serve
        self._deframer = Deframer(settings.header)
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._retired = False

    @property
    def open(self) -> bool:
        """Say whether the connection is there."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def usable(self) -> bool:
        """Say whether a new request may be written."""
        return self.open and not self._retired

    @property
    def certificate(self) -> bytes | None:
        """Return the peer's certificate as DER."""
        tls = self._transport and self._transport.get_extra_info("ssl_object")
        return tls.getpeercert(binary_form=True) if tls else None

    async def exchange(self, fields: Mapping[str, str], signed: bytes, *, bare: bool = False) -> dict[str, str]:
        """Write an encoded request, `fields` and `signed`, and wait for its answer.

        1. Nothing is written to a lost connection, or above IN_FLIGHT_MAX: NotSent.
        2. Nothing is written while a request with the same identifiers is open: OutcomeUnknown, as it may be this one.
        3. From the write on, everything but an authenticated answer is OutcomeUnknown. With `bare` an answer without
           any MAC is taken: the caller proves it.
        """
        transport = self._transport
        # 1.
        if transport is None or transport.is_closing():
            raise NotSent("the connection to the back end was lost before the request was written")
        if self.in_flight >= IN_FLIGHT_MAX:
            raise NotSent("too many requests wait for the back end")
        framed = self._framed(signed)
        # 2.
        waiting = self._matcher.open(fields, self, bare=bare)
        self.in_flight += 1
        # 3.
        try:
            transport.write(framed)
            async with asyncio.timeout(self._settings.timeout_s):
                await waiting.answer
                return waiting.fields
        except TimeoutError:
            raise OutcomeUnknown("the back end did not answer in time") from None
        finally:
            self.in_flight -= 1
            self._matcher.close(waiting)
            self._close_when_idle()

    def write(self, signed: bytes) -> None:
        """Write an encoded answer to a request of the switch, unless the connection is gone.

        A switch that asks and asks and reads no answer loses the connection: what waits for it would have no bound.
        """
        if self._transport is None or not self.open:
            return
        if self._transport.get_write_buffer_size() > UNREAD_MAX:
            self.abort()
            return
        self._transport.write(self._framed(signed))

    def retire(self) -> None:
        """Take no new request; close the connection when those in flight have ended."""
        self._retired = True
        self._close_when_idle()

    async def aclose(self) -> None:
        """End requests in flight as OutcomeUnknown and close the connection."""
        self._matcher.lose(self, "the connection was closed before the answer came")
        if self._transport is not None:
            self._transport.close()
            await self._lost.wait()

    def abort(self) -> None:
        """Drop the connection at once; requests in flight end as OutcomeUnknown."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes (asyncio)."""
        try:
            for content in self._deframer.feed(data):
                header, message = unwrap(self._settings.network, content)
                self._take(header, message)
        except Malformed:
            self.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """End (asyncio)."""
        self._matcher.lose(self, "the connection was lost before the answer came")
        self._lost.set()

    def _take(self, header: Header, message: bytes) -> None:
        """Hand a message to whom it concerns.

        1. A message that the switch bounced is never believed, nor is anything of it checked.
        2. Without a MAC only the answer to a request that asked for one counts.
        3. Anything else is authenticated first.
        4. A request is answered unless it is our own, sent back.
        """
        # 1.
        if header.rejected:
            self._counts.rejected += 1
            self._matcher.reject(self._readable(message), header.reject_code)
            return
        # 2.
        if self._matcher.bare and self._take_bare(message):
            return
        # 3.
        try:
            fields, codec = self._keys.check(message)
        except SignatureInvalid:
            self._counts.unauthenticated += 1
            self._keys.trouble()
            self._matcher.doubt(self._keys.decode(message), "the MAC of the answer does not match")
            return
        # 4.
        if int(fields["t"][2]) % 2:
            self._matcher.answer(fields)
        elif not self._matcher.reflected(fields):
            self._serve(self, fields, codec)

    def _take_bare(self, message: bytes) -> bool:
        fields = self._readable(message)
        waiting = self._matcher.find(fields)
        if waiting is None or not waiting.bare or MAC_ELEMENTS & fields.keys():
            return False
        self._matcher.answer(fields)
        return True

    def _readable(self, message: bytes) -> dict[str, str]:
        try:
            return self._keys.decode(message)
        except Malformed:
            return {}

    def _framed(self, signed: bytes) -> bytes:
        return frame(wrap(self._settings.network, signed), self._settings.header)

    def _close_when_idle(self) -> None:
        if self._retired and not self.in_flight and self._transport is not None:
            self._transport.close()
