"""One TLS connection to an ISO 8583 back end, shared by many requests at a time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from tallystick import limits
from tallystick.errors import Malformed, NotSent, OutcomeUnknown, SignatureInvalid
from tallystick.iso8583.framing import Deframer, LengthHeader
from tallystick.iso8583.message import Codec

IN_FLIGHT_MAX: Final = limits.PATHS_IN_FLIGHT_MAX  # requests that wait for an answer on one connection

Key = tuple[str, str, str]
"""What an answer is found by: its message type, DE11 and DE7."""


@dataclass(slots=True)
class Counts:
    """Answers that were dropped: late or never asked for, and those whose MAC does not match."""

    unmatched: int = 0
    unauthenticated: int = 0


class Link(asyncio.Protocol):
    """Match answers to requests.

    An answer counts only when its MAC is right; a request whose answer has a wrong MAC ends as OutcomeUnknown. Bytes
    that are no message lose the connection, and with it every request in flight ends as OutcomeUnknown.
    """

    def __init__(self, codec: Codec, header: LengthHeader, counts: Counts) -> None:
        self._codec = codec
        self._deframer = Deframer(header)
        self._counts = counts
        self._pending: dict[Key, asyncio.Future[dict[str, str]]] = {}
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Say whether a request can be written."""
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, fields: Mapping[str, str], signed: bytes, timeout_s: float) -> dict[str, str]:
        """Write a request, `fields` signed and framed, and wait for its answer, which is authenticated.

        1. Nothing is written to a lost connection, or above IN_FLIGHT_MAX: NotSent.
        2. Nothing is written while a request with the same identifiers is open. It may be this very one, so it is
           OutcomeUnknown, which nobody sends again.
        3. From the write on, everything but an authenticated answer is OutcomeUnknown.
        """
        transport, key = self._transport, _answer_key(fields)
        # 1.
        if transport is None or transport.is_closing():
            raise NotSent("the connection to the back end was lost before the request was written")
        if len(self._pending) >= IN_FLIGHT_MAX:
            raise NotSent("too many requests wait for the back end")
        # 2.
        if key in self._pending:
            raise OutcomeUnknown("a request with the same DE7 and DE11 is in flight")
        answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._pending[key] = answer
        # 3.
        try:
            transport.write(signed)
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise OutcomeUnknown("the back end did not answer in time") from None
        finally:
            del self._pending[key]

    async def aclose(self) -> None:
        """End requests in flight as OutcomeUnknown and close the connection."""
        self._doubt_all("the connection was closed before the answer came")
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
            for message in self._deframer.feed(data):
                self._take(message)
        except Malformed:
            self.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """End (asyncio)."""
        self._doubt_all("the connection was lost before the answer came")
        self._lost.set()

    def _take(self, message: bytes) -> None:
        try:
            fields = self._codec.check(message)
        except SignatureInvalid:
            self._counts.unauthenticated += 1
            # Read only to find whom to tell at once what a timeout would tell him later.
            answer = self._waiting(self._codec.decode(message))
            if answer is not None:
                answer.set_exception(OutcomeUnknown("the MAC of the answer does not match"))
            return
        answer = self._waiting(fields)
        if answer is None:
            self._counts.unmatched += 1
        else:
            answer.set_result(fields)

    def _waiting(self, fields: Mapping[str, str]) -> asyncio.Future[dict[str, str]] | None:
        answer = self._pending.get((fields["t"], fields.get("11", ""), fields.get("7", "")))
        return None if answer is None or answer.done() else answer

    def _doubt_all(self, why: str) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(OutcomeUnknown(why))


def _answer_key(request: Mapping[str, str]) -> Key:
    kind = request["t"]
    return f"{kind[:2]}1{kind[3]}", request["11"], request["7"]
