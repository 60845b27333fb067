"""Sign-ups that wait for their second half, in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.vault.model import SignUp


class PostgresSignUps(PostgresBook):
    """Implement `vault.ports.SignUpBook`."""

    async def add_sign_up(self, sign_up: SignUp) -> None:
        """Add one; raises AlreadyExists when the id is taken."""
        if not await self._change("add_sign_up", sign_up.id, sign_up.epoch, sign_up.sealed, sign_up.expires_at):
            raise AlreadyExists("a sign-up has this id")

    async def sign_up(self, sign_up_id: str) -> SignUp | None:
        """Find one."""
        row = await self._row("sign_up", sign_up_id)
        return None if row is None else SignUp(id=row[0], epoch=row[1], sealed=row[2], expires_at=Millis(row[3]))

    async def drop_sign_up(self, sign_up_id: str) -> bool:
        """Delete one; True for the one caller that found it."""
        return await self._change("drop_sign_up", sign_up_id) == 1

    async def purge_sign_ups(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` whose time is over; returns how many went."""
        return await self._change("purge_sign_ups", now, limit)
