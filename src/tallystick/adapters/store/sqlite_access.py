"""API keys in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.sqlite_book import FIELDS, Row, SqliteBook, to_json
from tallystick.channels.model import ApiKey, Role, Scope
from tallystick.runtime import Millis

COLUMNS = "id, holder, role, scopes, live, digest, created_at, expires_at, revoked_at, mac"
FIND = f"SELECT {COLUMNS} FROM api_key WHERE id = ?"
LIST = f"SELECT {COLUMNS} FROM api_key ORDER BY seq"
PUT = f"""
    INSERT INTO api_key ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
      holder = excluded.holder, role = excluded.role, scopes = excluded.scopes, live = excluded.live,
      digest = excluded.digest, created_at = excluded.created_at, expires_at = excluded.expires_at,
      revoked_at = excluded.revoked_at, mac = excluded.mac
"""
NOTE_USE = "UPDATE api_key SET used_at = ?1 WHERE id = ?2 AND (used_at IS NULL OR used_at < ?1)"
USES = "SELECT id, used_at FROM api_key WHERE used_at IS NOT NULL"


class SqliteApiKeys(SqliteBook):
    """Implement `channels.ports.ApiKeyBook`."""

    async def api_key(self, key_id: str) -> ApiKey | None:
        """Find one by its id."""
        row = self._db.execute(FIND, (key_id,)).fetchone()
        return from_row(row) if row else None

    async def api_keys(self) -> list[ApiKey]:
        """List all, oldest first."""
        return [from_row(row) for row in self._db.execute(LIST)]

    async def put_api_key(self, key: ApiKey) -> None:
        """Add a key, or replace the one of this id."""
        who = (key.id, key.holder, key.role.value, to_json(key.scopes), int(key.live), key.digest)
        self._db.execute(PUT, (*who, key.created_at, key.expires_at, key.revoked_at, key.mac))

    async def note_key_use(self, key_id: str, at: Millis) -> None:
        """Note when a key was used last; an earlier time, and an unknown key, change nothing."""
        self._db.execute(NOTE_USE, (at, key_id))

    async def key_uses(self) -> dict[str, Millis]:
        """Return when each key was used last."""
        return {key_id: Millis(at) for key_id, at in self._db.execute(USES)}


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
