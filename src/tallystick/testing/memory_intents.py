"""Intents and trace numbers in memory."""

from msgspec.structs import replace

from tallystick.delivery.model import STAN_MAX, Intent, IntentKind, IntentState
from tallystick.errors import AlreadyExists, StoreFailed, TooMany
from tallystick.runtime import Millis
from tallystick.testing.memory_nodes import MemoryNodes
from tallystick.testing.memory_payments import MemoryPayments
from tallystick.testing.memory_table import Journal, Table


class MemoryIntents(MemoryPayments, MemoryNodes):
    """Implement `delivery.ports.IntentBook`; an intent needs its payment, and knows who is still there to send it."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._stans: Table[tuple[str, str], int] = Table(journal)
        self._intents: Table[str, tuple[Intent, ...]] = Table(journal)
        self._open: Table[tuple[str, int], Intent] = Table(journal)

    async def next_stan(self, back_end: str, day: str) -> int:
        """Return the next trace number of a back end and hour (YYYYMMDDHH): 1 to 999999, never twice; then TooMany."""
        stan = (self._stans.get((back_end, day)) or 0) + 1
        if stan > STAN_MAX:
            raise TooMany("the trace numbers of this back end and hour are used up")
        self._stans.put((back_end, day), stan)
        return stan

    async def add_intent(self, intent: Intent) -> None:
        """Record an intent; raises AlreadyExists when the payment has one with this `n`."""
        if await self.payment(intent.payment_id) is None:
            raise StoreFailed("an intent needs a payment")
        earlier = self._intents.get(intent.payment_id) or ()
        if any(intent.n == other.n for other in earlier):
            raise AlreadyExists("the payment has an intent with this number")
        self._intents.put(intent.payment_id, (*earlier, intent))
        self._note(intent)

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
        found = self._find(payment_id, n)
        if found is None or found.state is not expected:
            return False
        settled = replace(found, state=state, code=code, settled_at=at)
        self._put(settled if state is IntentState.UNKNOWN else replace(settled, epoch=None, account=None))
        return True

    async def schedule_intent(self, payment_id: str, n: int, *, tried: int, tries: int, due_at: Millis) -> bool:
        """Set the sends and the next time of an inquiry or reversal that is SENDING and was sent `tried` times."""
        found = self._find(payment_id, n)
        if found is None or found.tries != tried or found.state is not IntentState.SENDING:
            return False
        if found.kind is IntentKind.AUTHORISATION:
            return False
        self._put(replace(found, tries=tries, due_at=due_at))
        return True

    async def intents(self, payment_id: str) -> list[Intent]:
        """List the intents of a payment by `n`."""
        return sorted(self._intents.get(payment_id) or (), key=lambda intent: intent.n)

    async def lost_intents(self, before: Millis, limit: int) -> list[Intent]:
        """List authorisations that are SENDING and that nobody sends any more, oldest first: their outcome is open."""
        alive = {None, *(node.id for node in await self.nodes())}
        authorisations = [intent for intent in self._sending() if intent.kind is IntentKind.AUTHORISATION]
        return [intent for intent in authorisations if intent.ids.at <= before or intent.node not in alive][:limit]

    async def due_intents(self, now: Millis, limit: int) -> list[Intent]:
        """List inquiries and reversals that are SENDING and due at `now`, longest due first."""
        due = [intent for intent in self._sending() if intent.due_at is not None and intent.due_at <= now]
        return sorted(due, key=lambda intent: intent.due_at or 0)[:limit]

    async def unsettled_intents(self, back_end: str) -> int:
        """Count a back end's intents that are SENDING or UNKNOWN: what a drain waits for."""
        return sum(1 for intent in self._open.rows() if intent.back_end == back_end)

    async def accounts_kept(self) -> frozenset[str]:
        """Return the recovery epochs under which an account number is still sealed."""
        kept = (intent.epoch for intent in self._open.rows() if intent.account is not None)
        return frozenset(epoch for epoch in kept if epoch is not None)

    def _find(self, payment_id: str, n: int) -> Intent | None:
        return next((intent for intent in self._intents.get(payment_id) or () if intent.n == n), None)

    def _put(self, changed: Intent) -> None:
        intents = self._intents.get(changed.payment_id) or ()
        self._intents.put(changed.payment_id, tuple(changed if i.n == changed.n else i for i in intents))
        self._note(changed)

    def _note(self, intent: Intent) -> None:
        key = (intent.payment_id, intent.n)
        if intent.state in {IntentState.SENDING, IntentState.UNKNOWN}:
            self._open.put(key, intent)
        else:
            self._open.drop(key)

    def _sending(self) -> list[Intent]:
        return [intent for intent in self._open.rows() if intent.state is IntentState.SENDING]
