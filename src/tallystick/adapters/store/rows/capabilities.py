"""Rows of links to pages and their sessions."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.channels.model import Capability, CapabilityState, PageKind


def changing(capability: Capability) -> Row:
    """Order the values that may change, as the table's columns do."""
    return (
        capability.state.value,
        capability.session,
        capability.session_key,
        capability.device,
        capability.network,
        capability.started_at,
        capability.until,
    )


def from_row(row: Row) -> Capability:
    """Read a capability back."""
    id_, payment_id, kind, sealed_key, issued_at, expires_at, state, *started = row
    session, session_key, device, network, started_at, until = started
    return Capability(
        id=id_,
        payment_id=payment_id,
        kind=PageKind(kind),
        sealed_key=sealed_key,
        issued_at=issued_at,
        expires_at=expires_at,
        state=CapabilityState(state),
        session=session,
        session_key=session_key,
        device=device,
        network=network,
        started_at=started_at,
        until=until,
    )
