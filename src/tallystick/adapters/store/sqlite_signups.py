"""Sign-ups that wait for their second half, in SQLite."""

from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.vault.model import SignUp

ADD = "INSERT INTO sign_up (id, epoch, sealed, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
FIND = "SELECT id, epoch, sealed, expires_at FROM sign_up WHERE id = ?"
DROP = "DELETE FROM sign_up WHERE id = ?"
PURGE = """
    DELETE FROM sign_up WHERE id IN (SELECT id FROM sign_up WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
"""


class SqliteSignUps(SqliteBook):
    """Implement `vault.ports.SignUpBook`."""

    async def add_sign_up(self, sign_up: SignUp) -> None:
        """Add one; raises AlreadyExists when the id is taken."""
        if not self._db.execute(ADD, (sign_up.id, sign_up.epoch, sign_up.sealed, sign_up.expires_at)).rowcount:
            raise AlreadyExists("a sign-up has this id")

    async def sign_up(self, sign_up_id: str) -> SignUp | None:
        """Find one."""
        row = self._db.execute(FIND, (sign_up_id,)).fetchone()
        return SignUp(id=row[0], epoch=row[1], sealed=row[2], expires_at=Millis(row[3])) if row else None

    async def drop_sign_up(self, sign_up_id: str) -> bool:
        """Delete one; True for the one caller that found it."""
        return bool(self._db.execute(DROP, (sign_up_id,)).rowcount)

    async def purge_sign_ups(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` whose time is over; returns how many went."""
        return self._db.execute(PURGE, (now, limit)).rowcount
