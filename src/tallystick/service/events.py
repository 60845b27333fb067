"""Server-sent events: a stream tells what asking again and again would tell, as soon as it is so.

Each message is the state at that moment, so that none is missed for good: a stream that was cut goes on with the
state that is then, unless the reader names it as the last one it saw (Last-Event-ID).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import msgspec
from msgspec import Struct
from starlette.requests import Request

from tallystick import limits, overview
from tallystick.assembly.facts import FINAL_STATES
from tallystick.delivery.books import Books, Store
from tallystick.errors import Refused, StoreFailed, TooMany, Unavailable
from tallystick.runtime import Clock
from tallystick.security.verify import verify
from tallystick.service.handling import Caller, Handlers, Reply, channel_of

POLL_S: Final = 1.0  # s between two looks at the store: changes that another process or the sweep made
HEARTBEAT_MS: Final = 15_000  # ms of silence after which a comment shows that the stream lives
LIFE_MS: Final = 600_000  # ms a stream lasts at most: as long as a secret part may wait
FIRST: Final = b"retry: 2000\n\n"  # ms a reader waits before it comes back
HEARTBEAT: Final = b":\n\n"


class Told(Struct, frozen=True, kw_only=True):
    """What a stream tells: `word` is the state or status, `body` the JSON that a GET would answer.

    After a `final` word there is nothing more to tell.
    """

    payment_id: str
    kind: str
    word: str
    body: bytes
    final: bool

    def encode(self) -> bytes:
        """Write one message; its id is the word, which is all that a reader needs to go on from."""
        return b"".join((f"id: {self.word}\nevent: {self.kind}.{self.word}\ndata: ".encode(), self.body, b"\n\n"))


Look = Callable[[Books], Awaitable[Told]]


class Reader(Struct, frozen=True, kw_only=True):
    """Who reads a stream: `seen` is the last word they say they know; `recheck` raises what would refuse them now."""

    id: str
    seen: str
    recheck: Callable[[], Awaitable[object]]


class Streams:
    """The streams of this process; `limits.STREAMS_MAX` at most, `limits.STREAMS_EACH_MAX` of one sender."""

    def __init__(self, store: Store[Books], clock: Clock, *, poll_s: float = POLL_S) -> None:
        self._store = store
        self._clock = clock
        self._poll_s = poll_s
        self._bells: dict[asyncio.Event, tuple[str, str]] = {}
        self._closed = False

    def handlers(self) -> Handlers:
        """Return what the gateway serves."""
        return {
            "/v1/payments/{id}/events": {"GET": self._of_payment},
            "/v1/parts/{id}/events": {"GET": self._of_part},
        }

    def wake(self, payment_id: str) -> None:
        """Make the streams about a payment look at once."""
        for bell, (about, _) in self._bells.items():
            if about == payment_id:
                bell.set()

    def close(self) -> None:
        """End all streams, and refuse new ones."""
        self._closed = True
        for bell in self._bells:
            bell.set()

    async def _of_payment(self, request: Request, caller: Caller) -> Reply:
        verify(caller.arrival, caller.sender, caller.key)
        payment_id, owner = request.path_params["id"], caller.sender.id

        async def look(books: Books) -> Told:
            status = await overview.payment_status(books, payment_id, owner)
            body, final = msgspec.json.encode(status), status.state in FINAL_STATES
            return Told(payment_id=payment_id, kind="payment", word=status.state, body=body, final=final)

        return await self.reply(request, _reader(caller), look)

    async def _of_part(self, request: Request, caller: Caller) -> Reply:
        verify(caller.arrival, caller.sender, caller.key)
        part_id, channel_id = request.path_params["id"], channel_of(caller).id

        async def look(books: Books) -> Told:
            status = await overview.part_status(books, part_id, channel_id, self._clock.now())
            part = await books.part(part_id)
            about = part.payment_id if part is not None else ""
            body, final = msgspec.json.encode(status), status.status in FINAL_STATES
            return Told(payment_id=about, kind="part", word=status.status, body=body, final=final)

        return await self.reply(request, _reader(caller), look)

    async def reply(self, request: Request, reader: Reader, look: Look) -> Reply:
        """Start a stream; NotFound for what the reader may not see, Unavailable or TooMany when there is no room.

        Left to the caller: that the reader is who they say.
        """
        told = await self._store.read(look)
        if self._closed or len(self._bells) >= limits.STREAMS_MAX:
            raise Unavailable("too many streams are open: ask for the state instead")
        if sum(whose == reader.id for _, whose in self._bells.values()) >= limits.STREAMS_EACH_MAX:
            raise TooMany(f"a sender has at most {limits.STREAMS_EACH_MAX} streams: ask for the state instead")
        stream = self._stream(request, reader, look, told.payment_id)
        await anext(stream)  # it holds its place from here on, and gives it back however it ends
        return Reply(200, b"", stream)

    async def _stream(
        self, request: Request, reader: Reader, look: Look, payment_id: str
    ) -> AsyncGenerator[bytes, None]:
        """Tell each change until the last one, the end of the stream's life, or of its reader's patience.

        It ends as well when its reader may not ask any more: suspended or revoked meanwhile.
        """
        began = spoke = self._clock.now()
        seen = reader.seen
        bell = asyncio.Event()
        self._bells[bell] = (payment_id, reader.id)
        try:
            yield b""
            yield FIRST
            while True:
                bell.clear()
                await reader.recheck()
                told, now = await self._store.read(look), self._clock.now()
                if told.word != seen or told.final:  # a final one is told again: the reader shall know that this is all
                    seen, spoke = told.word, now
                    yield told.encode()
                elif now - spoke >= HEARTBEAT_MS:
                    spoke = now
                    yield HEARTBEAT
                if told.final or self._closed or now - began >= LIFE_MS or await request.is_disconnected():
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), self._poll_s)
        except (StoreFailed, Refused):
            return  # the stream ends without a word; its reader comes back, or asks
        finally:
            del self._bells[bell]


def _reader(caller: Caller) -> Reader:
    seen = caller.arrival.headers.get("last-event-id", "")
    return Reader(id=caller.sender.id, seen=seen, recheck=caller.recheck)
