"""The deliveries that wait for back ends to fetch them: durable in the store, with a call to whoever waits here."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from msgspec.structs import replace

from tallystick.crypto.binding import bind
from tallystick.delivery import pull
from tallystick.delivery.books import Books, Store
from tallystick.delivery.model import PullDelivery
from tallystick.runtime import Clock, Millis
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import seal, unseal

LOOK_S: Final = 1.0  # s after which one who waits looks into the store: another process may have changed it
POLL_NOTED_MS: Final = 5_000  # ms between two notes that a back end polls
SECOND_MS: Final = 1_000  # ms

T = TypeVar("T")


class PullQueue:
    """Offer deliveries, wait for what becomes of them, and for something to hand out.

    What waits is sealed. Who waits names what it waits for (a delivery's key, a back end's id) and is woken by
    `call`; nothing depends on that call, since everybody looks into the store again.
    """

    def __init__(self, store: Store[Books], keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._noted: dict[str, Millis] = {}
        self._closed = False

    async def offer(self, delivery: PullDelivery, body: bytes) -> None:
        """Write a delivery that its back end may fetch now; raises AlreadyExists, StoreFailed, Unavailable."""
        sealed = replace(delivery, body=seal(self._keyring, Purpose.AT_REST, body, _place(delivery.key)))
        await self._store.transact(lambda books: books.add_pull(sealed))
        self.call(delivery.back_end)

    def body(self, delivery: PullDelivery) -> bytes:
        """Open the body of a delivery that was just taken."""
        return unseal(self._keyring, Purpose.AT_REST, delivery.body or b"", _place(delivery.key))

    async def find(self, key: str) -> PullDelivery | None:
        """Read a delivery."""
        return await self._store.read(lambda books: books.pull(key))

    async def withdraw(self, key: str) -> PullDelivery | None:
        """Make sure that a delivery is not handed out from now on (`pull.withdraw`)."""
        return await self._store.transact(lambda books: pull.withdraw(books, key))

    async def ask_back(self, key: str, back_end: str) -> PullDelivery:
        """Undo a delivery, or have its back end told (`pull.ask_back`)."""
        asked = await self._store.transact(lambda books: pull.ask_back(books, key, back_end, self._clock.now()))
        self.call(back_end)
        return asked

    async def note_poll(self, back_end: str) -> None:
        """Note that a back end polls, at most every POLL_NOTED_MS."""
        now = self._clock.now()
        if now - self._noted.get(back_end, 0) >= POLL_NOTED_MS:
            self._noted[back_end] = now
            await self._store.transact(lambda books: books.note_poll(back_end, now))

    async def polled_at(self, back_end: str) -> Millis | None:
        """Return when a back end was last noted to poll."""
        return await self._store.read(lambda books: books.polled_at(back_end))

    async def wait(self, name: str, until: Millis, look: Callable[[], Awaitable[T | None]]) -> T | None:
        """Look until there is something, at once, whenever `name` is called and every LOOK_S; None at `until`."""
        called = asyncio.Event()
        waiting = self._waiting.setdefault(name, set())
        waiting.add(called)
        try:
            while True:
                called.clear()  # before the look: a call during it is not lost
                found = await look()
                left_s = (until - self._clock.now()) / SECOND_MS
                if found is not None or left_s <= 0 or self._closed:
                    return found
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, LOOK_S)):
                        await called.wait()
        finally:
            waiting.discard(called)
            if not waiting and self._waiting.get(name) is waiting:
                del self._waiting[name]

    def call(self, name: str) -> None:
        """Wake who waits for a delivery's key, or for something to hand out to a back end."""
        for called in self._waiting.get(name, ()):
            called.set()

    def close(self) -> None:
        """Let everybody who waits end at once, as the process is about to."""
        self._closed = True
        for name in self._waiting:
            self.call(name)


def _place(key: str) -> bytes:
    return bind("pull", key)
