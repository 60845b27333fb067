"""Nodes and their chores in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.nodes import from_row, to_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.delivery.model import Node
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

COLUMNS = "id, kind, name, place, release, started_at, lease_until"
ADD = f"INSERT INTO node ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
RENEW = "UPDATE node SET lease_until = ? WHERE id = ?"
LIST = f"SELECT {COLUMNS} FROM node ORDER BY started_at, id"
DROP = "DELETE FROM node WHERE id = ? AND lease_until = ?"
HOLD = """
    INSERT INTO chore (name, node) SELECT ?1, id FROM node WHERE id = ?2
    ON CONFLICT (name) DO NOTHING
"""
HOLDER = "SELECT node FROM chore WHERE name = ?"


class SqliteNodes(SqliteBook):
    """Implement `delivery.ports.NodeBook`; a node's chores go with it."""

    async def add_node(self, node: Node) -> None:
        """Add a node; raises AlreadyExists when its id is taken."""
        if not self._db.execute(ADD, to_row(node)).rowcount:
            raise AlreadyExists("a node has this id")

    async def renew_node(self, node_id: str, lease_until: Millis) -> bool:
        """Move the end of a node's lease; False when the node is not there any more."""
        return self._db.execute(RENEW, (lease_until, node_id)).rowcount == 1

    async def nodes(self) -> list[Node]:
        """List all nodes, longest there first."""
        return [from_row(row) for row in self._db.execute(LIST)]

    async def drop_node(self, node: Node) -> bool:
        """Take a node away, if its lease still ends when `node` says, and free its chores; True if that was done."""
        return self._db.execute(DROP, (node.id, node.lease_until)).rowcount == 1

    async def hold_chore(self, chore: str, node_id: str) -> bool:
        """Give a chore to a node that is there, unless another one that is there has it; True when it has it now."""
        self._db.execute(HOLD, (chore, node_id))
        return await self.chore_holder(chore) == node_id

    async def chore_holder(self, chore: str) -> str | None:
        """Return the id of the node that has a chore."""
        row = self._db.execute(HOLDER, (chore,)).fetchone()
        return row[0] if row else None
