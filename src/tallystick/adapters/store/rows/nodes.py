"""Rows of nodes."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.delivery.model import Node, NodeKind


def to_row(node: Node) -> Row:
    """Order a node's values as the table does."""
    return (node.id, node.kind.value, node.name, node.place, node.release, node.started_at, node.lease_until)


def from_row(row: Row) -> Node:
    """Read a node back."""
    id_, kind, name, place, release, started_at, lease_until = row
    return Node(
        id=id_,
        kind=NodeKind(kind),
        name=name,
        place=place,
        release=release,
        started_at=started_at,
        lease_until=lease_until,
    )
