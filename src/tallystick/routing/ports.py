"""What this stage needs of a store."""

from typing import Protocol

from tallystick.routing.model import ChangeState, RouteChange, RouteVersion, RoutingTable, Status
from tallystick.runtime import Millis


class RouteBook(Protocol):
    """The routing table in all its versions, the live status of back ends, and proposed changes.

    Back ends come by id. Every table is given with the live status of its back ends, whatever the status it was put
    with: a version never keeps one. `changes` has the verbs by which versions are made.
    """

    async def routing_table(self) -> RoutingTable:
        """Read the present table; adapters cache it until it changes. Version 0 is the empty one."""
        ...

    async def routing_table_at(self, version: int) -> RoutingTable | None:
        """Read an earlier version: a payment's intent names the one it was routed by."""
        ...

    async def put_version(self, version: RouteVersion, table: RoutingTable) -> None:
        """Write a version whole; it is the present one from now on, and open proposals become STALE.

        Raises Conflict unless its number is the one after the present version's.
        """
        ...

    async def route_versions(self, limit: int) -> list[RouteVersion]:
        """List the newest versions, newest first."""
        ...

    async def put_status(self, institution: str, status: Status) -> None:
        """Set a back end's live status: no new version. Raises NotFound when the present table has no such back end."""
        ...

    async def add_change(self, change: RouteChange, table: RoutingTable) -> None:
        """Add a proposed change with its table; raises AlreadyExists when its id is taken."""
        ...

    async def route_change(self, change_id: str) -> RouteChange | None:
        """Find a change."""
        ...

    async def proposed_table(self, change_id: str) -> RoutingTable | None:
        """Read the table of a change; its version is the one it was made from."""
        ...

    async def route_changes(self, limit: int) -> list[RouteChange]:
        """List the newest changes, newest first."""
        ...

    async def decide_change(self, change_id: str, state: ChangeState, *, by: str, at: Millis) -> bool:
        """Decide over a change that is PROPOSED; False when it is not: somebody was first, or it is stale."""
        ...
