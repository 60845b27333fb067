"""Notices that wait to be sent, and how far their providers are booked, in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.notices import notice_from_row
from tallystick.adapters.store.rows.texts import Row
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.vault.model import Medium, Notice


class PostgresNotices(PostgresBook):
    """Implement `vault.ports.NoticeBook`."""

    async def add_notice(self, notice: Notice) -> None:
        """Add a notice; the work fails with AlreadyExists when its id is taken."""
        times = (notice.created_at, notice.due_at, notice.attempts, notice.urgent)
        taken = AlreadyExists("a notice has this id")
        self._put("add_notice", notice.id, notice.medium.value, notice.sealed, *times, taken=taken)

    async def due_notices(self, medium: Medium, now: Millis, limit: int) -> list[Notice]:
        """List notices of a medium due at `now`, urgent ones first and the longest due first of each."""
        rows: list[Row] = []
        for urgent in (True, False):
            rows += await self._rows("due_notices", medium.value, urgent, now, limit - len(rows))
        return [notice_from_row(row) for row in rows]

    async def hold_notices(self, notice_ids: list[str], until: Millis) -> None:
        """Let notices be due at `until`, without counting an attempt: until then nobody else sends them."""
        await self._change("hold_notices", until, notice_ids)

    async def paced_until(self, medium: Medium) -> Millis:
        """Return until when the medium's provider is booked; 0 when it never was."""
        row = await self._row("paced_until", medium.value)
        return Millis(0 if row is None else row[0])

    async def book_pace(self, medium: Medium, now: Millis, length: int) -> Millis:
        """Book the medium's provider for the next free `length` ms from `now` on; return their start."""
        row = await self._changing("book_pace", medium.value, now, length)
        return Millis(now if row is None else row[0])

    async def delay_notice(self, notice_id: str, due_at: Millis) -> None:
        """Count a failed attempt and set the next time."""
        await self._change("delay_notice", due_at, notice_id)

    async def drop_notice(self, notice_id: str) -> None:
        """Delete a notice that was sent or given up."""
        await self._change("drop_notice", notice_id)
