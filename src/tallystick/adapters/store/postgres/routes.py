"""The routing table and its changes in PostgreSQL; the present table is kept by each node until it changes."""

from typing import Any

from msgspec.structs import astuple, replace

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.routes import BODY, EMPTY, ISSUER_RULES, Body, read_row
from tallystick.adapters.store.rows.texts import to_json
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


class PostgresRoutes(PostgresBook):
    """Implement `routing.ports.RouteBook`."""

    async def routing_table(self) -> RoutingTable:
        """Read the present table; version 0 is the empty one."""
        if self._use_cache() and self._cache.table is not None:
            self._hit = True
            return self._cache.table
        table = await self._table("present_routes") or EMPTY
        if self._may_keep():
            self._cache.table = table
        return table

    async def routing_table_at(self, version: int) -> RoutingTable | None:
        """Read an earlier version."""
        return EMPTY if version == 0 else await self._table("routes_at", version)

    async def put_version(self, version: RouteVersion, table: RoutingTable) -> None:
        """Write a version whole; open proposals become STALE. Raises Conflict unless it is the next one."""
        self._leave_cache()
        if not await self._change("add_route_version", *_values(version), *await self._body(table)):
            raise Conflict("the routing table has another version by now")
        await self._change("outdate_changes", version.version)

    async def route_versions(self, limit: int) -> list[RouteVersion]:
        """List the newest versions, newest first."""
        return [read_row(row, RouteVersion) for row in await self._rows("route_versions", limit)]

    async def put_status(self, institution: str, status: Status) -> None:
        """Set a back end's live status: no new version. Raises NotFound when the present table has no such back end."""
        table = await self.routing_table()
        if not any(back_end.id == institution for back_end in table.back_ends):
            raise NotFound("no institution has this id")
        self._leave_cache()
        await self._change("put_status", institution, status.value)

    async def add_change(self, change: RouteChange, table: RoutingTable) -> None:
        """Add a proposed change with its table; raises AlreadyExists when its id is taken."""
        if not await self._change("add_change", *_values(change), *await self._body(table)):
            raise AlreadyExists("a change has this id")

    async def route_change(self, change_id: str) -> RouteChange | None:
        """Find a change."""
        row = await self._row("route_change", change_id)
        return None if row is None else read_row(row, RouteChange)

    async def proposed_table(self, change_id: str) -> RoutingTable | None:
        """Read the table of a change; its version is the one it was made from."""
        return await self._table("proposed_routes", change_id)

    async def route_changes(self, limit: int) -> list[RouteChange]:
        """List the newest changes, newest first."""
        return [read_row(row, RouteChange) for row in await self._rows("route_changes", limit)]

    async def decide_change(self, change_id: str, state: ChangeState, *, by: str, at: Millis) -> bool:
        """Decide over a change that is PROPOSED; False when it is not."""
        return await self._change("decide_change", state.value, by, at, change_id) == 1

    async def _table(self, query: str, *values: Any) -> RoutingTable | None:
        row = await self._row(query, *values)
        if row is None:
            return None
        version, text, rules = row
        body = BODY.decode(text)
        statuses = {institution: Status(status) for institution, status in await self._rows("back_end_statuses")}
        back_ends = tuple(replace(b, status=statuses.get(b.id, Status.SUSPENDED)) for b in body.back_ends)
        return RoutingTable(
            version=version,
            back_ends=back_ends,
            issuer_rules=ISSUER_RULES.decode(rules),
            preferences=body.preferences,
        )

    async def _body(self, table: RoutingTable) -> tuple[str, int]:
        """Return what a table is kept as: its body, and the id of its set of issuer rules."""
        kept, rules = versioned(table), to_json(table.issuer_rules)
        row = await self._row("issuer_set", rules) or await self._changing("add_issuer_set", rules)
        return to_json(Body(back_ends=kept.back_ends, preferences=kept.preferences)), row[0] if row else 0


class PostgresConnectors(PostgresBook):
    """Implement `delivery.ports.ConnectorBook`."""

    async def connector_settings(self, institution: str) -> bytes | None:
        """Return the sealed settings."""
        if self._use_cache() and (kept := self._cache.connectors.get(institution)) is not None:
            self._hit = True
            return kept
        row = await self._row("connector_settings", institution)
        if row is None:
            return None
        sealed: bytes = row[0]
        if self._may_keep():
            self._cache.connectors[institution] = sealed
        return sealed

    async def put_connector_settings(self, institution: str, sealed: bytes) -> None:
        """Store or replace the sealed settings."""
        self._leave_cache()
        await self._change("put_connector_settings", institution, sealed)


def _values(row: RouteVersion | RouteChange) -> tuple[Any, ...]:
    """Order a row's values as its table does."""
    return tuple(value.value if isinstance(value, ChangeState) else value for value in astuple(row))
