"""Nodes and their chores in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.nodes import from_row, to_row
from tallystick.delivery.model import Node
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis


class PostgresNodes(PostgresBook):
    """Implement `delivery.ports.NodeBook`; a node's chores go with it."""

    async def add_node(self, node: Node) -> None:
        """Add a node; raises AlreadyExists when its id is taken."""
        if not await self._change("add_node", *to_row(node)):
            raise AlreadyExists("a node has this id")

    async def renew_node(self, node_id: str, lease_until: Millis) -> bool:
        """Move the end of a node's lease; False when the node is not there any more."""
        return await self._change("renew_node", lease_until, node_id) == 1

    async def nodes(self) -> list[Node]:
        """List all nodes, longest there first."""
        return [from_row(row) for row in await self._rows("nodes")]

    async def drop_node(self, node: Node) -> bool:
        """Take a node away, if its lease still ends when `node` says, and free its chores; True if that was done."""
        return await self._change("drop_node", node.id, node.lease_until) == 1

    async def hold_chore(self, chore: str, node_id: str) -> bool:
        """Give a chore to a node that is there, unless another one that is there has it; True when it has it now."""
        await self._change("hold_chore", chore, node_id)
        return await self.chore_holder(chore) == node_id

    async def chore_holder(self, chore: str) -> str | None:
        """Return the id of the node that has a chore."""
        row = await self._row("chore_holder", chore)
        return None if row is None else str(row[0])
