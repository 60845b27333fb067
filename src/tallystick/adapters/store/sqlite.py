"""The embedded store: one SQLite file, one connection, no threads, group commit.

Making a change durable costs one wait for the disk. Works that arrive while the loop is busy share it: they run one
after the other inside one transaction, each behind a savepoint of its own, and are acknowledged together after COMMIT.
"""

import asyncio
import functools
import logging
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from tallystick.adapters.store.drive import drive
from tallystick.adapters.store.sqlite_access import SqliteApiKeys, SqliteProposals
from tallystick.adapters.store.sqlite_anchors import SqliteAnchors
from tallystick.adapters.store.sqlite_audit import SqliteAudit
from tallystick.adapters.store.sqlite_backlog import SqliteBacklog
from tallystick.adapters.store.sqlite_book import Cache
from tallystick.adapters.store.sqlite_capabilities import SqliteCapabilities
from tallystick.adapters.store.sqlite_channels import SqliteChannels
from tallystick.adapters.store.sqlite_claims import SqliteClaims
from tallystick.adapters.store.sqlite_enrolments import SqliteEnrolments
from tallystick.adapters.store.sqlite_intents import SqliteIntents
from tallystick.adapters.store.sqlite_kept import SqliteKept
from tallystick.adapters.store.sqlite_limits import SqliteLimits
from tallystick.adapters.store.sqlite_merchants import SqliteMerchants
from tallystick.adapters.store.sqlite_nodes import SqliteNodes
from tallystick.adapters.store.sqlite_open import BUSY_TIMEOUT_S, connect
from tallystick.adapters.store.sqlite_parts import SqliteParts
from tallystick.adapters.store.sqlite_payments import SqlitePayments
from tallystick.adapters.store.sqlite_pins import SqlitePins
from tallystick.adapters.store.sqlite_pull import SqlitePulls
from tallystick.adapters.store.sqlite_replay import SqliteReplay
from tallystick.adapters.store.sqlite_routes import SqliteConnectors, SqliteRoutes
from tallystick.adapters.store.sqlite_signups import SqliteSignUps
from tallystick.adapters.store.sqlite_vault import SqliteNotices, SqliteUsers
from tallystick.adapters.store.sqlite_webhooks import SqliteWebhooks
from tallystick.audit.acting import actor
from tallystick.audit.ledger import Draft, Ledger, audited
from tallystick.errors import Misconfigured, StoreFailed, Unavailable
from tallystick.runtime import Clock, SystemClock

BATCH_MAX: Final = 256  # works that share one commit; bounds how long the loop is held
BUSY_BATCH: Final = 2  # works in the last commit from which on the store counts as busy
COMMIT_DELAY_S: Final = 0.002  # s a busy store waits for more works before it commits
BUSY_PAUSE_S: Final = 0.001  # s until a look whether another process has committed
WAITING_MAX: Final = 8_192  # works that wait for a commit; more are refused

_log = logging.getLogger(__name__)

T = TypeVar("T")


@audited
class SqliteBooks(
    SqliteChannels,
    SqliteEnrolments,
    SqliteAnchors,
    SqliteCapabilities,
    SqliteApiKeys,
    SqliteProposals,
    SqliteLimits,
    SqlitePins,
    SqliteReplay,
    SqlitePayments,
    SqliteParts,
    SqliteMerchants,
    SqliteClaims,
    SqliteRoutes,
    SqliteConnectors,
    SqliteUsers,
    SqliteSignUps,
    SqliteNotices,
    SqliteIntents,
    SqliteNodes,
    SqlitePulls,
    SqliteWebhooks,
    SqliteBacklog,
    SqliteKept,
    SqliteAudit,
):
    """All books on one connection; implements `delivery.books.Books` and `outcomes.ports.OutcomeBooks`."""

    def __init__(self, db: sqlite3.Connection, cache: Cache) -> None:
        super().__init__(db, cache)
        self.ledger = Ledger(functools.partial(getattr, db, "total_changes"))


class Outcome(NamedTuple):
    """What a work gave: a value and what it leaves in the audit chain, or the error that undid it."""

    value: Any = None
    error: BaseException | None = None
    drafts: Sequence[Draft] = ()


class Waiting(NamedTuple):
    """A work that waits for its turn, where its caller waits for the outcome, and who that is."""

    work: Callable[[SqliteBooks], Awaitable[Any]]
    done: asyncio.Future[Any]
    actor: str

    def answer(self, outcome: Outcome) -> None:
        """Tell the caller, unless it waits no more."""
        if self.done.cancelled():
            return
        if outcome.error is None:
            self.done.set_result(outcome.value)
        else:
            self.done.set_exception(outcome.error)


class SqliteStore:
    """Implement `delivery.books.Store` on the SQLite file at `path`, created when missing.

    Other processes may use the same file; a writer waits for the other up to `sqlite_open.BUSY_TIMEOUT_S`, while its
    event loop goes on. `clock` dates the entries of the audit chain. Raises
    Misconfigured when the file cannot be used.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._db = connect(path)
        self._cache = Cache()
        self._books = SqliteBooks(self._db, self._cache)
        self._clock = clock or SystemClock()
        self._waiting: deque[Waiting] = deque()
        self._committing = False
        self._closed = False
        self._last_batch = 0
        self._busy_since: float | None = None

    async def transact(self, work: Callable[[SqliteBooks], Awaitable[T]]) -> T:
        """Run `work` as one transaction and return its result once the change is on disk; see `Store.transact`."""
        if self._committing:
            raise Misconfigured("a transaction waits only on the store")
        if self._closed:
            raise StoreFailed("the store is closed")
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable("too many transactions wait for the store")
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Under load a short wait fills the batch: one commit for many. A lone caller never waits.
            busy = self._last_batch >= BUSY_BATCH
            loop.call_later(COMMIT_DELAY_S if busy else 0, self._commit_waiting)
        waiting = Waiting(work, loop.create_future(), actor())
        self._waiting.append(waiting)
        result: T = await waiting.done
        return result

    async def read(self, work: Callable[[SqliteBooks], Awaitable[T]]) -> T:
        """Run `work`, which only reads, at once on what is committed; see `Store.read`."""
        if self._committing:
            raise Misconfigured("a transaction waits only on the store")
        if self._closed:
            raise StoreFailed("the store is closed")
        before = self._db.total_changes
        try:
            self._db.execute("BEGIN")  # one snapshot for all its statements
            try:
                self._cache.refresh(self._db)
                self._books.ledger.begin(actor())
                result = drive(work, self._books)
                noted = self._books.ledger.end()
            finally:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise failed(error) from error
        if noted or self._db.total_changes != before:
            raise Misconfigured("a work that was to read only has written; nothing of it was kept")
        return result

    def load(self) -> float:
        """Return how full the queue of works that wait for a commit is, 1 when more are refused."""
        return len(self._waiting) / WAITING_MAX

    async def checkpoint(self) -> bool:
        """Move the log into the database and empty it, which also overwrites the old images of erased content.

        False when another process still reads from the log: try again later. Raises StoreFailed when the disk fails.
        """
        try:
            busy: int = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise failed(error) from error
        return not busy

    async def aclose(self) -> None:
        """Finish the works that wait, then close; later transactions raise StoreFailed. Closing twice is harmless."""
        self._closed = True
        while self._waiting:
            self._commit_waiting()
            await asyncio.sleep(BUSY_PAUSE_S if self._waiting else 0)
        self._db.close()

    def _commit_waiting(self) -> None:
        if not self._waiting:
            return
        failure: StoreFailed | None = None
        try:
            if not self._begun():
                asyncio.get_running_loop().call_later(BUSY_PAUSE_S, self._commit_waiting)
                return
        except sqlite3.Error as error:
            failure = failed(error)
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_MAX))]
        self._last_batch = len(batch)
        self._committing = True
        try:
            outcomes = self._commit(batch) if failure is None else [Outcome(error=failure) for _ in batch]
        except Exception as error:  # noqa: BLE001 - nothing of the batch counts, whatever undid it: its callers hear of it
            if not isinstance(error, sqlite3.Error):
                _log.exception("a batch of works was undone")
            outcomes = [Outcome(error=failed(error)) for _ in batch]
        finally:
            self._committing = False
        for waiting, outcome in zip(batch, outcomes, strict=True):
            waiting.answer(outcome)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._commit_waiting)

    def _begun(self) -> bool:
        """Begin a transaction that writes; False while another process has one: try again soon.

        SQLite's own waiting would hold up the event loop, in steps of up to a tenth of a second. Raises sqlite3.Error
        when the other one has it for `BUSY_TIMEOUT_S`, and when it cannot be begun at all.
        """
        now = asyncio.get_running_loop().time()
        since = now if self._busy_since is None else self._busy_since
        self._busy_since = None
        self._db.execute("PRAGMA busy_timeout = 0")
        try:
            # IMMEDIATE: one that begins as a reader may find, at its first write, that another process was first.
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or now - since >= BUSY_TIMEOUT_S:
                raise
            self._busy_since = since
            return False
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")
        return True

    def _commit(self, batch: list[Waiting]) -> list[Outcome]:
        """Run a batch in the transaction begun and make it durable; whatever it raises, nothing of the batch counts."""
        try:
            self._cache.refresh(self._db)
            outcomes = [self._run(waiting) for waiting in batch]
            drafts = [draft for outcome in outcomes for draft in outcome.drafts]
            if drafts:
                self._books.chain_up(drafts, self._clock.now())
            self._db.execute("COMMIT")
        except BaseException:
            self._cache.head = None
            # A full disk makes SQLite roll back by itself.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return outcomes

    def _run(self, waiting: Waiting) -> Outcome:
        """Run one work behind its savepoint; raises sqlite3.Error when SQLite gave up the whole transaction."""
        if waiting.done.cancelled():
            return Outcome()
        self._db.execute("SAVEPOINT work")
        try:
            self._books.ledger.begin(waiting.actor)
            value = drive(waiting.work, self._books)
            outcome = Outcome(value, drafts=self._books.ledger.end())
        except BaseException as error:  # whatever a work raises belongs to its own caller
            if isinstance(error, sqlite3.Error) and not self._db.in_transaction:
                raise
            self._db.execute("ROLLBACK TO work")
            outcome = Outcome(error=failed(error) if isinstance(error, sqlite3.Error) else error)
        self._db.execute("RELEASE work")
        return outcome


def failed(error: Exception) -> StoreFailed:
    """Translate an error, of the database as a rule; its own text is left out, for it may quote a row."""
    failure = StoreFailed(f"the database refused: {getattr(error, 'sqlite_errorname', type(error).__name__)}")
    failure.__cause__ = error
    return failure
