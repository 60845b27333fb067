"""What a sandbox back end that fetches does with its jobs (docs/reference/sandboxes.md)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from msgspec import json

from tallystick.errors import TallystickError
from tallystick.runtime import Clock, SystemRandomness, new_id
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.deliveries import Deliveries, Fetched, ToReverse
from tallystick.sdk.errors import PlatformProblem, PlatformUnreachable
from tallystick.sdk.requests import target_of
from tallystick.testing.sandbox.http_failures import Failure, failure_of
from tallystick.testing.sandbox.ledger import Ledger, Payment, Standing
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.rest_rules import APPROVED, NO_FUNDS, Ruling, masked
from tallystick.wire import pull as wire
from tallystick.wire.rest import WireCredential

POLL_S: Final = 5  # s of one poll; shorter than the platform allows, so that a test ends soon
PAUSE_S: Final = 0.2  # s before a poll that failed is repeated
POLL_KEPT_MS: Final = 600_000  # ms in which a poll may be repeated: less than the platform knows its key
BUSY: Final = frozenset({429, 503})
UNREADABLE: Final = Ruling("credential_unreadable", None)
REFUSED: Final = "12"
SILENT: Final = frozenset({Failure.SILENT, Failure.CUT, Failure.LOST, Failure.IRREVERSIBLE})

Rules = Callable[[WireCredential, int], Ruling]


class PullBackEnd:
    """Fetch with `deliveries`, decide by `rules`, tell outcomes; `stranger` signs with a key the platform knows not.

    Each key is decided once for ever; `record` has every job. A late outcome is told after `late_s`. What it decides is
    told until the platform answers, also after a restart, and so is a poll whose job a crash swallowed.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        stranger: Deliveries,
        client: TallystickClient,
        *,
        rules: Rules,
        record: Record,
        clock: Clock,
        late_s: float,
    ) -> None:
        self.ledger = Ledger(approved=APPROVED, declined=NO_FUNDS)
        self.ledger.recall(record.entries, APPROVED)
        self._deliveries = deliveries
        self._stranger = stranger
        self._client = client
        self._rules = rules
        self._record = record
        self._clock = clock
        self._late_s = late_s
        self._jobs: set[asyncio.Task[None]] = set()
        self._lost_poll = self._find_lost_poll()

    async def poll(self, wait: int) -> None:
        """Fetch one job and begin it; a poll that is lost is repeated until it is answered."""
        key, wait = self._lost_poll or (new_id("poll", SystemRandomness()), wait)
        self._lost_poll = None
        self._record.append({"at": self._clock.now(), "kind": "poll", "poll": key, "wait": wait})
        while True:
            try:
                job = await self._deliveries.next(wait, idempotency_key=key)
            except TallystickError:  # the platform is away, or too busy: the same poll gets what was lost on its way
                await asyncio.sleep(PAUSE_S)
                continue
            if job is not None:
                self._begin(self._work(job))
            return

    async def run(self) -> None:
        """Tell what a crash kept from being told; then fetch and work for ever."""
        for key in self._untold():
            payment = self.ledger.find(key)
            if payment is not None:
                self._begin(self._tell(key, payment, failure_of(payment.amount)))
        while True:
            await self.poll(POLL_S)

    async def aclose(self) -> None:
        """End what is under way; what was decided stays decided."""
        for task in self._jobs:
            task.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        async def safely() -> None:
            with contextlib.suppress(TallystickError):  # an outcome that the platform refuses
                await work

        task = asyncio.create_task(safely())
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _work(self, job: Fetched | ToReverse) -> None:
        if isinstance(job, ToReverse):
            await self._reverse(job.key)
        else:
            await self._pay(job)

    async def _pay(self, job: Fetched) -> None:
        failure = failure_of(job.order.amount)
        ruling = UNREADABLE if job.credential is None else self._rules(job.credential, job.order.amount)
        effective = False
        payment: Payment | None = None
        if failure is not Failure.LOST:
            content = json.encode(job.order)
            amount, currency = job.order.amount, job.order.currency
            payment, effective = self.ledger.enter(
                job.key, content, ruling.code, amount=amount, currency=currency, failure=None
            )
        self._record.append(
            {
                "at": self._clock.now(),
                "kind": "authorisation",
                "payment_key": job.key,
                "amount": job.order.amount,
                "currency": job.order.currency,
                "payee": job.order.payee,
                "credential": None if job.credential is None else masked(job.credential),
                "secret": ruling.secret,
                "outcome": failure or (payment.standing if payment else None),
                "code": ruling.code,
                "effective": effective,
            }
        )
        if payment is not None and failure not in SILENT:
            await self._tell(job.key, payment, failure)

    async def _tell(self, key: str, payment: Payment, failure: Failure | None) -> None:
        if failure is Failure.LATE:
            await asyncio.sleep(self._late_s)
        if failure is Failure.GARBAGE:
            await self._client.post(target_of(wire.DELIVERIES, key, "outcome"), wire.Poll(), wire.Noted)
            return
        teller = self._stranger if failure is Failure.FORGED else self._deliveries
        for _ in range(2 if failure is Failure.TWICE else 1):
            await _until_answered(lambda: self._decided(teller, key, payment))
        self._record.append({"at": self._clock.now(), "kind": "told", "payment_key": key})

    async def _decided(self, teller: Deliveries, key: str, payment: Payment) -> None:
        if payment.standing is Standing.APPROVED:
            await teller.approve(key, code=payment.code, approval=f"{payment.number:06d}")
        else:
            await teller.decline(key, code=payment.code)

    async def _reverse(self, key: str) -> None:
        known = self.ledger.find(key)
        if known is not None and failure_of(known.amount) is Failure.IRREVERSIBLE:
            await _until_answered(lambda: self._deliveries.refuse_reversal(key, code=REFUSED))
            return
        undone = self.ledger.reverse(key, APPROVED)
        self._record.append(
            {"at": self._clock.now(), "kind": "reversal", "payment_key": key, "outcome": "reversed", "undone": undone}
        )
        await _until_answered(lambda: self._deliveries.reversed(key))

    def _find_lost_poll(self) -> tuple[str, int] | None:
        """Return key and wait of the last poll before a restart: it may have been answered with a job nobody knows."""
        for entry in reversed(self._record.entries):
            if entry["kind"] == "poll":
                recent = self._clock.now() - int(entry["at"] or 0) < POLL_KEPT_MS
                return (str(entry["poll"]), int(entry["wait"] or 0)) if recent else None
        return None

    def _untold(self) -> list[str]:
        """Return the keys of what was decided before a restart and not told, though it should have been."""
        decided, told = dict[str, None](), set[str]()
        for entry in self._record.entries:
            match entry:
                case {"kind": "authorisation", "payment_key": str(key), "amount": int(amount)}:
                    if failure_of(amount) not in SILENT:
                        decided[key] = None
                case {"kind": "told" | "reversal", "payment_key": str(key)}:
                    told.add(key)
        return [key for key in decided if key not in told]


async def _until_answered(tell: Callable[[], Awaitable[object]]) -> None:
    """Tell the platform something until it answers; raises what it answers with when that is a refusal."""
    while True:
        try:
            await tell()
        except PlatformUnreachable:
            await asyncio.sleep(PAUSE_S)
        except PlatformProblem as problem:
            if problem.status not in BUSY:
                raise
            await asyncio.sleep(PAUSE_S)
        else:
            return
