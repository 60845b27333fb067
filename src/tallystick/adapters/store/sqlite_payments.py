"""Payments in SQLite: every rule about fate and state stands in the WHERE of the statement that writes it."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.payments import from_row, to_row
from tallystick.adapters.store.rows.texts import to_json
from tallystick.adapters.store.sqlite_events import SqliteEvents
from tallystick.assembly.facts import Fate, Order, PaymentState
from tallystick.assembly.model import Element, Payment
from tallystick.errors import AlreadyExists, AlreadyFinal
from tallystick.runtime import Millis

COLUMNS = """id, policy, element_kind, element_digest, element_institution, claimed, opened_at, expires_at, state, fate,
    contested, owner, user_id, ordered, allowed, back_end, response_code, reason, updated_at, order_mac"""
FIND = f"SELECT {COLUMNS} FROM payment WHERE id = ?"
OPEN = f"""
    SELECT {COLUMNS} FROM payment WHERE element_digest = ? AND policy = ? AND fate IS NULL
"""
ADD = f"""
    INSERT INTO payment ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
NOTE_PART = """
    UPDATE payment SET state = 'half', ordered = ?, contested = ?, expires_at = ?
    WHERE id = ? AND fate IS NULL
"""
DECIDE = "UPDATE payment SET fate = ?2, state = ?2, updated_at = ?3 WHERE id = ?1 AND fate IS NULL"
ADVANCE = """
    UPDATE payment SET state = ?, back_end = ?, response_code = ?, reason = ?, updated_at = ?
    WHERE id = ? AND state = ? AND fate = 'joined'
"""
EXPIRED = "SELECT id FROM payment WHERE fate IS NULL AND expires_at <= ? ORDER BY expires_at, seq LIMIT ?"
CLAIM_JOINED = f"""
    UPDATE payment SET updated_at = ?2 WHERE seq IN (
        SELECT seq FROM payment WHERE state = 'joined' AND updated_at <= ?1 ORDER BY updated_at, seq LIMIT ?3)
    RETURNING {COLUMNS}
"""
RECENT = f"SELECT {COLUMNS} FROM payment ORDER BY seq DESC LIMIT ?"

# One text per state, because SQLite takes a partial index only when the statement repeats the index's own condition.
WAITING = (PaymentState.OPEN, PaymentState.HALF)
IN_STATE = {
    state: f"""
    SELECT {COLUMNS} FROM payment WHERE state = '{state.value}' {"AND fate IS NULL" if state in WAITING else ""}
    ORDER BY updated_at, seq LIMIT ?
    """
    for state in PaymentState
}


class SqlitePayments(SqliteEvents):
    """Implement the half of `assembly.ports.PaymentBook` that is about payments; see `sqlite_parts` for the other."""

    async def payment(self, payment_id: str) -> Payment | None:
        """Find a payment by id."""
        row = self._db.execute(FIND, (payment_id,)).fetchone()
        return None if row is None else from_row(row)

    async def open_payment(self, element: Element, policy: str) -> Payment | None:
        """Find the payment without a fate that waits under one of this element's digests and this policy."""
        rows = (self._db.execute(OPEN, (digest, policy)).fetchone() for digest in element.digests)
        row = next(filter(None, rows), None)
        return None if row is None else from_row(row)

    async def add_payment(self, payment: Payment) -> None:
        """Add a payment; raises AlreadyExists when another without a fate has the same element digest and policy."""
        if not self._db.execute(ADD, to_row(payment)).rowcount:
            raise AlreadyExists("a payment waits under this element, or has this id")

    async def note_part(self, payment_id: str, *, order: Order | None, contested: bool, expires_at: Millis) -> None:
        """Record that a part was filed; raises AlreadyFinal when no payment without a fate has this id."""
        ordered = None if order is None else to_json(order)
        if not self._db.execute(NOTE_PART, (ordered, contested, expires_at, payment_id)).rowcount:
            raise AlreadyFinal("no payment without a fate has this id")

    async def decide_fate(self, payment_id: str, fate: Fate, at: Millis) -> bool:
        """Write the fate and its state (JOINED, CANCELLED, EXPIRED) if there is none yet; True for the one winner."""
        if not self._db.execute(DECIDE, (payment_id, fate.value, at)).rowcount:
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
        if not self._db.execute(ADVANCE, row).rowcount:
            return False
        self._note_event(payment_id, expected, state, at)
        return True

    async def expired_payments(self, now: Millis, limit: int) -> list[str]:
        """List payments without a fate whose `expires_at` is not after `now`, longest expired first."""
        return [payment_id for (payment_id,) in self._db.execute(EXPIRED, (now, limit))]

    async def claim_joined(self, before: Millis, now: Millis, limit: int) -> list[Payment]:
        """Take the JOINED payments longest untouched, if nobody touched them since `before`; each is now touched."""
        return [from_row(row) for row in self._db.execute(CLAIM_JOINED, (before, now, limit))]

    async def payments_in(self, state: PaymentState, limit: int) -> list[Payment]:
        """List payments in one state, longest unchanged first."""
        return [from_row(row) for row in self._db.execute(IN_STATE[state], (limit,))]

    async def recent_payments(self, limit: int) -> list[Payment]:
        """List the newest payments, newest first."""
        return [from_row(row) for row in self._db.execute(RECENT, (limit,))]
