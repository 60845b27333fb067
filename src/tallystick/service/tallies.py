"""Keep the counts of a process's limiter in the store, and its limits as the store has them."""

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from tallystick.channels import limiting
from tallystick.channels.limiting import Limiter
from tallystick.channels.model import LimitKind, RateLimit, Tally
from tallystick.channels.ports import LimitBook
from tallystick.delivery.books import Store
from tallystick.errors import Misconfigured, TallystickError
from tallystick.runtime import Clock, beside
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.ports import Keyring

FLUSH_EVERY_S: Final = 2.0  # s; counts of so many seconds are lost by a crash
BATCH: Final = 200  # counts added in one transaction: it holds the store for about a millisecond
PURGE_ROWS: Final = 2_000  # rows one round deletes at most

_log = logging.getLogger(__name__)


class TallyKeeper:
    """Carry counts between a limiter and the store."""

    def __init__(self, store: Store[LimitBook], limiter: Limiter, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._limiter = limiter
        self._keys = KeyringAccess(keyring)
        self._clock = clock

    async def load(self) -> None:
        """Begin with what was counted before this process started."""
        await self._take_limits()
        for tally in await self._store.read(lambda books: books.tallies(self._clock.now())):
            if tally.kind is not LimitKind.CREDENTIAL:
                self._limiter.merge(tally, tally.count)

    async def flush(self) -> None:
        """Add what was counted to the store, take its counts and limits, and delete what is over.

        Limits protected by a key that was rotated are protected by the present one, before that key is destroyed.
        """
        await self._take_limits()
        more = self._limiter.uncounted()
        for start in range(0, len(more), BATCH):
            batch = more[start : start + BATCH]
            for tally, total in zip(batch, await self._add(batch), strict=True):
                self._limiter.merge(tally, total)
        await self._store.transact(lambda books: books.purge_tallies(self._clock.now(), PURGE_ROWS))
        await self._store.transact(lambda books: limiting.renew(books, self._keys))

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Load, flush while the context lasts, and a last time at its end."""
        await self.load()
        try:
            async with beside(self._run()):
                yield
        finally:
            await self._flush_or_log()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(FLUSH_EVERY_S)
            await self._flush_or_log()

    async def _flush_or_log(self) -> None:
        try:
            await self.flush()
        except TallystickError as error:
            _log.warning("counts were not kept: %s: %s", error.code, error.detail)

    async def _add(self, batch: list[Tally]) -> list[int]:
        return await self._store.transact(lambda books: books.add_tallies(batch))

    async def _take_limits(self) -> None:
        self._limiter.apply(await self._limits())

    async def _limits(self) -> dict[LimitKind, RateLimit]:
        """Return the limits that hold; those built in, which are finite, when somebody edited the row."""
        try:
            return await self._store.read(lambda books: limiting.present(books, self._keys))
        except Misconfigured as edited:
            _log.error("the limits built in hold: %s", edited.detail)
            return dict(limiting.DEFAULTS)
