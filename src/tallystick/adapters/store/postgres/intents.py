"""Intents and trace numbers in PostgreSQL."""

from typing import Final

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.intents import from_row, to_row
from tallystick.delivery.model import STAN_MAX, Intent, IntentState
from tallystick.errors import AlreadyExists, TooMany
from tallystick.runtime import Millis

STAN_BLOCK: Final = 100  # trace numbers that a node sets apart at a time


class PostgresIntents(PostgresBook):
    """Implement `delivery.ports.IntentBook`."""

    async def next_stan(self, back_end: str, day: str) -> int:
        """Return the next trace number of a back end and hour (YYYYMMDDHH): 1 to 999999, never twice; then TooMany."""
        stock = self._cache.traces.get((back_end, day))
        if stock is None:
            await self._first(
                lambda books: books.reserve_stans(back_end, day),
                lambda numbers: self._cache.stock((back_end, day), numbers),
            )
        if not stock:
            self._cache.traces.pop((back_end, day), None)
            raise TooMany("the trace numbers of this back end and hour are used up")
        stan = stock.popleft()
        self.drawn.append(((back_end, day), stan))
        if not stock and stan < STAN_MAX:
            del self._cache.traces[back_end, day]
        return stan

    async def reserve_stans(self, back_end: str, day: str) -> range:
        """Set a block of trace numbers apart for this node; an empty one when they are used up.

        Drawn one by one from the database they would make all sends to a back end wait for each other's commit. What a
        node that ends has left of its block is never used.
        """
        self._note("begin_stans", back_end, day)
        ((last,),) = await self._rows("last_stan", back_end, day)
        until = min(last + STAN_BLOCK, STAN_MAX)
        self._note("move_stan", until, back_end, day)
        return range(last + 1, until + 1)

    async def add_intent(self, intent: Intent) -> None:
        """Record an intent; the work fails with AlreadyExists when the payment has one with this `n`."""
        self.ahead_intents.pop(intent.payment_id, None)
        self._put("add_intent", *to_row(intent), taken=AlreadyExists("the payment has an intent with this number"))

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
        self.ahead_intents.pop(payment_id, None)
        row = (state.value, code, at, payment_id, n, expected.value)
        return await self._move("settle_intent", *row)

    async def schedule_intent(self, payment_id: str, n: int, *, tried: int, tries: int, due_at: Millis) -> bool:
        """Set the sends and the next time of an inquiry or reversal that is SENDING and was sent `tried` times."""
        self.ahead_intents.pop(payment_id, None)
        return await self._change("schedule_intent", tries, due_at, payment_id, n, tried) == 1

    async def intents(self, payment_id: str) -> list[Intent]:
        """List the intents of a payment by `n`."""
        rows = self.ahead_intents.pop(payment_id, None)
        if rows is None:
            rows = await self._rows("intents", payment_id)
        return [from_row(row) for row in rows]

    async def lost_intents(self, before: Millis, limit: int) -> list[Intent]:
        """List authorisations that are SENDING and that nobody sends any more, oldest first: their outcome is open."""
        return [from_row(row) for row in await self._rows("lost_intents", before, limit)]

    async def due_intents(self, now: Millis, limit: int) -> list[Intent]:
        """List inquiries and reversals that are SENDING and due at `now`, longest due first."""
        return [from_row(row) for row in await self._rows("due_intents", now, limit)]

    async def unsettled_intents(self, back_end: str) -> int:
        """Count a back end's intents that are SENDING or UNKNOWN: what a drain waits for."""
        ((count,),) = await self._rows("unsettled_intents", back_end)
        return int(count)

    async def accounts_kept(self) -> frozenset[str]:
        """Return the recovery epochs under which an account number is still sealed."""
        return frozenset(epoch for (epoch,) in await self._rows("accounts_kept"))
