"""Signed checkpoints: the platform's word, kept outside of the chain, that the chain had this head.

Who can write to the store can compute a whole new chain. What they cannot do is sign its head, or change what was
written to the anchor before they came. What came after the newest checkpoint that they cannot reach is not protected.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec

from tallystick.audit.model import Checkpoint, Head
from tallystick.audit.ports import AuditBook
from tallystick.crypto.binding import bind
from tallystick.crypto.signing import Signer, Verifier
from tallystick.errors import SignatureInvalid
from tallystick.runtime import Millis

CHECKPOINT_EVERY_MS: Final = 60_000  # ms between two checkpoints of a chain that grows

SLACK_MS: Final = 60_000  # ms by which a checkpoint may miss its key's time: it is dated before it waits for the store

_PURPOSE: Final = "tallystick audit checkpoint 1"


class SigningKey(NamedTuple):
    """A key of the platform, and when it was the one that signs: `since` and `until`, None where that has no bound."""

    verifier: Verifier
    since: Millis | None = None
    until: Millis | None = None

    def signed_at(self, at: Millis) -> bool:
        """Tell whether this key signed at a time, within SLACK_MS."""
        begun = self.since is None or self.since - SLACK_MS <= at
        return begun and (self.until is None or at <= self.until + SLACK_MS)


class Anchor(Protocol):
    """A place outside of the store that checkpoints are also written to."""

    def write(self, checkpoint: Checkpoint) -> None:
        """Append a checkpoint, durable when this returns; raises OSError."""
        ...


def statement(head: Head, at: Millis) -> bytes:
    """Return the bytes that a checkpoint signs."""
    return bind(_PURPOSE, str(head.seq), head.hash.hex(), str(at))


def check(checkpoint: Checkpoint, keys: Sequence[SigningKey]) -> None:
    """Check that the key of its time signed a checkpoint: one that is retired signs none of a later date.

    Raises SignatureInvalid.
    """
    said = statement(Head(checkpoint.seq, checkpoint.hash), checkpoint.at)
    for key in keys:
        if not key.signed_at(checkpoint.at):
            continue
        try:
            key.verifier.verify(said, checkpoint.signature)
        except SignatureInvalid:
            continue
        return
    raise SignatureInvalid("no key of the platform signed this checkpoint")


async def checkpoint(book: AuditBook, signer: Signer, at: Millis) -> Checkpoint | None:
    """Sign and keep the chain's head; None when there is nothing new since the last one."""
    head = await book.audit_head()
    if not head.seq or await book.checkpoints(head.seq - 1, 1):
        return None
    made = Checkpoint(seq=head.seq, hash=head.hash, at=at, signature=signer.sign(statement(head, at)))
    await book.add_checkpoint(made)
    return made


def write_line(one: Checkpoint) -> bytes:
    """Write a checkpoint as a line of an anchor."""
    return msgspec.json.encode(one) + b"\n"


def read_lines(path: Path) -> list[Checkpoint]:
    """Read an anchor; raises msgspec.MsgspecError for a line that is none, OSError when there is no such file."""
    return [msgspec.json.decode(line, type=Checkpoint) for line in path.read_bytes().splitlines() if line.strip()]
