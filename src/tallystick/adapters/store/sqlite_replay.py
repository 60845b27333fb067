"""Nonces and idempotent answers in SQLite."""

from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.errors import AlreadyExists, Replayed
from tallystick.runtime import Millis
from tallystick.security.model import StoredAnswer

USE_NONCE = "INSERT INTO nonce (sender, nonce, until) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
FIND_ANSWER = "SELECT fingerprint, body FROM answer WHERE sender = ? AND key = ?"
KEEP_ANSWER = """
    INSERT INTO answer (sender, key, fingerprint, body, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
PURGE_NONCES = """
    DELETE FROM nonce WHERE (sender, nonce) IN
      (SELECT sender, nonce FROM nonce WHERE until <= ? ORDER BY until LIMIT ?)
"""
PURGE_ANSWERS = """
    DELETE FROM answer WHERE (sender, key) IN
      (SELECT sender, key FROM answer WHERE until <= ? ORDER BY until LIMIT ?)
"""


class SqliteReplay(SqliteBook):
    """Implement `security.ports.ReplayBook`."""

    async def remember_nonce(self, sender: str, nonce: str, until: Millis) -> None:
        """Use up a nonce; raises Replayed when this sender used it before."""
        if not self._db.execute(USE_NONCE, (sender, nonce, until)).rowcount:
            raise Replayed("this nonce was used before")

    async def stored_answer(self, sender: str, key: str) -> StoredAnswer | None:
        """Find the answer kept for an Idempotency-Key of this sender."""
        row = self._db.execute(FIND_ANSWER, (sender, key)).fetchone()
        return None if row is None else StoredAnswer(fingerprint=row[0], body=row[1])

    async def keep_answer(self, sender: str, key: str, answer: StoredAnswer, until: Millis) -> None:
        """Keep an answer until the given time; raises AlreadyExists rather than change the answer of a key."""
        row = (sender, key, answer.fingerprint, answer.body, until)
        if not self._db.execute(KEEP_ANSWER, row).rowcount:
            raise AlreadyExists("an answer is kept for this Idempotency-Key")

    async def purge_replay(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` nonces and as many answers whose time is over; returns how many rows went."""
        nonces = self._db.execute(PURGE_NONCES, (now, limit)).rowcount
        return nonces + self._db.execute(PURGE_ANSWERS, (now, limit)).rowcount
