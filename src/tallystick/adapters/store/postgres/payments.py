"""Payments in PostgreSQL: every rule about fate and state stands in the WHERE of the statement that writes it."""

from typing import Final

from tallystick.adapters.store.postgres.events import PostgresEvents
from tallystick.adapters.store.postgres.link import Answer
from tallystick.adapters.store.rows.payments import from_row, to_row
from tallystick.adapters.store.rows.texts import Row, to_json
from tallystick.assembly.facts import Fate, Order, PaymentState
from tallystick.assembly.model import Element, Payment
from tallystick.errors import AlreadyExists, AlreadyFinal
from tallystick.runtime import Millis

# A partial index is taken only when the statement repeats the index's own condition.
IN_STATE: Final = {
    PaymentState.OPEN: "waiting_payments",
    PaymentState.HALF: "waiting_payments",
    PaymentState.JOINED: "moving_payments",
    PaymentState.DELIVERING: "moving_payments",
    PaymentState.UNKNOWN: "moving_payments",
    PaymentState.INQUIRY: "moving_payments",
    PaymentState.MANUAL: "moving_payments",
}


class PostgresPayments(PostgresEvents):
    """Implement the half of `assembly.ports.PaymentBook` that is about payments; see `parts` for the other.

    What a transaction holds by a row lock nobody else decides: writes to it need no answer, and share the next round
    trip.
    """

    async def payment(self, payment_id: str) -> Payment | None:
        """Find a payment by id."""
        row = await self._row("payment", payment_id)
        return None if row is None else self._hold(from_row(row))

    async def open_payment(self, element: Element, policy: str) -> Payment | None:
        """Find the payment without a fate that waits under one of this element's digests and this policy.

        Whoever may write asks for its parts next: they come with it, read after the lock was there.
        """
        digests, parts = [*element.digests], list[Row]()
        if self.writes:
            query = self._queries["open_payment"].write
            self._link.send(query, (digests, policy), then=lambda answer: parts.extend(answer.rows()))
            sealed = await self._rows("parts_of_open", digests, policy)
            rows = parts
        else:
            rows, sealed = await self._rows("open_payment", digests, policy), []
        found = {payment.element.digest: payment for payment in map(from_row, rows)}
        payment = next((found[digest] for digest in digests if digest in found), None)
        if payment is None:
            self.missed.add((element.digest, policy))
            return None
        if self.writes:
            self.ahead[payment.id] = [row for row in sealed if row[1] == payment.id]
        return self._hold(payment)

    async def add_payment(self, payment: Payment) -> None:
        """Add a payment; raises AlreadyExists when another without a fate has the same element digest and policy.

        Where the work has looked for that one and found none, it fails as a whole and is run again.
        """
        taken = AlreadyExists("a payment waits under this element, or has this id")
        if (payment.element.digest, payment.policy) in self.missed:
            self._put("open_with_part", *to_row(payment), taken=taken)
        elif not await self._change("add_payment", *to_row(payment)):
            self.raced = True
            raise taken

    async def note_part(self, payment_id: str, *, order: Order | None, contested: bool, expires_at: Millis) -> None:
        """Record that a part was filed; the work fails with AlreadyFinal when no payment without a fate has this id."""
        ordered = None if order is None else to_json(order)
        if payment_id in self.held:
            self._put("note_part", ordered, contested, expires_at, payment_id)
            return
        nothing = AlreadyFinal("no payment without a fate has this id")
        self._check("note_part", ordered, contested, expires_at, payment_id, nothing=nothing)

    async def decide_fate(self, payment_id: str, fate: Fate, at: Millis) -> bool:
        """Write the fate and its state (JOINED, CANCELLED, EXPIRED) if there is none yet; True for the one winner."""
        if payment_id in self.held:
            self._put("decide_fate", payment_id, fate.value, at)
            self.held.remove(payment_id)
        elif not await self._change("decide_fate", payment_id, fate.value, at):
            return False
        self._note_event(payment_id, None, PaymentState(fate.value), at)
        return True

    async def advance(
        self,
        payment_id: str,
        *,
        expected: PaymentState,
        state: PaymentState,
        at: Millis,
        back_end: str | None = None,
        response_code: str | None = None,
        reason: str | None = None,
    ) -> bool:
        """Move a joined payment from `expected` to `state` by compare-and-set, overwriting the texts; True if moved."""
        row = (state.value, back_end, response_code, reason, at, payment_id, expected.value)
        sends = state is PaymentState.DELIVERING
        if not await (self._send_off(payment_id, row) if sends else self._move("advance", *row)):
            return False
        self._note_event(payment_id, expected, state, at)
        return True

    async def _send_off(self, payment_id: str, row: Row) -> int:
        """Move a payment to its back end; whoever may do so asks for its intents next: they come with it."""
        moved: list[Answer] = []
        self._link.send(self._queries["advance"].write, row, then=moved.append)
        intents = await self._rows("intents", payment_id)
        changed = moved[0].changed
        if changed:
            self._changed += changed
            self.ahead_intents[payment_id] = intents
        return changed

    def _hold(self, payment: Payment) -> Payment:
        if self.writes and payment.fate is None:
            self.held.add(payment.id)
        return payment

    async def expired_payments(self, now: Millis, limit: int) -> list[str]:
        """List payments without a fate whose `expires_at` is not after `now`, longest expired first."""
        return [payment_id for (payment_id,) in await self._rows("expired_payments", now, limit)]

    async def claim_joined(self, before: Millis, now: Millis, limit: int) -> list[Payment]:
        """Take the JOINED payments longest untouched, if nobody touched them since `before`; each is now touched."""
        rows = await self._rows("claim_joined", before, now, limit)
        self._changed += len(rows)
        return [from_row(row) for row in rows]

    async def payments_in(self, state: PaymentState, limit: int) -> list[Payment]:
        """List payments in one state, longest unchanged first."""
        rows = await self._rows(IN_STATE.get(state, "payments_in"), state.value, limit)
        return [from_row(row) for row in rows]

    async def recent_payments(self, limit: int) -> list[Payment]:
        """List the newest payments, newest first."""
        return [from_row(row) for row in await self._rows("recent_payments", limit)]
