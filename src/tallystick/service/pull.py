"""What back ends call that fetch their deliveries (docs/reference/pull-back-end.md).

Nothing here is secret but the credential, in a JWE that only the back end opens; TLS and signatures protect the rest.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request

from tallystick.crypto.binding import bind
from tallystick.delivery import pull, resolve
from tallystick.delivery.books import Books
from tallystick.delivery.model import PullDelivery, PullState, Verdict
from tallystick.delivery.pull_queue import SECOND_MS, PullQueue
from tallystick.errors import TooMany, Unavailable, WrongMediaType
from tallystick.path import Platform
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis
from tallystick.security.idempotency import answer_once
from tallystick.security.verify import Verified, verify
from tallystick.service.handling import Caller, Handlers, Reply, back_end_of
from tallystick.wire import pull as wire

POLLS_MAX: Final = 16  # polls one back end holds open at a time
NO_JOB: Final = Raw(b"null")

_T = TypeVar("_T")


class _NothingYet(Exception):
    """Undo the transaction of a poll that goes on waiting: its nonce and Idempotency-Key are not used up."""


class _Said(Struct, frozen=True, kw_only=True):
    """A verified call of a back end."""

    caller: Caller
    back_end: BackEnd
    verified: Verified


class PullDesk:
    """Hand out what waits in `queue`, and take what back ends tell about it."""

    def __init__(self, platform: Platform, queue: PullQueue) -> None:
        self._platform = platform
        self._queue = queue
        self._polls: Counter[str] = Counter()

    def handlers(self) -> Handlers:
        """Return the handlers by path and method."""
        return {
            wire.NEXT: {"POST": self._next},
            f"{wire.DELIVERIES}/{{key}}/outcome": {"POST": self._outcome},
            f"{wire.DELIVERIES}/{{key}}/reversal": {"POST": self._reversal},
        }

    async def _next(self, request: Request, caller: Caller) -> Reply:
        """Answer a poll as soon as there is a job, or when its time is over.

        1. It is an institution's, signed by its key, and has the form of a poll.
        2. It is one of POLLS_MAX at most: TooMany.
        3. Its nonce is used up, the job handed out and the answer kept in one transaction, before a byte leaves.
           A repeat under the same Idempotency-Key gets the same job: an answer that was lost is not a delivery lost.
        """
        # 1.
        said, poll = _read(caller, wire.Poll)
        name, until = said.back_end.id, Millis(caller.arrival.at + poll.wait * SECOND_MS)
        # 2.
        if self._polls[name] >= POLLS_MAX:
            raise TooMany(f"an institution has at most {POLLS_MAX} polls open at a time")
        self._polls[name] += 1
        try:
            await self._queue.note_poll(name)
            # 3.
            body = await self._queue.wait(name, until, lambda: self._look(request, said))
            return Reply(200, body or await self._once(said, lambda books: self._job_or_none(books, said.back_end)))
        finally:
            self._polls[name] -= 1

    async def _look(self, request: Request, said: _Said) -> bytes | None:
        """Hand out what is there, to a caller who is still there: a job for nobody would be in doubt for hours."""
        if await request.is_disconnected():
            raise Unavailable("the caller has gone")
        if not await self._platform.store.read(lambda books: self._something(books, said)):
            return None
        try:
            return await self._once(said, lambda books: self._job(books, said.back_end))
        except _NothingYet:
            return None

    async def _something(self, books: Books, said: _Said) -> bool:
        key, now = said.verified.idempotency_key, self._platform.clock.now()
        repeated = await books.stored_answer(said.verified.sender, key)
        return repeated is not None or await books.next_pull(said.back_end.id, now) is not None

    async def _job(self, books: Books, back_end: BackEnd) -> bytes:
        taken = await pull.take(books, back_end.id, self._platform.clock.now())
        if taken is None:
            raise _NothingYet
        return msgspec.json.encode(wire.Handout(job=Raw(self._encoded(taken))))

    async def _job_or_none(self, books: Books, back_end: BackEnd) -> bytes:
        try:
            return await self._job(books, back_end)
        except _NothingYet:
            return msgspec.json.encode(wire.Handout(job=NO_JOB))

    def _encoded(self, taken: PullDelivery) -> bytes:
        if taken.state is PullState.CANCEL_ASKED:
            return msgspec.json.encode(wire.Reversal(key=taken.key))
        return self._queue.body(taken)

    async def _outcome(self, request: Request, caller: Caller) -> Reply:
        """Take a decision, and settle the payment in the same transaction."""
        said, decided = _read(caller, wire.Decided)
        key, back_end = request.path_params["key"], said.back_end.id

        async def act(books: Books) -> bytes:
            verdict = Verdict(decided.verdict)
            state = await pull.note_outcome(
                books, back_end, key, verdict=verdict, code=decided.code, approval=decided.approval
            )
            if state is PullState.DONE:
                finding = pull.finding(await books.pull(key))
                await resolve.notified(books, back_end, key, finding, caller.arrival.at)
            return msgspec.json.encode(wire.Noted(state=state.value))

        return await self._told(said, key, act)

    async def _reversal(self, request: Request, caller: Caller) -> Reply:
        """Take the acknowledgement of a reversal; who asked for it (`resolve.pursue`) settles the payment."""
        said, undone = _read(caller, wire.Undone)
        key = request.path_params["key"]

        async def act(books: Books) -> bytes:
            done = undone.result == "reversed"
            state = await pull.note_reversal(books, said.back_end.id, key, undone=done, code=undone.code)
            return msgspec.json.encode(wire.Noted(state=state.value))

        return await self._told(said, key, act)

    async def _told(self, said: _Said, key: str, act: Callable[[Books], Awaitable[bytes]]) -> Reply:
        body = await self._once(said, act)
        self._queue.call(key)
        return Reply(200, body)

    async def _once(self, said: _Said, act: Callable[[Books], Awaitable[bytes]]) -> bytes:
        """Act on a call in one transaction, once for its Idempotency-Key (`answer_once`)."""
        arrival, now = said.caller.arrival, self._platform.clock.now()
        content = bind(arrival.target) + arrival.body
        return await self._platform.store.transact(
            lambda books: answer_once(books, self._platform.epochs, said.verified, content, now, lambda: act(books))
        )


def _read(caller: Caller, kind: type[_T]) -> tuple[_Said, _T]:
    """Verify a call and read its body: CertificateWrongPurpose, WrongMediaType, Malformed, and those of `verify`."""
    back_end = back_end_of(caller)
    verified = verify(caller.arrival, caller.sender, caller.key)
    if caller.arrival.headers.get("content-type") != wire.MEDIA_TYPE:
        raise WrongMediaType(f"this address takes {wire.MEDIA_TYPE}")
    return _Said(caller=caller, back_end=back_end, verified=verified), wire.decode(caller.arrival.body, kind)
