"""What every PostgreSQL book shares: how a method asks the database, and what one transaction has noted so far.

A book never waits by itself. It puts statements in line on the connection and gives way with `ASK` when it needs an
answer; the store, which drives the work, sends what is in line and resumes it. So a work that waits on anything else is
found out, and what needs no answer shares the next round trip.
"""

import types
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tallystick.adapters.store.postgres.cache import Cache, TraceDay
from tallystick.adapters.store.postgres.link import Answer, Link
from tallystick.adapters.store.postgres.statements import Query
from tallystick.adapters.store.rows.texts import Row
from tallystick.audit.ledger import Ledger
from tallystick.outcomes.model import Event


class Ask:
    """What a book yields to the store that drives it: send what is in line, answer with the last answer."""


class Settle:
    """What a book yields before it reads what is put in order after commits: see `sequence`."""


class First(NamedTuple):
    """What a book yields when another work has to count before its own can go on: that one is then run again.

    `then` is given what the other one returned, once that is durable.
    """

    work: Callable[[Any], Awaitable[Any]]
    then: Callable[[Any], None]


ASK: Final = Ask()
SETTLE: Final = Settle()


class Outdated(Exception):
    """The work used kept rows that are old; run it again."""


class Hasty(Exception):
    """The work took a write for done that changed nothing; run it again, and let it wait for such answers."""


class PostgresBook:
    """Base of the books: they run on one connection, inside the transaction that the store has open on it."""

    def __init__(self, link: Link, queries: Mapping[str, Query], cache: Cache) -> None:
        self._link = link
        self._queries = queries
        self._cache = cache
        self._changed = 0
        self.ledger = Ledger(lambda: self._changed)
        self.writes = False
        """Whether this transaction may write, and so locks what it decides about."""
        self.settled = False
        """Whether everything committed before was put in order first."""
        self.raced = False
        """Whether a guarded write found another's row: a rerun would see it."""
        self.careful = False
        """Whether a run before this one was hasty."""
        self.events: list[Event] = []
        """The events that this transaction logs; `seq` is given when they are put in order."""
        self.held: set[str] = set()
        """The payments without a fate whose rows this transaction has locked."""
        self.missed: set[tuple[bytes, str]] = set()
        """The elements and policies under which it found no payment that waits."""
        self.ahead: dict[str, list[Row]] = {}
        """The sealed parts of payments it has locked, read with them and not changed since."""
        self.ahead_intents: dict[str, list[Row]] = {}
        """The intents of payments it moved to their back ends, read with that and not changed since."""
        self.drawn: list[tuple[TraceDay, int]] = []
        """The trace numbers that this transaction drew: free again if it is undone."""

    def begin(self, actor: str, *, writes: bool, settled: bool, careful: bool) -> None:
        """Start a transaction of `actor`."""
        self.writes, self.settled, self.careful, self.raced = writes, settled, careful, False
        self._caching, self._cached, self._hit = True, False, False
        self._used_version = 0
        self.events, self.drawn = [], []
        self.held, self.missed, self.ahead, self.ahead_intents = set(), set(), {}, {}
        self.ledger.begin(actor)

    def undone(self) -> None:
        """Take back what this transaction drew from the node's own stock; it certainly does not count."""
        for day, number in reversed(self.drawn):
            self._cache.traces.setdefault(day, deque()).appendleft(number)

    async def _rows(self, name: str, *values: Any) -> list[Row]:
        """Read rows."""
        return (await self._ask(name, values)).rows()

    async def _row(self, name: str, *values: Any) -> Row | None:
        """Read the first row, if there is one."""
        rows = (await self._ask(name, values)).rows()
        return rows[0] if rows else None

    async def _change(self, name: str, *values: Any) -> int:
        """Write, and return how many rows changed."""
        changed = (await self._ask(name, values)).changed
        self._changed += changed
        return changed

    async def _changing(self, name: str, *values: Any) -> Row | None:
        """Write one row and read what the statement returns of it; None when it changed none."""
        row = await self._row(name, *values)
        self._changed += row is not None
        return row

    def _put(self, name: str, *values: Any, taken: Exception | None = None) -> None:
        """Write without waiting for the answer; it counts as one change.

        The whole work fails when the server refuses, with `taken` when the row is there already: the work cannot catch
        it. Only for methods that change exactly one row, or whose audit rule is a text.
        """
        self._link.send(self._queries[name].write, values, taken=taken)
        self._changed += 1

    def _note(self, name: str, *values: Any) -> None:
        """Write what is the store's own, beside what a method of the port changes, without waiting for the answer."""
        self._link.send(self._queries[name].write, values)

    def _check(self, name: str, *values: Any, nothing: Exception) -> None:
        """Write one row without waiting for the answer; the whole work fails with `nothing` when there is none."""

        def then(answer: Answer) -> None:
            if not answer.changed:
                self.raced = True
                raise nothing

        self._link.send(self._queries[name].write, values, then=then)
        self._changed += 1

    async def _move(self, name: str, *values: Any) -> bool:
        """Write one row by compare-and-set; True if it was as expected.

        That is the rule, so the answer is not waited for: nothing of the work counts before it came, and when the row
        was not as expected the work is run again and waits.
        """
        if self.careful:
            return await self._change(name, *values) == 1

        def then(answer: Answer) -> None:
            if answer.changed != 1:
                raise Hasty

        self._link.send(self._queries[name].write, values, then=then)
        self._changed += 1
        return True

    def _use_cache(self) -> bool:
        """Tell whether this transaction may use the cache, and have it checked that what is kept was not old.

        It may only while the cache is of the version that this transaction used first: another one may have renewed it.
        """
        if not self._cached and self._caching:
            self._cached, self._used_version = True, self._cache.version
            self._link.send(self._queries["settings_version"].read, then=self._judge_cache)
        return self._may_keep()

    def _may_keep(self) -> bool:
        """Tell whether a row just read is of the version that the cache is of."""
        return self._caching and self._used_version == self._cache.version

    def _leave_cache(self) -> None:
        """Tell all nodes that what they keep is old, before changing it; this transaction keeps nothing more.

        A work that has read such rows changes nothing on the ground of old ones: it runs again when another transaction
        has changed any of them since.
        """
        self._caching = False
        if self._cached:
            self._link.send(self._queries["move_settings_version_from"].write, (self._used_version,), then=self._moved)
        else:
            self._link.send(self._queries["move_settings_version"].write)

    def _moved(self, answer: Answer) -> None:
        if not answer.changed:
            raise Outdated
        self._used_version += 1

    def _judge_cache(self, answer: Answer) -> None:
        ((version,),) = answer.rows()
        if version > self._cache.version:
            self._cache.forget(version)
        if version != self._used_version and self._hit:
            raise Outdated
        self._used_version = version

    async def _settle(self) -> None:
        """See to it that this transaction began after everything committed before was put in order."""
        if not self.settled:
            await _give_way(SETTLE)

    async def _first(self, work: Callable[[Any], Awaitable[Any]], then: Callable[[Any], None]) -> None:
        """Have another work done in a transaction of its own, and the one at hand run again; see `First`."""
        await _give_way(First(work, then))

    async def _ask(self, name: str, values: Sequence[Any]) -> Answer:
        query = self._queries[name]
        self._link.send(query.write if self.writes else query.read, values)
        answer: Answer = await _give_way(ASK)
        return answer


@types.coroutine
def _give_way(to: Ask | Settle | First) -> Generator[Ask | Settle | First, Any, Any]:
    return (yield to)
