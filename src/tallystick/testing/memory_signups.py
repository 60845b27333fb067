"""Sign-ups that wait for their second half, in memory."""

from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_table import Journal, MemoryBook, Table
from tallystick.vault.model import SignUp


class MemorySignUps(MemoryBook):
    """Implement `vault.ports.SignUpBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._sign_ups: Table[str, SignUp] = Table(journal)

    async def add_sign_up(self, sign_up: SignUp) -> None:
        """Add one; raises AlreadyExists when the id is taken."""
        if self._sign_ups.get(sign_up.id) is not None:
            raise AlreadyExists("a sign-up has this id")
        self._sign_ups.put(sign_up.id, sign_up)

    async def sign_up(self, sign_up_id: str) -> SignUp | None:
        """Find one."""
        return self._sign_ups.get(sign_up_id)

    async def drop_sign_up(self, sign_up_id: str) -> bool:
        """Delete one; True for the one caller that found it."""
        found = self._sign_ups.get(sign_up_id) is not None
        self._sign_ups.drop(sign_up_id)
        return found

    async def purge_sign_ups(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` whose time is over; returns how many went."""
        over = [each.id for each in self._sign_ups.rows() if each.expires_at <= now][:limit]
        for sign_up_id in over:
            self._sign_ups.drop(sign_up_id)
        return len(over)
