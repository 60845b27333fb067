"""Nonces and idempotent answers in PostgreSQL: both are written with the next statements, and decided by their keys."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.errors import AlreadyExists, Replayed
from tallystick.runtime import Millis
from tallystick.security.model import StoredAnswer


class PostgresReplay(PostgresBook):
    """Implement `security.ports.ReplayBook`."""

    async def remember_nonce(self, sender: str, nonce: str, until: Millis) -> None:
        """Use up a nonce; the work fails with Replayed when this sender used it before."""
        self._put("remember_nonce", sender, nonce, until, taken=Replayed("this nonce was used before"))

    async def stored_answer(self, sender: str, key: str) -> StoredAnswer | None:
        """Find the answer kept for an Idempotency-Key of this sender."""
        row = await self._row("stored_answer", sender, key)
        return None if row is None else StoredAnswer(fingerprint=row[0], body=row[1])

    async def keep_answer(self, sender: str, key: str, answer: StoredAnswer, until: Millis) -> None:
        """Keep an answer until the given time; the work fails with AlreadyExists rather than change that of a key."""
        taken = AlreadyExists("an answer is kept for this Idempotency-Key")
        self._put("keep_answer", sender, key, answer.fingerprint, answer.body, until, taken=taken)

    async def purge_replay(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` nonces and as many answers whose time is over; returns how many rows went."""
        nonces = await self._change("purge_nonces", now, limit)
        return nonces + await self._change("purge_answers", now, limit)
