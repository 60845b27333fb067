"""Rows of PIN keys and tokens."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.channels.model import PinKey, PinScheme, PinToken


def key_from_row(row: Row) -> PinKey:
    """Read a PIN key back."""
    name, channel_id, scheme, key_block, created_at, retired_at = row
    return PinKey(
        name=name,
        channel_id=channel_id,
        scheme=PinScheme(scheme),
        key_block=key_block,
        created_at=created_at,
        retired_at=retired_at,
    )


def token_from_row(row: Row) -> PinToken:
    """Read a token back."""
    token, channel_id, issued_at, expires_at, part_id, payment_id, record = row
    return PinToken(
        token=token,
        channel_id=channel_id,
        issued_at=issued_at,
        expires_at=expires_at,
        part_id=part_id,
        payment_id=payment_id,
        record=record,
    )
