"""Rows of how far a kind was sealed anew."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.security.kept import Kept, Rewrap


def rewrap_to_row(rewrap: Rewrap) -> Row:
    """Order its values as the table does."""
    counts = (rewrap.looked, rewrap.changed, rewrap.damaged)
    return (rewrap.kind.value, rewrap.target, rewrap.after, *counts, rewrap.started_at, rewrap.finished_at)


def rewrap_from_row(kind: Kept, row: Row) -> Rewrap:
    """Read one back from the columns behind its kind."""
    target, after, looked, changed, damaged, started_at, finished_at = row
    return Rewrap(
        kind=kind,
        target=target,
        after=after,
        looked=looked,
        changed=changed,
        damaged=damaged,
        started_at=started_at,
        finished_at=finished_at,
    )
