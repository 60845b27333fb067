"""The routing table and its changes in memory."""

from msgspec.structs import replace

from tallystick.errors import AlreadyExists, Conflict, NotFound
from tallystick.routing.model import ChangeState, RouteChange, RouteVersion, RoutingTable, Status
from tallystick.routing.table import versioned
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table

EMPTY = RoutingTable(version=0, back_ends=(), issuer_rules=())


class MemoryRoutes(MemoryBook):
    """Implement `routing.ports.RouteBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._versions: Table[int, tuple[RouteVersion, RoutingTable]] = Table(journal)
        self._changes: Table[str, tuple[RouteChange, RoutingTable]] = Table(journal)
        self._statuses: Table[str, Status] = Table(journal)
        self._present: Table[None, RoutingTable] = Table(journal)

    async def routing_table(self) -> RoutingTable:
        """Read the present table; version 0 is the empty one."""
        return self._present.get(None) or EMPTY

    async def routing_table_at(self, version: int) -> RoutingTable | None:
        """Read an earlier version."""
        kept = self._versions.get(version)
        if kept is None:
            return EMPTY if version == 0 else None
        return self._live(kept[1])

    async def put_version(self, version: RouteVersion, table: RoutingTable) -> None:
        """Write a version whole; open proposals become STALE. Raises Conflict unless it is the next one."""
        if version.version != (await self.routing_table()).version + 1:
            raise Conflict("the routing table has another version by now")
        self._versions.put(version.version, (version, versioned(table)))
        self._present.put(None, self._live(versioned(table)))
        for change, proposed in self._changes.rows():
            if change.state is ChangeState.PROPOSED and change.base < version.version:
                self._changes.put(change.id, (replace(change, state=ChangeState.STALE), proposed))

    async def route_versions(self, limit: int) -> list[RouteVersion]:
        """List the newest versions, newest first."""
        return [version for version, _ in self._versions.rows()[::-1][:limit]]

    async def put_status(self, institution: str, status: Status) -> None:
        """Set a back end's live status: no new version. Raises NotFound when the present table has no such back end."""
        table = await self.routing_table()
        if not any(back_end.id == institution for back_end in table.back_ends):
            raise NotFound("no institution has this id")
        self._statuses.put(institution, status)
        self._present.put(None, self._live(table))

    async def add_change(self, change: RouteChange, table: RoutingTable) -> None:
        """Add a proposed change with its table; raises AlreadyExists when its id is taken."""
        if self._changes.get(change.id) is not None:
            raise AlreadyExists("a change has this id")
        self._changes.put(change.id, (change, replace(versioned(table), version=change.base)))

    async def route_change(self, change_id: str) -> RouteChange | None:
        """Find a change."""
        kept = self._changes.get(change_id)
        return None if kept is None else kept[0]

    async def proposed_table(self, change_id: str) -> RoutingTable | None:
        """Read the table of a change; its version is the one it was made from."""
        kept = self._changes.get(change_id)
        return None if kept is None else self._live(kept[1])

    async def route_changes(self, limit: int) -> list[RouteChange]:
        """List the newest changes, newest first."""
        return [change for change, _ in self._changes.rows()[::-1][:limit]]

    async def decide_change(self, change_id: str, state: ChangeState, *, by: str, at: Millis) -> bool:
        """Decide over a change that is PROPOSED; False when it is not."""
        kept = self._changes.get(change_id)
        if kept is None or kept[0].state is not ChangeState.PROPOSED:
            return False
        self._changes.put(change_id, (replace(kept[0], state=state, decided_by=by, decided_at=at), kept[1]))
        return True

    def _live(self, table: RoutingTable) -> RoutingTable:
        """Return a table with the live status of its back ends."""
        live = (replace(b, status=self._statuses.get(b.id) or Status.SUSPENDED) for b in table.back_ends)
        return replace(table, back_ends=tuple(live))
