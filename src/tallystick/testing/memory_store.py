"""A store in memory with every promise of the real one except durability; deterministic, for tests and simulations."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tallystick.adapters.store.drive import drive
from tallystick.audit.acting import actor
from tallystick.audit.ledger import audited
from tallystick.errors import Misconfigured, StoreFailed
from tallystick.runtime import Clock, SystemClock
from tallystick.testing.memory_access import MemoryApiKeys, MemoryProposals
from tallystick.testing.memory_anchors import MemoryAnchors
from tallystick.testing.memory_audit import MemoryAudit
from tallystick.testing.memory_backlog import MemoryBacklog
from tallystick.testing.memory_books import (
    MemoryChannels,
    MemoryConnectors,
    MemoryNotices,
    MemoryReplay,
    MemoryUsers,
)
from tallystick.testing.memory_capabilities import MemoryCapabilities
from tallystick.testing.memory_enrolments import MemoryEnrolments
from tallystick.testing.memory_events import MemoryWebhooks
from tallystick.testing.memory_intents import MemoryIntents
from tallystick.testing.memory_kept import MemoryKept
from tallystick.testing.memory_limits import MemoryLimits
from tallystick.testing.memory_merchants import MemoryMerchants
from tallystick.testing.memory_payments import MemoryClaims
from tallystick.testing.memory_pins import MemoryPinBook
from tallystick.testing.memory_pull import MemoryPulls
from tallystick.testing.memory_routes import MemoryRoutes
from tallystick.testing.memory_signups import MemorySignUps
from tallystick.testing.memory_table import Journal

T = TypeVar("T")


@audited
class MemoryBooks(
    MemoryBacklog,
    MemoryKept,
    MemoryChannels,
    MemoryEnrolments,
    MemoryAnchors,
    MemoryCapabilities,
    MemoryApiKeys,
    MemoryProposals,
    MemoryLimits,
    MemoryPinBook,
    MemoryReplay,
    MemoryIntents,
    MemoryMerchants,
    MemoryClaims,
    MemoryRoutes,
    MemoryConnectors,
    MemoryUsers,
    MemorySignUps,
    MemoryNotices,
    MemoryPulls,
    MemoryWebhooks,
    MemoryAudit,
):
    """All books in memory; implements `delivery.books.Books` and `outcomes.ports.OutcomeBooks`."""


class MemoryStore:
    """Implement `delivery.books.Store` without a disk; `clock` dates the entries of the audit chain."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._journal: Journal = []
        self._books = MemoryBooks(self._journal)
        self._closed = False

    async def transact(self, work: Callable[[MemoryBooks], Awaitable[T]]) -> T:
        """Run `work` as one transaction and return its result; see `Store.transact`."""
        # A durable store never answers at once: other tasks get their turn here too.
        await asyncio.sleep(0)
        if self._closed:
            raise StoreFailed("the store is closed")
        ledger = self._books.ledger
        try:
            ledger.begin(actor())
            result = drive(work, self._books)
            self._books.chain_up(ledger.end(), self._clock.now())
        except BaseException:
            for undo in reversed(self._journal):
                undo()
            raise
        else:
            return result
        finally:
            self._journal.clear()

    async def read(self, work: Callable[[MemoryBooks], Awaitable[T]]) -> T:
        """Run `work`, which only reads; see `Store.read`."""
        if self._closed:
            raise StoreFailed("the store is closed")
        before = len(self._journal)
        ledger = self._books.ledger
        ledger.begin(actor())
        result = drive(work, self._books)
        noted = ledger.end()
        if (written := self._journal[before:]) or noted:
            for undo in reversed(written):
                undo()
            del self._journal[before:]
            raise Misconfigured("a work that was to read only has written; nothing of it was kept")
        return result

    async def aclose(self) -> None:
        """Close; later transactions raise StoreFailed. Closing twice is harmless."""
        self._closed = True
