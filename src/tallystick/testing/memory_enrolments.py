"""Invitations and certificate requests in memory."""

from tallystick.channels.model import Enrolment, EnrolmentState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class MemoryEnrolments(MemoryBook):
    """Implement `channels.ports.EnrolmentBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._enrolments: Table[str, Enrolment] = Table(journal)

    async def add_enrolment(self, enrolment: Enrolment) -> None:
        """Add an invitation; raises AlreadyExists when the id is taken."""
        if self._enrolments.get(enrolment.id) is not None:
            raise AlreadyExists("an invitation has this id")
        self._enrolments.put(enrolment.id, enrolment)

    async def enrolment(self, enrolment_id: str) -> Enrolment | None:
        """Find one."""
        return self._enrolments.get(enrolment_id)

    async def enrolments(self) -> list[Enrolment]:
        """List all, oldest first."""
        return self._enrolments.rows()

    async def replace_enrolment(self, enrolment: Enrolment, *, expected: EnrolmentState) -> bool:
        """Store a changed one by compare-and-set on its state; True if it was `expected`."""
        found = self._enrolments.get(enrolment.id)
        if found is None or found.state is not expected:
            return False
        self._enrolments.put(enrolment.id, enrolment)
        return True

    async def purge_enrolments(self, now: Millis) -> int:
        """Delete those whose time is over; returns how many went."""
        over = [each.id for each in self._enrolments.rows() if each.expires_at <= now]
        for enrolment_id in over:
            self._enrolments.drop(enrolment_id)
        return len(over)
