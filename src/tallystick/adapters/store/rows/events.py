"""Rows of events."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.assembly.facts import PaymentState
from tallystick.outcomes.model import Event


def from_row(row: Row) -> Event:
    """Read an event back."""
    seq, payment_id, state, at, first = row
    return Event(seq=seq, payment_id=payment_id, state=PaymentState(state), at=at, first=bool(first))
