"""What this stage needs of a store."""

from typing import Protocol

from tallystick.routing.model import BackEnd, IssuerRule, RoutingTable


class RouteBook(Protocol):
    """The routing table; every change gives it the next version."""

    async def routing_table(self) -> RoutingTable:
        """Read the whole table with its version; adapters cache it until it changes."""
        ...

    async def put_back_end(self, back_end: BackEnd) -> int:
        """Add or replace a back end by id; returns the new version. Raises AlreadyExists when another has its name."""
        ...

    async def put_issuer_rules(self, rules: tuple[IssuerRule, ...]) -> int:
        """Replace all issuer rules; returns the new version."""
        ...
