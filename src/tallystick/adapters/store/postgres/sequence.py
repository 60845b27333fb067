"""Put in order what works leave behind: the audit chain and the log of events, each one row of numbers without a gap.

A chain is one after the other by nature; holding its head until each work's commit is on disk would make the whole
cluster wait in one queue. So a work adds one page to `journal` in its own transaction, durable with it or not at all.
Soon after, any node takes the pages it can see, in the order of their numbers, and moves them to the chain and the log.
One does so at a time, by the lock on the head's row; a page leaves the journal in the transaction that puts it in its
place, so exactly once. Whoever reads the chain or the log has this done first (`PostgresBook._settle`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct, structs

from tallystick.adapters.store.postgres.link import Link, Lost, Refused
from tallystick.adapters.store.postgres.pool import Pool
from tallystick.adapters.store.postgres.session import Session
from tallystick.adapters.store.postgres.statements import BEGIN, Query
from tallystick.audit.chain import link as chain
from tallystick.audit.model import Entry, Head
from tallystick.audit.model import Link as Chained
from tallystick.errors import StoreFailed, TallystickError
from tallystick.outcomes.model import Event

PAGES_MAX: Final = 500  # pages moved in one transaction
DELAY_S: Final = 0.05  # s from a commit until its page is put in order at the latest, where nobody asked before
TRIES_MAX: Final = 5  # times a move is tried again after the database refused

_log = logging.getLogger(__name__)


class Page(Struct, frozen=True, array_like=True):
    """What one work leaves: entries and events, their numbers still 0."""

    entries: Sequence[Entry] = ()
    events: Sequence[Event] = ()


write_page: Final = msgspec.json.Encoder(order="deterministic").encode
_read_page: Final = msgspec.json.Decoder(Page).decode


class Sequencer:
    """Move pages on this node's connections; other nodes may do the same at any time."""

    def __init__(self, pool: Pool[Session], queries: Mapping[str, Query]) -> None:
        self._pool = pool
        self._queries = queries
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """See to it that a page just committed is put in order."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY_S, self._start)

    async def settle(self) -> None:
        """Put in order everything that was committed before this call; raises StoreFailed, Unavailable."""
        while await self._move("lock_sequence") == PAGES_MAX:
            pass

    async def aclose(self) -> None:
        """Put in order what this node may have left; what cannot be now is done by the next one that runs."""
        waited = self._timer is not None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            await self._task
        if waited:
            with contextlib.suppress(TallystickError):
                await self.settle()

    def _start(self) -> None:
        self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._move_behind())
        else:
            self.soon()

    async def _move_behind(self) -> None:
        """Move what is there unless another node does; then look again later, for it may not have seen all."""
        try:
            while (moved := await self._move("try_lock_sequence")) == PAGES_MAX:
                pass
        except TallystickError as error:
            _log.warning("the audit chain waits for the database: %s", error)
            moved = None
        if moved is None:
            self.soon()

    async def _move(self, lock: str) -> int | None:
        """Move at most PAGES_MAX pages; returns how many, None when another node holds the head."""
        why = ""
        for _ in range(TRIES_MAX):
            session = await self._pool.take()
            try:
                return await self._move_on(session.link, lock)
            except Refused as refused:
                why = refused.state
                with contextlib.suppress(Lost):
                    await session.link.undo()
            except Lost:
                why = "connection lost"
            except BaseException:
                session.close()
                raise
            finally:
                self._pool.give_back(session)
        raise StoreFailed(f"the audit chain cannot be put in order: {why}")

    async def _move_on(self, link: Link, lock: str) -> int | None:
        link.send(BEGIN)
        link.send(self._queries[lock].write)
        heads = (await link.answer()).rows()
        link.send(self._queries["take_pages"].write, (PAGES_MAX,))
        pages = sorted((await link.answer()).rows()) if heads else []
        if not pages:
            await link.undo()
            return 0 if heads else None
        ((seq, hash_, told),) = heads
        head, links, events = self._ordered(Head(seq, hash_), [_read_page(body) for _, body in pages])
        if links:
            columns = [each.seq for each in links], [each.body for each in links], [each.hash for each in links]
            link.send(self._queries["add_links"].write, columns)
        if events:
            link.send(self._queries["add_events"].write, _columns(events, told))
        link.send(self._queries["move_sequence"].write, (head.seq, head.hash, told + len(events)))
        await link.commit()
        return len(pages)

    @staticmethod
    def _ordered(head: Head, pages: Sequence[Page]) -> tuple[Head, list[Chained], list[Event]]:
        links: list[Chained] = []
        for page in pages:
            for entry in page.entries:
                made = chain(head, structs.replace(entry, seq=head.seq + 1))
                head = Head(made.seq, made.hash)
                links.append(made)
        return head, links, [event for page in pages for event in page.events]


def _columns(events: Sequence[Event], told: int) -> tuple[list[int], list[str], list[str], list[int], list[int]]:
    return (
        [*range(told + 1, told + len(events) + 1)],
        [each.payment_id for each in events],
        [each.state.value for each in events],
        [each.at for each in events],
        [int(each.first) for each in events],
    )
