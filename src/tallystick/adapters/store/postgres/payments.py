"""Payments in PostgreSQL: every rule about fate and state stands in the WHERE of the statement that writes it."""

from typing import Final

import msgspec

from tallystick.adapters.store.postgres.book import Row, to_json
from tallystick.adapters.store.postgres.events import PostgresEvents
from tallystick.assembly.facts import ElementKind, Fate, Order, PaymentState
from tallystick.assembly.model import Element, Payment
from tallystick.errors import AlreadyExists, AlreadyFinal
from tallystick.runtime import Millis

ORDER: Final = msgspec.json.Decoder(Order)
ALLOWED: Final = msgspec.json.Decoder(tuple[str, ...])

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
    """Implement the half of `assembly.ports.PaymentBook` that is about payments; see `parts` for the other."""

    async def payment(self, payment_id: str) -> Payment | None:
        """Find a payment by id."""
        row = await self._row("payment", payment_id)
        return None if row is None else from_row(row)

    async def open_payment(self, element: Element, policy: str) -> Payment | None:
        """Find the payment without a fate that waits under one of this element's digests and this policy."""
        rows = await self._rows("open_payment", [*element.digests], policy)
        found = {payment.element.digest: payment for payment in map(from_row, rows)}
        return next((found[digest] for digest in element.digests if digest in found), None)

    async def add_payment(self, payment: Payment) -> None:
        """Add a payment; raises AlreadyExists when another without a fate has the same element digest and policy."""
        if not await self._change("add_payment", *to_row(payment)):
            self.raced = True
            raise AlreadyExists("a payment waits under this element, or has this id")

    async def note_part(self, payment_id: str, *, order: Order | None, contested: bool, expires_at: Millis) -> None:
        """Record that a part was filed; the work fails with AlreadyFinal when no payment without a fate has this id."""
        ordered = None if order is None else to_json(order)
        nothing = AlreadyFinal("no payment without a fate has this id")
        self._check("note_part", ordered, contested, expires_at, payment_id, nothing=nothing)

    async def decide_fate(self, payment_id: str, fate: Fate, at: Millis) -> bool:
        """Write the fate and its state (JOINED, CANCELLED, EXPIRED) if there is none yet; True for the one winner."""
        if not await self._change("decide_fate", payment_id, fate.value, at):
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
        if not await self._change("advance", *row):
            return False
        self._note_event(payment_id, expected, state, at)
        return True

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


def to_row(payment: Payment) -> Row:
    """Order a payment's values as the table does."""
    return (
        payment.id,
        payment.policy,
        payment.element.kind.value,
        payment.element.digest,
        payment.element.institution,
        payment.claimed,
        payment.opened_at,
        payment.expires_at,
        payment.state.value,
        None if payment.fate is None else payment.fate.value,
        payment.contested,
        payment.owner,
        payment.user_id,
        None if payment.order is None else to_json(payment.order),
        to_json(payment.allowed),
        payment.back_end,
        payment.response_code,
        payment.reason,
        payment.updated_at,
        payment.order_mac,
    )


def from_row(row: Row) -> Payment:
    """Read a payment back."""
    id_, policy, kind, digest, institution, claimed, opened_at, expires_at, state, fate, *rest = row
    contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac = rest
    return Payment(
        id=id_,
        policy=policy,
        element=Element(kind=ElementKind(kind), digest=digest, institution=institution),
        claimed=claimed,
        opened_at=opened_at,
        expires_at=expires_at,
        state=PaymentState(state),
        fate=None if fate is None else Fate(fate),
        contested=contested,
        owner=owner,
        user_id=user_id,
        order=None if ordered is None else ORDER.decode(ordered),
        allowed=ALLOWED.decode(allowed),
        back_end=back_end,
        response_code=response_code,
        reason=reason,
        updated_at=updated_at,
        order_mac=order_mac,
    )
