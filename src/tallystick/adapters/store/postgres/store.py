"""The store of many nodes: works run side by side, each in a transaction and on a connection of its own.

READ COMMITTED, with what a work decides about held by a row lock, every rule of state in the WHERE of its write and
every race decided by a unique index (decision 0025). A work is run again from its start, in a new transaction, when
nothing of it can have counted; so it has no effect outside of the books.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tallystick.adapters.store.postgres.book import ASK, SETTLE, First, Hasty, Outdated
from tallystick.adapters.store.postgres.books import PostgresBooks
from tallystick.adapters.store.postgres.cache import Cache
from tallystick.adapters.store.postgres.clock import DatabaseClock
from tallystick.adapters.store.postgres.link import Answer, Link, Lost, Refused
from tallystick.adapters.store.postgres.opening import Settings, open_link, require_schema
from tallystick.adapters.store.postgres.pool import Pool
from tallystick.adapters.store.postgres.sequence import Page, Sequencer, write_page
from tallystick.adapters.store.postgres.session import Session
from tallystick.adapters.store.postgres.statements import BEGIN, load
from tallystick.audit.acting import actor
from tallystick.errors import AlreadyExists, AlreadyFinal, Misconfigured, StoreFailed, TallystickError
from tallystick.runtime import Clock, Millis, Randomness, SystemRandomness

TRIES_MAX: Final = 6  # runs of one work before its caller is told
RACES_MAX: Final = 3  # runs of a work that finds another's row each time, before it is told that the row is there
PAUSE_MS: Final = 10  # ms; before the second run at most twice this, and doubles with each

READ_ONLY: Final = "25006"
NEW_LINK: Final = {"57P01", "57P02", "57P03", READ_ONLY}
AGAIN: Final = NEW_LINK | {"40001", "40P01", "55P03"}
"""Refusals that undo the whole transaction and may pass: the work is run again.

Serialization failure, deadlock, a lock that was not to be had in time; and, on a new connection, a server that is being
shut down, crashed or starts, or is the standby after a fail-over.
"""

T = TypeVar("T")


class Turn(Exception):
    """The work is to be run again, and nothing of it counts yet."""


class Again(Turn):
    """Another run may go better; `race` is what the caller is told if none does."""

    def __init__(self, race: Exception | None = None) -> None:
        super().__init__()
        self.race = race


class Before(Turn):
    """Another work has to count first."""

    def __init__(self, first: First) -> None:
        super().__init__()
        self.first = first


class Unsettled(Turn):
    """The work reads what is put in order after commits: that is done first."""


class PostgresStore:
    """Implement `delivery.books.Store` on a PostgreSQL database whose schema is up to date (`migrate`).

    Opens nothing before it is used, and then raises Misconfigured when migrations are missing. `clock` dates the
    entries of the audit chain, instead of the database's; `randomness` spreads second runs.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None, randomness: Randomness | None = None) -> None:
        self._settings = settings
        self.clock = DatabaseClock(self.time)
        """The database's clock, for all that is judged on this node; who serves keeps it `running`."""
        self._dating: Clock = clock or self.clock
        self._randomness = randomness or SystemRandomness()
        self._queries = load()
        self._cache = Cache()
        self._pool = Pool(self._open, settings.pool_max)
        self._sequencer = Sequencer(self._pool, self._queries)
        self._stepping = False
        self._checked = False
        self._closed = False

    async def transact(self, work: Callable[[PostgresBooks], Awaitable[T]]) -> T:
        """Run `work` as one transaction and return its result once the change is durable; see `Store.transact`.

        Raises StoreFailed also when the connection was lost after COMMIT was sent: whether the work counts is then not
        known, and it is not run again.
        """
        if self._dating is self.clock and not self.clock.known:
            await self.clock.measure()
        return await self._run(work, writes=True)

    async def read(self, work: Callable[[PostgresBooks], Awaitable[T]]) -> T:
        """Run `work`, which only reads, on one snapshot; see `Store.read`."""
        return await self._run(work, writes=False)

    async def aclose(self) -> None:
        """Finish the works that wait, then close; later transactions raise StoreFailed. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            await self._sequencer.aclose()
            await self._pool.aclose()

    def load(self) -> float:
        """Return how full the queue of works that wait for a connection is, 1 when more are refused."""
        return self._pool.load()

    async def checkpoint(self) -> bool:
        """Leave it to the database: VACUUM takes away what is erased, and the end of its key makes it unreadable."""
        return True

    async def time(self) -> Millis:
        """Return the database's time."""

        async def ask(books: PostgresBooks) -> Millis:
            return await books.database_time()

        return await self.read(ask)

    async def _open(self) -> Session:
        if not self._checked:
            await require_schema(self._settings)
            self._checked = True
        link = await open_link(self._settings)
        return Session(link, PostgresBooks(link, self._queries, self._cache))

    async def _run(self, work: Callable[[PostgresBooks], Awaitable[T]], *, writes: bool) -> T:
        """Run a work until it counts or is refused for good."""
        if self._stepping:
            raise Misconfigured("a transaction waits only on the store")
        if self._closed:
            raise StoreFailed("the store is closed")
        settled = careful = False
        for tries in range(1, TRIES_MAX + 1):
            try:
                return await self._try(work, writes=writes, settled=settled, careful=careful)
            except Outdated:
                continue
            except Hasty:
                careful = True
            except Turn as turn:
                settled = settled or isinstance(turn, Unsettled)
                await self._turn(turn, tries)
        raise StoreFailed("what the work reads changes too often")

    async def _turn(self, turn: Turn, tries: int) -> None:
        """Do what a work waits for before its next run; raises what its caller is told when there is none."""
        match turn:
            case Unsettled():
                await self._sequencer.settle()
            case Before(first=first):
                first.then(await self._run(first.work, writes=True))
            case Again(race=race):
                if tries == TRIES_MAX or (race is not None and tries == RACES_MAX):
                    raise (race or StoreFailed("the database refused often")) from turn
                await asyncio.sleep(self._randomness.below(PAUSE_MS * 2**tries) / 1_000)

    async def _try(
        self, work: Callable[[PostgresBooks], Awaitable[T]], *, writes: bool, settled: bool, careful: bool
    ) -> T:
        """Run a work once; raises Again when nothing of it counts and another run may go better."""
        session = await self._pool.take()
        link, books = session.link, session.books
        try:
            books.begin(actor(), writes=writes, settled=settled, careful=careful)
            return await (self._write(work, session) if writes else self._read(work, session))
        except Lost:
            if link.committing:
                raise StoreFailed("the connection was lost while committing: the outcome is not known") from None
            books.undone()
            raise Again from None
        except Refused as refused:
            books.undone()
            await _undo(link)
            raise _judged(refused, link, writes=writes) from None
        except asyncio.CancelledError:
            link.close()  # answers are under way that nobody will read
            raise
        except BaseException as error:
            books.undone()
            await _confirm(link)
            await _undo(link)
            if books.raced and isinstance(error, (AlreadyExists, AlreadyFinal)):
                raise Again(error) from None
            raise
        finally:
            self._pool.give_back(session)

    async def _write(self, work: Callable[[PostgresBooks], Awaitable[T]], session: Session) -> T:
        link, books = session.link, session.books
        link.send(BEGIN)
        value = await self._drive(work, session)
        drafts = books.ledger.end()
        if left := drafts or books.events:
            at = self._dating.now()
            entries = [draft.entry(0, at) for draft in drafts]
            link.send(self._queries["add_page"].write, (write_page(Page(entries, books.events)),))
        await link.commit()
        if left:
            self._sequencer.soon()
        return value

    async def _read(self, work: Callable[[PostgresBooks], Awaitable[T]], session: Session) -> T:
        link, books = session.link, session.books
        value = await self._drive(work, session)
        if link.unanswered:
            await link.answer()
        if books.ledger.end():
            raise Misconfigured("a work that was to read only has written; nothing of it was kept")
        link.finish()
        return value

    async def _drive(self, work: Callable[[PostgresBooks], Awaitable[T]], session: Session) -> T:
        """Run a work, and answer what its books ask; raises Misconfigured when it waits on anything else."""
        steps = work(session.books).__await__()
        answer: Answer | None = None
        try:
            while True:
                self._stepping = True
                try:
                    asked = steps.send(answer)
                except StopIteration as end:
                    value: T = end.value
                    return value
                finally:
                    self._stepping = False
                if asked is SETTLE:
                    raise Unsettled
                if isinstance(asked, First):
                    raise Before(asked)
                if asked is not ASK:
                    raise Misconfigured("a transaction waits only on the store")
                answer = await session.link.answer()
        finally:
            steps.close()


async def _confirm(link: Link) -> None:
    """Have checked what a work rested on, before its error is believed; raises Outdated or Hasty when it was wrong."""
    if link.unchecked:
        with contextlib.suppress(Lost, Refused, TallystickError):
            await link.answer()


async def _undo(link: Link) -> None:
    with contextlib.suppress(Lost):
        await link.undo()


def _judged(refused: Refused, link: Link, *, writes: bool) -> Exception:
    """Say what a refusal means for the work; nothing of it counts."""
    if refused.taken is not None:
        return Again(refused.taken)
    if refused.state == READ_ONLY and not writes:
        return Misconfigured("a work that was to read only has written; nothing of it was kept")
    if refused.state in NEW_LINK:
        link.close()
    if refused.state in AGAIN:
        return Again()
    return StoreFailed(f"the database refused: {refused.state}")
