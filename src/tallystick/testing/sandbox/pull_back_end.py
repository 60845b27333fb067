"""What a sandbox back end that fetches does with its jobs (docs/reference/sandboxes.md)."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from msgspec import json

from tallystick.errors import TallystickError
from tallystick.runtime import Clock, SystemRandomness, new_id
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.deliveries import Deliveries, Fetched, ToReverse
from tallystick.sdk.requests import target_of
from tallystick.testing.sandbox.http_failures import Failure, failure_of
from tallystick.testing.sandbox.ledger import Ledger, Payment, Standing
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.rest_rules import APPROVED, NO_FUNDS, Ruling, masked
from tallystick.wire import pull as wire
from tallystick.wire.rest import WireCredential

POLL_S: Final = 5  # s of one poll; shorter than the platform allows, so that a test ends soon
PAUSE_S: Final = 0.2  # s before a poll that failed is repeated
UNREADABLE: Final = Ruling("credential_unreadable", None)
REFUSED: Final = "12"
SILENT: Final = frozenset({Failure.SILENT, Failure.CUT, Failure.LOST, Failure.IRREVERSIBLE})

Rules = Callable[[WireCredential, int], Ruling]


class PullBackEnd:
    """Fetch with `deliveries`, decide by `rules`, tell outcomes; `stranger` signs with a key the platform knows not.

    Each key is decided once for ever; `record` has every job. A late outcome is told after `late_s`.
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

    async def poll(self, wait: int) -> None:
        """Fetch one job and begin it; a poll that is lost is repeated until it is answered."""
        key = new_id("poll", SystemRandomness())
        while True:
            try:
                job = await self._deliveries.next(wait, idempotency_key=key)
            except TallystickError:  # the platform is away, or too busy: the same poll gets what was lost on its way
                await asyncio.sleep(PAUSE_S)
                continue
            if job is not None:
                task = asyncio.create_task(self._work(job))
                self._jobs.add(task)
                task.add_done_callback(self._jobs.discard)
            return

    async def run(self) -> None:
        """Fetch and work for ever."""
        while True:
            await self.poll(POLL_S)

    async def aclose(self) -> None:
        """End what is under way; what was decided stays decided."""
        for task in self._jobs:
            task.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    async def _work(self, job: Fetched | ToReverse) -> None:
        with contextlib.suppress(TallystickError):  # an outcome that the platform refuses, or did not get
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
            await self._decided(teller, key, payment)

    async def _decided(self, teller: Deliveries, key: str, payment: Payment) -> None:
        if payment.standing is Standing.APPROVED:
            await teller.approve(key, code=payment.code, approval=f"{payment.number:06d}")
        else:
            await teller.decline(key, code=payment.code)

    async def _reverse(self, key: str) -> None:
        known = self.ledger.find(key)
        if known is not None and failure_of(known.amount) is Failure.IRREVERSIBLE:
            await self._deliveries.refuse_reversal(key, code=REFUSED)
            return
        undone = self.ledger.reverse(key, APPROVED)
        self._record.append(
            {"at": self._clock.now(), "kind": "reversal", "payment_key": key, "outcome": "reversed", "undone": undone}
        )
        await self._deliveries.reversed(key)
