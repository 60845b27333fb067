"""What a sandbox remembers of each payment key for ever: one decision, and whether it was undone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tallystick.errors import IdempotencyMismatch
from tallystick.testing.sandbox.http_failures import LATER, PENDING, Failure, failure_of
from tallystick.testing.sandbox.record import Entry

NOT_LOOKED_AT: Final = "not looked at"  # outcome in the record of a payment that is not decided
DECIDE_S: Final = 0.2  # s until a pending payment is decided


class Standing(StrEnum):
    """How a payment stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DECLINED = "declined"
    REVERSED = "reversed"


@dataclass(slots=True)
class Payment:
    """One payment: `content` is None when it was reversed before it arrived; `number` counts the payments."""

    number: int
    standing: Standing
    code: str
    amount: int = 0
    currency: str = ""
    content: bytes | None = None
    failure: Failure | None = None


class Ledger:
    """The payments of one sandbox; `approved` is the code of an approval, `declined` that of one that came later."""

    def __init__(self, *, approved: str, declined: str) -> None:
        self._approved = approved
        self._declined = declined
        self._payments: dict[str, Payment] = {}

    def find(self, key: str) -> Payment | None:
        """Return what is known of a key."""
        return self._payments.get(key)

    def enter(
        self, key: str, content: bytes, code: str, *, amount: int, currency: str, failure: Failure | None
    ) -> tuple[Payment, bool]:
        """Return the payment of a key, and whether this moved money: a key is decided once.

        Raises IdempotencyMismatch when the key stands for another content.
        """
        known = self._payments.get(key)
        if known is not None:
            if known.content not in {None, content}:
                raise IdempotencyMismatch("the payment key stands for another request")
            return known, False
        standing = Standing.APPROVED if code == self._approved else Standing.DECLINED
        if standing is Standing.APPROVED and failure in PENDING:
            standing = Standing.PENDING
        payment = Payment(len(self._payments) + 1, standing, code, amount, currency, content, failure)
        self._payments[key] = payment
        return payment, standing is Standing.APPROVED

    def recall(self, entries: Iterable[Entry], reversed_code: str) -> None:
        """Know again what was decided before a restart; the content of a repeat is not compared then."""
        for entry in entries:
            match entry:
                case {"kind": "authorisation" | "pay", "payment_key": str(key), "outcome": str(outcome)}:
                    if key not in self._payments and outcome not in {NOT_LOOKED_AT, Failure.LOST}:
                        self._payments[key] = self._recalled(entry, outcome)
                case {"kind": "decision", "payment_key": str(key)}:
                    self.decide(key)
                case {"kind": "reversal", "payment_key": str(key)}:
                    known = self.find(key)
                    if known is None or known.failure is not Failure.IRREVERSIBLE:
                        self.reverse(key, reversed_code)

    def pending(self) -> list[str]:
        """Return the keys of what is not decided yet."""
        return [key for key, payment in self._payments.items() if payment.standing is Standing.PENDING]

    def _recalled(self, entry: Entry, outcome: str) -> Payment:
        amount = int(entry["amount"] or 0)
        standing = Standing.PENDING if outcome == Standing.PENDING else Standing.DECLINED
        if entry["effective"]:
            standing = Standing.APPROVED
        code, currency = str(entry["code"]), str(entry["currency"])
        return Payment(len(self._payments) + 1, standing, code, amount, currency, None, failure_of(amount))

    def decide(self, key: str) -> Payment | None:
        """Decide a payment that is pending, as its failure says; None when it is not pending any more."""
        payment = self._payments[key]
        if payment.standing is not Standing.PENDING:
            return None
        declined = payment.failure is Failure.TOLD_DECLINED
        payment.standing = Standing.DECLINED if declined else Standing.APPROVED
        payment.code = self._declined if declined else self._approved
        return payment

    def reverse(self, key: str, code: str) -> bool:
        """Undo a payment for ever, also one that has not arrived; True when this moved money back."""
        payment = self._payments.setdefault(key, Payment(len(self._payments) + 1, Standing.REVERSED, code))
        undone = payment.standing is Standing.APPROVED
        if payment.standing is not Standing.DECLINED:
            payment.standing, payment.code = Standing.REVERSED, code
        return undone


class Later:
    """Decide pending payments a moment later: `decided` notes it, `tell` tells the platform, as often as it should."""

    def __init__(
        self, ledger: Ledger, decided: Callable[[str, Payment], None], tell: Callable[[str, Payment], Awaitable[None]]
    ) -> None:
        self._ledger = ledger
        self._decided = decided
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, key: str) -> None:
        """Let time pass for a payment that was just entered."""
        payment = self._ledger.find(key)
        if payment is None or payment.failure is None or payment.standing is not Standing.PENDING:
            return
        times = LATER.get(payment.failure)
        if times is not None:
            task = asyncio.create_task(self._pass_time(key, times))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass_time(self, key: str, times: int) -> None:
        await asyncio.sleep(DECIDE_S)
        payment = self._ledger.decide(key)
        if payment is not None:
            self._decided(key, payment)
            for _ in range(times):
                await self._tell(key, payment)
