"""Rows of outside authorities."""

from typing import Final

import msgspec

from tallystick.adapters.store.rows.texts import Row, to_json
from tallystick.channels.model import Anchor

PLACES: Final = msgspec.json.Decoder(tuple[str, ...])


def to_row(anchor: Anchor) -> Row:
    """Order an anchor's values as the table does."""
    named = (anchor.fingerprint, anchor.subject, anchor.created_at)
    return (anchor.id, anchor.uri, anchor.bundle, to_json(anchor.lists), *named)


def from_row(row: Row) -> Anchor:
    """Read an anchor back."""
    id_, uri, bundle, lists, fingerprint, subject, created_at = row
    return Anchor(
        id=id_,
        uri=uri,
        bundle=bundle,
        lists=PLACES.decode(lists),
        fingerprint=fingerprint,
        subject=subject,
        created_at=created_at,
    )
