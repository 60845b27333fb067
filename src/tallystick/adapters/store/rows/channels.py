"""Rows of channels."""

from tallystick.adapters.store.rows.texts import FIELDS, Row, to_json
from tallystick.channels.model import Channel, ChannelKind, ChannelState


def to_row(channel: Channel) -> Row:
    """Order a channel's values as the table does."""
    return (
        channel.id,
        channel.name,
        channel.kind.value,
        channel.state.value,
        to_json(channel.fields),
        channel.proves_payer,
        str(channel.algorithm),
        channel.sealed_key,
        channel.created_at,
        channel.earlier_key,
        channel.earlier_until,
        channel.key_since,
    )


def from_row(row: Row) -> Channel:
    """Read a channel back."""
    id_, name, kind, state, fields, proves_payer, algorithm, sealed_key, created_at, *earlier = row
    earlier_key, earlier_until, key_since = earlier
    return Channel(
        id=id_,
        name=name,
        kind=ChannelKind(kind),
        state=ChannelState(state),
        fields=FIELDS.decode(fields),
        proves_payer=proves_payer,
        algorithm=algorithm,
        sealed_key=sealed_key,
        created_at=created_at,
        earlier_key=earlier_key,
        earlier_until=earlier_until,
        key_since=key_since,
    )
