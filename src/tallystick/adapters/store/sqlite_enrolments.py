"""Invitations and certificate requests in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.enrolments import changing, from_row
from tallystick.adapters.store.rows.texts import to_json
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.channels.model import Enrolment, EnrolmentState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

COLUMNS = "id, uri, hosts, digest, created_at, state, wrong, expires_at, csr, key, chain"
ADD = f"INSERT INTO enrolment ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
FIND = f"SELECT {COLUMNS} FROM enrolment WHERE id = ?"
LIST = f"SELECT {COLUMNS} FROM enrolment ORDER BY seq"
REPLACE = """
    UPDATE enrolment SET state = ?, wrong = ?, expires_at = ?, csr = ?, key = ?, chain = ? WHERE id = ? AND state = ?
"""
PURGE = "DELETE FROM enrolment WHERE expires_at <= ?"


class SqliteEnrolments(SqliteBook):
    """Implement `channels.ports.EnrolmentBook`."""

    async def add_enrolment(self, enrolment: Enrolment) -> None:
        """Add an invitation; raises AlreadyExists when the id is taken."""
        fixed = (enrolment.id, enrolment.uri, to_json(enrolment.hosts), enrolment.digest, enrolment.created_at)
        if not self._db.execute(ADD, (*fixed, *changing(enrolment))).rowcount:
            raise AlreadyExists("an invitation has this id")

    async def enrolment(self, enrolment_id: str) -> Enrolment | None:
        """Find one."""
        row = self._db.execute(FIND, (enrolment_id,)).fetchone()
        return from_row(row) if row else None

    async def enrolments(self) -> list[Enrolment]:
        """List all, oldest first."""
        return [from_row(row) for row in self._db.execute(LIST)]

    async def replace_enrolment(self, enrolment: Enrolment, *, expected: EnrolmentState) -> bool:
        """Store a changed one by compare-and-set on its state; True if it was `expected`."""
        row = (*changing(enrolment), enrolment.id, expected.value)
        return self._db.execute(REPLACE, row).rowcount == 1

    async def purge_enrolments(self, now: Millis) -> int:
        """Delete those whose time is over; returns how many went."""
        return self._db.execute(PURGE, (now,)).rowcount
