"""Intents and trace numbers in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.sqlite_book import Row, SqliteBook
from tallystick.delivery.model import Intent, IntentState, MessageIds
from tallystick.errors import AlreadyExists, TooMany
from tallystick.runtime import Millis

STAN_MAX = 999_999  # six digits, ISO 8583 DE11

NEXT_STAN = """
    INSERT INTO stan (back_end, day, last) VALUES (?, ?, 1)
    ON CONFLICT (back_end, day) DO UPDATE SET last = last + 1 WHERE last < ?
    RETURNING last
"""
COLUMNS = "payment_id, n, back_end, stan, rrn, key, at, table_version, digest, state, code, settled_at"
ADD = f"INSERT INTO intent ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
SETTLE = """
    UPDATE intent SET state = ?, code = ?, settled_at = ? WHERE payment_id = ? AND n = ? AND state = 'sending'
"""
LIST = f"SELECT {COLUMNS} FROM intent WHERE payment_id = ? ORDER BY n"
SENDING = f"SELECT {COLUMNS} FROM intent WHERE state = 'sending' ORDER BY seq LIMIT ?"


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

    async def settle_intent(self, payment_id: str, n: int, *, state: IntentState, code: str | None, at: Millis) -> bool:
        """Settle an intent that is SENDING; False when it was settled already."""
        return self._db.execute(SETTLE, (state.value, code, at, payment_id, n)).rowcount == 1

    async def intents(self, payment_id: str) -> list[Intent]:
        """List the intents of a payment by `n`."""
        return [from_row(row) for row in self._db.execute(LIST, (payment_id,))]

    async def sending_intents(self, limit: int) -> list[Intent]:
        """List unsettled intents, oldest first: after a crash their outcome is unknown."""
        return [from_row(row) for row in self._db.execute(SENDING, (limit,))]


def to_row(intent: Intent) -> Row:
    """Order an intent's values as the table does."""
    return (
        intent.payment_id,
        intent.n,
        intent.back_end,
        intent.ids.stan,
        intent.ids.rrn,
        intent.ids.key,
        intent.ids.at,
        intent.table_version,
        intent.digest,
        intent.state.value,
        intent.code,
        intent.settled_at,
    )


def from_row(row: Row) -> Intent:
    """Read an intent back."""
    payment_id, n, back_end, stan, rrn, key, at, table_version, digest, state, code, settled_at = row
    return Intent(
        payment_id=payment_id,
        n=n,
        back_end=back_end,
        ids=MessageIds(stan=stan, rrn=rrn, key=key, at=at),
        table_version=table_version,
        digest=digest,
        state=IntentState(state),
        code=code,
        settled_at=settled_at,
    )
