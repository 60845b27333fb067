"""Intents and trace numbers in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.intents import from_row, to_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.delivery.model import STAN_MAX, Intent, IntentState
from tallystick.errors import AlreadyExists, TooMany
from tallystick.runtime import Millis

NEXT_STAN = """
    INSERT INTO stan (back_end, day, last) VALUES (?, ?, 1)
    ON CONFLICT (back_end, day) DO UPDATE SET last = last + 1 WHERE last < ?
    RETURNING last
"""
COLUMNS = """payment_id, n, back_end, stan, rrn, key, at, table_version, digest, state, code, settled_at,
    kind, about, tries, due_at, epoch, account, node"""
ADD = f"""
    INSERT INTO intent ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
SETTLE = """
    UPDATE intent SET state = ?1, code = ?2, settled_at = ?3,
        epoch = iif(?1 = 'unknown', epoch, NULL), account = iif(?1 = 'unknown', account, NULL)
    WHERE payment_id = ?4 AND n = ?5 AND state = ?6
"""
SCHEDULE = """
    UPDATE intent SET tries = ?, due_at = ? WHERE payment_id = ? AND n = ? AND tries = ?
        AND state = 'sending' AND kind <> 'authorisation'
"""
LIST = f"SELECT {COLUMNS} FROM intent WHERE payment_id = ? ORDER BY n"
LOST = f"""
    SELECT {COLUMNS} FROM intent WHERE state = 'sending' AND kind = 'authorisation'
        AND (at <= ? OR (node IS NOT NULL AND node NOT IN (SELECT id FROM node)))
    ORDER BY seq LIMIT ?
"""
DUE = f"""
    SELECT {COLUMNS} FROM intent WHERE state = 'sending' AND kind <> 'authorisation' AND due_at <= ?
    ORDER BY due_at, seq LIMIT ?
"""
UNSETTLED = """
    SELECT (SELECT count(*) FROM intent WHERE state = 'sending' AND back_end = ?1)
        + (SELECT count(*) FROM intent WHERE state = 'unknown' AND back_end = ?1)
"""
# Only these two states keep an account; each has a partial index.
ACCOUNTS_KEPT = """
    SELECT epoch FROM intent WHERE state = 'sending' AND account IS NOT NULL
    UNION SELECT epoch FROM intent WHERE state = 'unknown' AND account IS NOT NULL
"""


class SqliteIntents(SqliteBook):
    """Implement `delivery.ports.IntentBook`."""

    async def next_stan(self, back_end: str, day: str) -> int:
        """Return the next trace number of a back end and hour (YYYYMMDDHH): 1 to 999999, never twice; then TooMany."""
        row = self._db.execute(NEXT_STAN, (back_end, day, STAN_MAX)).fetchone()
        if row is None:
            raise TooMany("the trace numbers of this back end and hour are used up")
        stan: int = row[0]
        return stan

    async def add_intent(self, intent: Intent) -> None:
        """Record an intent; raises AlreadyExists when the payment has one with this `n`."""
        if not self._db.execute(ADD, to_row(intent)).rowcount:
            raise AlreadyExists("the payment has an intent with this number")

    async def settle_intent(
        self,
        payment_id: str,
        n: int,
        *,
        state: IntentState,
        code: str | None,
        at: Millis,
        expected: IntentState = IntentState.SENDING,
    ) -> bool:
        """Move an intent from `expected` to `state` by compare-and-set; True if moved."""
        row = (state.value, code, at, payment_id, n, expected.value)
        return self._db.execute(SETTLE, row).rowcount == 1

    async def schedule_intent(self, payment_id: str, n: int, *, tried: int, tries: int, due_at: Millis) -> bool:
        """Set the sends and the next time of an inquiry or reversal that is SENDING and was sent `tried` times."""
        return self._db.execute(SCHEDULE, (tries, due_at, payment_id, n, tried)).rowcount == 1

    async def intents(self, payment_id: str) -> list[Intent]:
        """List the intents of a payment by `n`."""
        return [from_row(row) for row in self._db.execute(LIST, (payment_id,))]

    async def lost_intents(self, before: Millis, limit: int) -> list[Intent]:
        """List authorisations that are SENDING and that nobody sends any more, oldest first: their outcome is open."""
        return [from_row(row) for row in self._db.execute(LOST, (before, limit))]

    async def due_intents(self, now: Millis, limit: int) -> list[Intent]:
        """List inquiries and reversals that are SENDING and due at `now`, longest due first."""
        return [from_row(row) for row in self._db.execute(DUE, (now, limit))]

    async def unsettled_intents(self, back_end: str) -> int:
        """Count a back end's intents that are SENDING or UNKNOWN: what a drain waits for."""
        count: int = self._db.execute(UNSETTLED, (back_end,)).fetchone()[0]
        return count

    async def accounts_kept(self) -> frozenset[str]:
        """Return the recovery epochs under which an account number is still sealed."""
        return frozenset(epoch for (epoch,) in self._db.execute(ACCOUNTS_KEPT))
