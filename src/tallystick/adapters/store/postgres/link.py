"""One connection: statements go out in a pipeline, so that what needs no answer costs no round trip.

psycopg opens the connection (hosts, TLS, passwords); statements go through `psycopg.pq`, its documented lower layer,
for a quarter of the processor time (decision 0024).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import pq

from tallystick.adapters.store.postgres.statements import COMMIT, ROLLBACK, Statement
from tallystick.adapters.store.postgres.values import decoder, encode

_GOOD: Final = {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.PIPELINE_SYNC}
_SYNC: Final = Statement(b"sync", b"", ())
_FAILED: Final = pq.ExecStatus.FATAL_ERROR
_UNDONE: Final = {"23", "25", "40"}
"""Classes of refusals of COMMIT after which it certainly did not count; 57 may follow a commit that did."""
_FAILED_TRANSACTION: Final = "25P02"
_UNIQUE: Final = "23505"


class Lost(Exception):
    """The connection is gone; what was sent may have been done."""


class Refused(Exception):
    """The server refused a statement; `state` is its SQLSTATE. Its text is left out, for it may quote a row.

    `taken` is what the caller is told of a row that is there already.
    """

    def __init__(self, state: str, taken: Exception | None = None) -> None:
        super().__init__(state)
        self.state = state
        self.taken = taken


class Answer:
    """What one statement gave."""

    __slots__ = ("_result",)

    def __init__(self, result: pq.abc.PGresult) -> None:
        self._result = result

    @property
    def changed(self) -> int:
        """Count the rows that it wrote."""
        return self._result.command_tuples or 0

    def rows(self) -> list[tuple[Any, ...]]:
        """Read its rows."""
        result = self._result
        decoders = [(column, decoder(result.ftype(column))) for column in range(result.nfields)]
        value = result.get_value
        return [
            tuple(None if (raw := value(row, column)) is None else read(raw) for column, read in decoders)
            for row in range(result.ntuples)
        ]


class Expected(NamedTuple):
    """A result that will come, in the order of sending, and what is made of it.

    `taken` is the `Refused.taken` when the statement would add a row that is there; `then` is called with the answer.
    """

    statement: Statement
    taken: Exception | None = None
    then: Callable[[Answer], None] | None = None
    prepares: bool = False


class Link:
    """A connection in pipeline mode, for one transaction at a time; `timeout_s` bounds each wait for answers.

    `committing` tells, once the connection is lost, whether a COMMIT may have been done.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any], timeout_s: float) -> None:
        self._pg = connection.pgconn
        self._connection = connection  # keeps the library's own clean-up away for as long as this lives
        self._socket = self._pg.socket
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._prepared: set[bytes] = set()
        self._expected: deque[Expected] = deque()
        self._results: list[tuple[Expected, pq.abc.PGresult]] = []
        self._waiter: asyncio.Future[None] | None = None
        self._writing = False
        self._checks = False
        self.committing = False
        self.lost = False
        self._pg.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._readable)

    def send(
        self,
        statement: Statement,
        values: Sequence[Any] = (),
        *,
        taken: Exception | None = None,
        then: Callable[[Answer], None] | None = None,
    ) -> None:
        """Put a statement in line; its answer comes with the next `answer` or `commit`. See `Expected`."""
        parameters = [encode(value) for value in values]
        if self.lost:
            return
        try:
            if statement.name not in self._prepared:
                self._pg.send_prepare(statement.name, statement.text)
                self._prepared.add(statement.name)
                self._expected.append(Expected(statement, prepares=True))
            self._pg.send_query_prepared(statement.name, parameters, statement.formats, 1)
        except psycopg.Error:
            self.close()
        else:
            self._expected.append(Expected(statement, taken, then))
            self._checks |= then is not None

    @property
    def unanswered(self) -> bool:
        """Say whether anything is in line or under way."""
        return bool(self._expected or self._results)

    @property
    def unchecked(self) -> bool:
        """Say whether an answer is awaited that something is made of."""
        return self._checks

    async def answer(self) -> Answer:
        """Send what is in line, wait for all answers and return the last one.

        Raises Refused for the first statement that the server refused, what the first `then` raises, and Lost.
        """
        self._checks = False
        if not self.lost:
            try:
                self._pg.send_flush_request()
            except psycopg.Error:
                self.close()
        return _judge(await self._drain())

    async def commit(self) -> None:
        """Commit; raises like `answer`, and Refused as well when the server rolled back instead."""
        if self._checks:
            await self.answer()
        self.committing = True
        self.send(COMMIT)
        self._sync()
        results = await self._drain()
        *_, (_, committed), _ = results
        if committed.status == _FAILED and _state(committed)[:2] not in _UNDONE:
            self.close()
            raise Lost
        self.committing = False
        _judge(results)
        if committed.command_status != COMMIT.text:
            raise Refused(_FAILED_TRANSACTION)

    def finish(self) -> None:
        """End a reading transaction; nobody waits for that."""
        self._sync()
        self._flush()

    async def undo(self) -> None:
        """Roll back, also after a refusal; raises Lost."""
        self._checks = False
        self._sync()
        self.send(ROLLBACK)
        self._sync()
        await self._drain()

    def close(self) -> None:
        """Close at once: the server undoes what is under way, and whoever waits finds the link lost."""
        if self.lost:
            return
        self.lost = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._pg.finish()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _drain(self) -> list[tuple[Expected, pq.abc.PGresult]]:
        self._flush()
        if self._expected and not self.lost:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(self._timeout_s, self.close)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if self.lost:
            raise Lost
        results, self._results = self._results, []
        return results

    def _sync(self) -> None:
        if self.lost:
            return
        try:
            self._pg.pipeline_sync()
        except psycopg.Error:
            self.close()
        else:
            self._expected.append(Expected(_SYNC))

    def _flush(self) -> None:
        if self.lost:
            return
        try:
            more = bool(self._pg.flush())
        except psycopg.Error:
            self.close()
            return
        if more is not self._writing:
            self._writing = more
            if more:
                self._loop.add_writer(self._socket, self._flush)
            else:
                self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            self._pg.consume_input()
            while self._expected and not self._pg.is_busy():
                if (result := self._pg.get_result()) is not None:
                    self._take(result)
        except psycopg.Error:
            self.close()
            return
        if self._pg.status != pq.ConnStatus.OK:
            self.close()
        elif not self._expected and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self, result: pq.abc.PGresult) -> None:
        expected = self._expected.popleft()
        if expected.prepares and result.status not in _GOOD:
            self._prepared.discard(expected.statement.name)
        self._results.append((expected, result))


def _judge(results: list[tuple[Expected, pq.abc.PGresult]]) -> Answer:
    last: pq.abc.PGresult | None = None
    for expected, result in results:
        if result.status not in _GOOD:
            state = _state(result)
            raise Refused(state, expected.taken if state == _UNIQUE else None)
        if expected.then is not None:
            expected.then(Answer(result))
        if expected.statement is not _SYNC:
            last = result
    if last is None:
        raise Lost
    return Answer(last)


def _state(result: pq.abc.PGresult) -> str:
    return (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
