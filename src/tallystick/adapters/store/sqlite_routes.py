"""The routing table and connector settings in SQLite."""

import msgspec

from tallystick.adapters.store.sqlite_book import SqliteBook, to_json
from tallystick.errors import AlreadyExists
from tallystick.routing.model import BackEnd, IssuerRule, RoutingTable

BACK_END = msgspec.json.Decoder(BackEnd)
ISSUER_RULES = msgspec.json.Decoder(tuple[IssuerRule, ...])

VERSION_AND_RULES = "SELECT version, issuer_rules FROM routing"
BACK_ENDS = "SELECT body FROM back_end ORDER BY id"
NAME_TAKEN = "SELECT 1 FROM back_end WHERE name = ? AND id <> ?"
PUT_BACK_END = """
    INSERT INTO back_end (id, name, body) VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, body = excluded.body
"""
PUT_RULES = "UPDATE routing SET issuer_rules = ?"
NEXT_VERSION = "UPDATE routing SET version = version + 1 RETURNING version"
FIND_CONNECTOR = "SELECT sealed FROM connector WHERE institution = ?"
PUT_CONNECTOR = """
    INSERT INTO connector (institution, sealed) VALUES (?, ?)
    ON CONFLICT (institution) DO UPDATE SET sealed = excluded.sealed
"""


class SqliteRoutes(SqliteBook):
    """Implement `routing.ports.RouteBook`."""

    async def routing_table(self) -> RoutingTable:
        """Read the whole table with its version, back ends by id."""
        if self._cache.table is not None:
            return self._cache.table
        version, rules = self._db.execute(VERSION_AND_RULES).fetchone()
        back_ends = tuple(BACK_END.decode(body) for (body,) in self._db.execute(BACK_ENDS))
        table = RoutingTable(version=version, back_ends=back_ends, issuer_rules=ISSUER_RULES.decode(rules))
        if self._cache.keeps:
            self._cache.table = table
        return table

    async def put_back_end(self, back_end: BackEnd) -> int:
        """Add or replace a back end by id; returns the new version. Raises AlreadyExists when another has its name."""
        self._cache.changed()
        if self._db.execute(NAME_TAKEN, (back_end.name, back_end.id)).fetchone():
            raise AlreadyExists("another back end has this name")
        self._db.execute(PUT_BACK_END, (back_end.id, back_end.name, to_json(back_end)))
        return self._next_version()

    async def put_issuer_rules(self, rules: tuple[IssuerRule, ...]) -> int:
        """Replace all issuer rules; returns the new version."""
        self._cache.changed()
        self._db.execute(PUT_RULES, (to_json(rules),))
        return self._next_version()

    def _next_version(self) -> int:
        version: int = self._db.execute(NEXT_VERSION).fetchone()[0]
        return version


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
