"""What the audit needs of a store."""

from typing import Protocol

from tallystick.audit.model import Action, Checkpoint, Detail, Head, Link


class AuditBook(Protocol):
    """The audit chain, inside one transaction.

    The store itself notes every change made through its books (`audit.rules`), names who acts (`audit.acting`), and
    chains the entries when it commits: a change without an entry cannot be made durable. `append` is for what is no
    change of the store: a key rotated, a certificate issued, a payer's data read.
    """

    async def append(self, action: Action, *subjects: str, outcome: str = "done", **details: Detail) -> None:
        """Note what the work at hand does beside the store; its entry is durable with the work, or neither is."""
        ...

    async def audit_head(self) -> Head:
        """Return how far the chain goes; entries of the work at hand are not in it yet."""
        ...

    async def audit_links(self, after: int, limit: int) -> list[Link]:
        """List at most `limit` links with a higher sequence number than `after`, in order."""
        ...

    async def audit_links_about(self, subject: str, limit: int) -> list[Link]:
        """List the newest links that name an id, newest first; reads the whole chain."""
        ...

    async def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint; nothing ever changes or removes one. Raises AlreadyExists for one of the same `seq`."""
        ...

    async def checkpoints(self, after: int, limit: int) -> list[Checkpoint]:
        """List checkpoints with a higher `seq` than `after`, in order."""
        ...
