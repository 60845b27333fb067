"""The routing table and its changes in SQLite."""

from msgspec.structs import astuple, replace

from tallystick.adapters.store.rows.routes import BODY, EMPTY, ISSUER_RULES, Body, read_row
from tallystick.adapters.store.rows.texts import to_json
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.errors import AlreadyExists, Conflict, NotFound
from tallystick.routing.model import (
    ChangeState,
    RouteChange,
    RouteVersion,
    RoutingTable,
    Status,
)
from tallystick.routing.table import versioned
from tallystick.runtime import Millis

PRESENT = """
    SELECT version, v.body, s.body FROM route_version AS v JOIN issuer_set AS s ON s.id = v.issuer_set
    ORDER BY version DESC LIMIT 1
"""
EARLIER = """
    SELECT version, v.body, s.body FROM route_version AS v JOIN issuer_set AS s ON s.id = v.issuer_set
    WHERE version = ?
"""
PROPOSED = """
    SELECT base, c.body, s.body FROM route_change AS c JOIN issuer_set AS s ON s.id = c.issuer_set WHERE c.id = ?
"""
STATUSES = "SELECT institution, status FROM back_end_status"
PUT_STATUS = """
    INSERT INTO back_end_status (institution, status) VALUES (?, ?)
    ON CONFLICT (institution) DO UPDATE SET status = excluded.status
"""
FIND_SET = "SELECT id FROM issuer_set WHERE body = ?"
ADD_SET = "INSERT INTO issuer_set (body) VALUES (?) RETURNING id"

# Two writers cannot make the same version, and none leaves one out.
ADD_VERSION = """
    INSERT INTO route_version (version, at, author, approver, note, digest, body, issuer_set)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE ?1 = (SELECT coalesce(max(version), 0) + 1 FROM route_version)
    RETURNING version
"""
VERSIONS = "SELECT version, at, author, approver, note, digest FROM route_version ORDER BY version DESC LIMIT ?"
OUTDATE = "UPDATE route_change SET state = 'stale' WHERE state = 'proposed' AND base < ?"

ADD_CHANGE = """
    INSERT INTO route_change (id, base, at, author, note, digest, state, decided_by, decided_at, body, issuer_set)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING RETURNING id
"""
FIND_CHANGE = """
    SELECT id, base, at, author, note, digest, state, decided_by, decided_at FROM route_change WHERE id = ?
"""
CHANGES = """
    SELECT id, base, at, author, note, digest, state, decided_by, decided_at FROM route_change
    ORDER BY seq DESC LIMIT ?
"""
DECIDE_CHANGE = """
    UPDATE route_change SET state = ?, decided_by = ?, decided_at = ? WHERE id = ? AND state = 'proposed' RETURNING id
"""


FIND_CONNECTOR = "SELECT sealed FROM connector WHERE institution = ?"
PUT_CONNECTOR = """
    INSERT INTO connector (institution, sealed) VALUES (?, ?)
    ON CONFLICT (institution) DO UPDATE SET sealed = excluded.sealed
"""


class SqliteRoutes(SqliteBook):
    """Implement `routing.ports.RouteBook`."""

    async def routing_table(self) -> RoutingTable:
        """Read the present table; version 0 is the empty one."""
        if self._cache.table is not None:
            return self._cache.table
        table = self._table(PRESENT, ()) or EMPTY
        if self._cache.keeps:
            self._cache.table = table
        return table

    async def routing_table_at(self, version: int) -> RoutingTable | None:
        """Read an earlier version."""
        return EMPTY if version == 0 else self._table(EARLIER, (version,))

    async def put_version(self, version: RouteVersion, table: RoutingTable) -> None:
        """Write a version whole; open proposals become STALE. Raises Conflict unless it is the next one."""
        self._cache.changed()
        if self._db.execute(ADD_VERSION, (*astuple(version), *self._body(table))).fetchone() is None:
            raise Conflict("the routing table has another version by now")
        self._db.execute(OUTDATE, (version.version,))

    async def route_versions(self, limit: int) -> list[RouteVersion]:
        """List the newest versions, newest first."""
        return [read_row(row, RouteVersion) for row in self._db.execute(VERSIONS, (limit,))]

    async def put_status(self, institution: str, status: Status) -> None:
        """Set a back end's live status: no new version. Raises NotFound when the present table has no such back end."""
        table = await self.routing_table()
        if not any(back_end.id == institution for back_end in table.back_ends):
            raise NotFound("no institution has this id")
        self._cache.changed()
        self._db.execute(PUT_STATUS, (institution, status.value))

    async def add_change(self, change: RouteChange, table: RoutingTable) -> None:
        """Add a proposed change with its table; raises AlreadyExists when its id is taken."""
        if self._db.execute(ADD_CHANGE, (*astuple(change), *self._body(table))).fetchone() is None:
            raise AlreadyExists("a change has this id")

    async def route_change(self, change_id: str) -> RouteChange | None:
        """Find a change."""
        row = self._db.execute(FIND_CHANGE, (change_id,)).fetchone()
        return None if row is None else read_row(row, RouteChange)

    async def proposed_table(self, change_id: str) -> RoutingTable | None:
        """Read the table of a change; its version is the one it was made from."""
        return self._table(PROPOSED, (change_id,))

    async def route_changes(self, limit: int) -> list[RouteChange]:
        """List the newest changes, newest first."""
        return [read_row(row, RouteChange) for row in self._db.execute(CHANGES, (limit,))]

    async def decide_change(self, change_id: str, state: ChangeState, *, by: str, at: Millis) -> bool:
        """Decide over a change that is PROPOSED; False when it is not."""
        return self._db.execute(DECIDE_CHANGE, (state.value, by, at, change_id)).fetchone() is not None

    def _table(self, query: str, arguments: tuple[int | str, ...]) -> RoutingTable | None:
        row = self._db.execute(query, arguments).fetchone()
        if row is None:
            return None
        version, text, rules = row
        body = BODY.decode(text)
        statuses = {institution: Status(status) for institution, status in self._db.execute(STATUSES)}
        back_ends = tuple(replace(b, status=statuses.get(b.id, Status.SUSPENDED)) for b in body.back_ends)
        return RoutingTable(
            version=version,
            back_ends=back_ends,
            issuer_rules=ISSUER_RULES.decode(rules),
            preferences=body.preferences,
        )

    def _body(self, table: RoutingTable) -> tuple[str, int]:
        """Return what a table is kept as: its body, and the id of its set of issuer rules."""
        kept, rules = versioned(table), to_json(table.issuer_rules)
        row = self._db.execute(FIND_SET, (rules,)).fetchone() or self._db.execute(ADD_SET, (rules,)).fetchone()
        return to_json(Body(back_ends=kept.back_ends, preferences=kept.preferences)), row[0]


class SqliteConnectors(SqliteBook):
    """Implement `delivery.ports.ConnectorBook`."""

    async def connector_settings(self, institution: str) -> bytes | None:
        """Return the sealed settings."""
        kept = self._cache.connectors.get(institution)
        if kept is not None:
            return kept
        row = self._db.execute(FIND_CONNECTOR, (institution,)).fetchone()
        if row is None:
            return None
        sealed: bytes = row[0]
        if self._cache.keeps:
            self._cache.connectors[institution] = sealed
        return sealed

    async def put_connector_settings(self, institution: str, sealed: bytes) -> None:
        """Store or replace the sealed settings."""
        self._cache.changed()
        self._db.execute(PUT_CONNECTOR, (institution, sealed))
