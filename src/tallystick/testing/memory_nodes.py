"""Nodes and their chores in memory."""

from msgspec.structs import replace

from tallystick.delivery.model import Node
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class MemoryNodes(MemoryBook):
    """Implement `delivery.ports.NodeBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._nodes: Table[str, Node] = Table(journal)
        self._chores: Table[str, str] = Table(journal)

    async def add_node(self, node: Node) -> None:
        """Add a node; raises AlreadyExists when its id is taken."""
        if self._nodes.get(node.id) is not None:
            raise AlreadyExists("a node has this id")
        self._nodes.put(node.id, node)

    async def renew_node(self, node_id: str, lease_until: Millis) -> bool:
        """Move the end of a node's lease; False when the node is not there any more."""
        node = self._nodes.get(node_id)
        if node is None:
            return False
        self._nodes.put(node_id, replace(node, lease_until=lease_until))
        return True

    async def nodes(self) -> list[Node]:
        """List all nodes, longest there first."""
        return sorted(self._nodes.rows(), key=lambda node: (node.started_at, node.id))

    async def drop_node(self, node: Node) -> bool:
        """Take a node away, if its lease still ends when `node` says, and free its chores; True if that was done."""
        found = self._nodes.get(node.id)
        if found is None or found.lease_until != node.lease_until:
            return False
        self._nodes.drop(node.id)
        for chore, holder in self._chores.items():
            if holder == node.id:
                self._chores.drop(chore)
        return True

    async def hold_chore(self, chore: str, node_id: str) -> bool:
        """Give a chore to a node that is there, unless another one that is there has it; True when it has it now."""
        if self._chores.get(chore) is None and self._nodes.get(node_id) is not None:
            self._chores.put(chore, node_id)
        return self._chores.get(chore) == node_id

    async def chore_holder(self, chore: str) -> str | None:
        """Return the id of the node that has a chore."""
        return self._chores.get(chore)
