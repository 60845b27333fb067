"""Find whatever was done to a chain: changed, removed, inserted, reordered entries, and an end that was cut off."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from tallystick.audit.chain import chained, read
from tallystick.audit.checkpoints import SigningKey, check
from tallystick.audit.model import START, Checkpoint, Link
from tallystick.errors import Malformed, SignatureInvalid

FINDINGS_MAX: Final = 100  # findings told; a chain with more is no better known by reading them all


class Fault(Struct, frozen=True):
    """One thing that is wrong, and the entry where it shows."""

    seq: int
    what: str


class Verifying:
    """Verify a chain link by link, then its checkpoints.

    1. Numbers go up by one: nothing was removed, inserted or moved.
    2. Each hash is that of the bytes before it and its own: nothing was changed.
    3. The bytes are an entry with the number of their row.
    4. Each checkpoint is signed by the key that the platform had when it was made.
    5. The chain reaches each checkpoint and has its hash there: nothing was computed anew, nothing cut off.
    Left to the caller: to fetch checkpoints from a place that who wrote to the store could not write to as well.
    What came after the newest such checkpoint is shown whole, and not shown genuine.
    """

    def __init__(self, checkpoints: Iterable[Checkpoint], keys: Sequence[SigningKey]) -> None:
        self._marks = sorted(checkpoints, key=lambda each: each.seq)
        self._keys = keys
        self._wanted: dict[int, set[bytes]] = {}
        for each in self._marks:
            self._wanted.setdefault(each.seq, set()).add(each.hash)
        self._found: dict[int, bytes] = {}
        self._before = START
        self.faults: list[Fault] = []
        self.entries = 0

    @property
    def checkpoints(self) -> int:
        """Count the checkpoints that were given."""
        return len(self._marks)

    @property
    def proven(self) -> int:
        """Return the last entry that a checkpoint is signed for."""
        return self._marks[-1].seq if self._marks else 0

    def add(self, link: Link) -> None:
        """Take the next link."""
        before = self._before
        # 1.
        if link.seq != before.seq + 1:
            self._tell(link.seq, f"entry {before.seq + 1} is missing or out of place")
        # 2.
        if chained(before.hash, link.body) != link.hash:
            self._tell(link.seq, "the hash does not fit: this entry or one before was changed")
        # 3.
        try:
            if read(link.body).seq != link.seq:
                self._tell(link.seq, "the entry bears another number than its row")
        except Malformed:
            self._tell(link.seq, "this is no entry")
        if link.seq in self._wanted:
            self._found[link.seq] = link.hash
        self._before = type(before)(link.seq, link.hash)
        self.entries += 1

    def finish(self) -> list[Fault]:
        """Check the checkpoints, and return all that is wrong."""
        for each in self._marks:
            # 4.
            try:
                check(each, self._keys)
            except SignatureInvalid:
                self._tell(each.seq, "no key of the platform signed this checkpoint")
            # 5.
            found = self._found.get(each.seq)
            if found is None:
                self._tell(each.seq, "the chain does not reach this checkpoint: entries were removed")
            elif found != each.hash:
                self._tell(each.seq, "the chain differs from this checkpoint: it was computed anew")
        return self.faults

    def _tell(self, seq: int, what: str) -> None:
        if len(self.faults) < FINDINGS_MAX:
            self.faults.append(Fault(seq, what))
