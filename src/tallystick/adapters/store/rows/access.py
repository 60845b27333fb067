"""Rows of API keys."""

from tallystick.adapters.store.rows.texts import FIELDS, Row
from tallystick.channels.model import ApiKey, Role, Scope


def from_row(row: Row) -> ApiKey:
    """Read a key back."""
    id_, holder, role, scopes, live, digest, created_at, expires_at, revoked_at, mac = row
    return ApiKey(
        id=id_,
        holder=holder,
        role=Role(role),
        scopes=frozenset(Scope(scope) for scope in FIELDS.decode(scopes)),
        live=bool(live),
        digest=digest,
        created_at=created_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
        mac=mac,
    )
