"""Invitations and certificate requests in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.enrolments import changing, from_row
from tallystick.adapters.store.rows.texts import to_json
from tallystick.channels.model import Enrolment, EnrolmentState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis


class PostgresEnrolments(PostgresBook):
    """Implement `channels.ports.EnrolmentBook`."""

    async def add_enrolment(self, enrolment: Enrolment) -> None:
        """Add an invitation; raises AlreadyExists when the id is taken."""
        fixed = (enrolment.id, enrolment.uri, to_json(enrolment.hosts), enrolment.digest, enrolment.created_at)
        if not await self._change("add_enrolment", *fixed, *changing(enrolment)):
            raise AlreadyExists("an invitation has this id")

    async def enrolment(self, enrolment_id: str) -> Enrolment | None:
        """Find one."""
        row = await self._row("enrolment", enrolment_id)
        return None if row is None else from_row(row)

    async def enrolments(self) -> list[Enrolment]:
        """List all, oldest first."""
        return [from_row(row) for row in await self._rows("enrolments")]

    async def replace_enrolment(self, enrolment: Enrolment, *, expected: EnrolmentState) -> bool:
        """Store a changed one by compare-and-set on its state; True if it was `expected`."""
        return await self._change("replace_enrolment", *changing(enrolment), enrolment.id, expected.value) == 1

    async def purge_enrolments(self, now: Millis) -> int:
        """Delete those whose time is over; returns how many went."""
        return await self._change("purge_enrolments", now)
