"""Rows of notices."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.vault.model import Medium, Notice


def notice_from_row(row: Row) -> Notice:
    """Read a notice back."""
    id_, medium, sealed, created_at, due_at, attempts, urgent = row
    return Notice(
        id=id_,
        medium=Medium(medium),
        sealed=sealed,
        created_at=created_at,
        due_at=due_at,
        attempts=attempts,
        urgent=bool(urgent),
    )
