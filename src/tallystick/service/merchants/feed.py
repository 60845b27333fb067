"""Events of a merchant's payments as server-sent events: each has a number to go on from, none is left out."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Final

import msgspec

from tallystick import limits, merchants
from tallystick.assembly.facts import FINAL_STATES
from tallystick.delivery.books import Store
from tallystick.errors import FieldInvalid, Refused, StoreFailed, TooMany, Unavailable
from tallystick.outcomes.model import Event
from tallystick.outcomes.ports import OutcomeBooks
from tallystick.runtime import Clock
from tallystick.service.bearer import Bearers
from tallystick.service.events import FIRST, HEARTBEAT, HEARTBEAT_MS, LIFE_MS
from tallystick.service.merchants.call import Answer, Call
from tallystick.service.merchants.desk import Handler

POLL_S: Final = 0.5  # s between two looks at the log
BATCH: Final = 100  # events of one look
SEQ_DIGITS_MAX: Final = 16  # digits of an event's number


class Feed:
    """The streams of one process; `limits.STREAMS_MAX` at most, `limits.STREAMS_EACH_MAX` of one holder."""

    def __init__(self, store: Store[OutcomeBooks], bearers: Bearers, clock: Clock, *, poll_s: float = POLL_S) -> None:
        self._store = store
        self._bearers = bearers
        self._clock = clock
        self._poll_s = poll_s
        self._open: Counter[str] = Counter()
        self._closed = asyncio.Event()

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers of the two operations that stream."""
        return {"followPayment": self._payment, "followEvents": self._all}

    def close(self) -> None:
        """End all streams, and refuse new ones."""
        self._closed.set()

    async def _payment(self, call: Call) -> Answer:
        await self._store.read(lambda books: merchants.find(books, call.id, call.owner))
        return await self._start(call, call.id)

    async def _all(self, call: Call) -> Answer:
        return await self._start(call, None)

    async def _start(self, call: Call, payment_id: str | None) -> Answer:
        """Start a stream; Unavailable or TooMany when there is no room."""
        seen = _seen(call)
        if self._closed.is_set() or self._open.total() >= limits.STREAMS_MAX:
            raise Unavailable("too many streams are open: ask for the state instead")
        if self._open[call.owner] >= limits.STREAMS_EACH_MAX:
            raise TooMany(f"a merchant has at most {limits.STREAMS_EACH_MAX} streams")
        stream = self._stream(call, seen, payment_id)
        await anext(stream)  # it holds its place from here on, and gives it back however it ends
        return Answer(b"", stream=stream)

    async def _stream(self, call: Call, seen: int, payment_id: str | None) -> AsyncGenerator[bytes, None]:
        """Tell each event; ends with its life, its reader's patience or right to read, or a payment's final event."""
        began = spoke = self._clock.now()
        authorization = call.request.headers.get("authorization")
        self._open[call.owner] += 1
        try:
            yield b""
            yield FIRST
            while True:
                await self._bearers.principal(authorization, call.operation.scope)
                events, texts, over = await self._look(call.owner, seen, payment_id)
                now = self._clock.now()
                for event, text in zip(events, texts, strict=True):
                    seen, spoke = event.seq, now
                    if text:
                        yield text
                if over or self._closed.is_set() or now - began >= LIFE_MS or await call.request.is_disconnected():
                    return
                if now - spoke >= HEARTBEAT_MS:
                    spoke = now
                    yield HEARTBEAT
                if len(events) < BATCH:
                    await asyncio.sleep(self._poll_s)
        except (StoreFailed, Refused):
            return  # the stream ends without a word; its reader comes back and is told why
        finally:
            self._open[call.owner] -= 1

    async def _look(self, owner: str, seen: int, payment_id: str | None) -> tuple[list[Event], list[bytes], bool]:
        """Read the next events, written as they are sent, and whether the one payment asked for has ended."""

        async def read(books: OutcomeBooks) -> tuple[list[Event], list[bytes], bool]:
            events = await books.events_of(owner, seen, BATCH)
            about = [each for each in events if payment_id in {None, each.payment_id}]
            texts = {each.seq: await _text(books, each) for each in about}
            over = False
            if payment_id is not None and len(events) < BATCH:
                payment = await books.payment(payment_id)
                over = payment is None or payment.state in FINAL_STATES
            return events, [texts.get(each.seq, b"") for each in events], over

        return await self._store.read(read)


async def _text(books: OutcomeBooks, event: Event) -> bytes:
    told = await merchants.tell(books, event)
    if told is None:
        return b""
    head = f"id: {event.seq}\nevent: {told.type}\ndata: ".encode()
    return b"".join((head, msgspec.json.encode(told), b"\n\n"))


def _seen(call: Call) -> int:
    after, last = call.number("after"), call.request.headers.get("last-event-id", "")
    if after is not None:
        return after
    if last and not (last.isascii() and last.isdigit() and len(last) <= SEQ_DIGITS_MAX):
        raise FieldInvalid("Last-Event-ID is the number of an event", field="last-event-id")
    return int(last or 0)
