"""Rows of deliveries that back ends fetch."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.delivery.model import PullDelivery, PullState, Verdict


def changing(delivery: PullDelivery) -> Row:
    """Order the values that change with the state, as the tables' columns do."""
    verdict = delivery.verdict.value if delivery.verdict else None
    return delivery.body, verdict, delivery.code, delivery.approval, delivery.due_at


def from_row(row: Row | None) -> PullDelivery | None:
    """Read a delivery back."""
    if row is None:
        return None
    key, back_end, visible_until, state, body, verdict, code, approval, due_at = row
    return PullDelivery(
        key=key,
        back_end=back_end,
        visible_until=visible_until,
        state=PullState(state),
        body=body,
        verdict=Verdict(verdict) if verdict else None,
        code=code,
        approval=approval,
        due_at=due_at,
    )
