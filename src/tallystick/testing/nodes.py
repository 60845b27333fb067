"""A node that a test holds in its hand."""

from tallystick.errors import NotSent


class SteadyNode:
    """A node of no store whose lease holds until a test ends it, and that does every chore (`delivery.ports.OwnNode`).

    What it leaves in a store is lost at once: no book of nodes knows it.
    """

    def __init__(self, node_id: str = "node_steady", peers: int = 1) -> None:
        self.id = node_id
        self.peers = peers
        self.lease = True

    def require_lease(self) -> None:
        """Raise NotSent once the lease was ended."""
        if not self.lease:
            raise NotSent("this node's lease is over")

    async def holds(self, chore: str) -> bool:  # noqa: ARG002  # whatever it is called
        """Do everything."""
        return True
