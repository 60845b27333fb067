"""Keep a back end within what it can bear: bounded requests at a time and a second, and a circuit breaker.

Everything refused here is NotSent: the next candidate is tried, or the payment waits for the sweep. Each node keeps to
its share of the bounds, so that all of them together keep to the whole; its circuit is its own, as its way may be.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from tallystick.delivery.model import Answer, Finding, Instruction, MessageIds, Original, Recovery
from tallystick.delivery.ports import Connector, OwnNode
from tallystick.errors import NotSent, OutcomePending, Unfit
from tallystick.routing.model import BackEnd
from tallystick.runtime import Clock, Millis

OPEN_FIRST_MS: Final = 5_000  # ms it stays open the first time; doubled for each trial that fails
OPEN_MAX_MS: Final = 60_000  # ms it stays open at most
RATE_WAIT_MAX_MS: Final = 1_000  # ms a request waits for its turn under a rate; longer ones are not sent
SECOND_MS: Final = 1_000  # ms


@dataclass(slots=True)
class Breaker:
    """Open after `failures_max` failures in a row; then let one trial through at a time, and close when it succeeds."""

    failures_max: int
    failures: int = 0
    opened_ms: int = OPEN_FIRST_MS
    open_until: int = 0
    trial: bool = False

    @property
    def closed(self) -> bool:
        """Say whether requests pass freely."""
        return self.failures < self.failures_max

    def enter(self, now: Millis) -> bool:
        """Let a request through and say whether it is the trial, which calls `leave` however it ends.

        Raises NotSent while the circuit is open or its trial is under way. A time further ahead than any circuit stays
        open is none: the clock was set back.
        """
        if self.closed:
            return False
        if now < self.open_until <= now + OPEN_MAX_MS or self.trial:
            raise NotSent("the circuit to this back end is open: it failed too often in a row")
        self.trial = True
        return True

    def succeed(self) -> None:
        """Close the circuit."""
        self.failures, self.opened_ms = 0, OPEN_FIRST_MS

    def fail(self, now: Millis, *, trial: bool) -> None:
        """Count a failure; a failed trial doubles the time until the next one."""
        self.failures += 1
        if trial:
            self.opened_ms = min(self.opened_ms * 2, OPEN_MAX_MS)
        if not self.closed:
            self.open_until = now + self.opened_ms

    def leave(self) -> None:
        """End the trial."""
        self.trial = False


class GuardedConnector:
    """A connector behind its back end's bounds (`delivery.ports.Connector`).

    Inquiries and reversals pass freely: they are few, they have waits of their own, and they end what is in doubt.
    """

    def __init__(self, inner: Connector, back_end: BackEnd, clock: Clock, node: OwnNode) -> None:
        self.breaker = Breaker(back_end.failures_max)
        self.in_flight = 0
        self.ended: Counter[str] = Counter()
        """How many requests were `answered` (pending ones too) and `failed` since this connector was made."""
        self._inner = inner
        self._back_end = back_end
        self._clock = clock
        self._node = node
        self._next_turn = 0.0  # ms since 1970, with the fractions that many requests a second need

    @property
    def recovery(self) -> frozenset[Recovery]:
        """Say what can be done about an unknown outcome."""
        return self._inner.recovery

    @property
    def keeps_account(self) -> bool:
        """Say whether `inquire` and `reverse` need the card number again."""
        return self._inner.keeps_account

    def bound_by(self, back_end: BackEnd) -> None:
        """Take the bounds of a changed routing table."""
        self._back_end = back_end
        self.breaker.failures_max = back_end.failures_max

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send one request when all of this holds, else raise NotSent.

        1. The circuit is closed, or this is its trial.
        2. The back end has fewer requests from this node than its share of the bound, rounded up.
        3. This node's share of its rate gives a turn within RATE_WAIT_MAX_MS, and that before the payment's expiry.

        An answer, also a decline, closes the circuit. A lost connection and an unknown outcome count as failures; an
        instruction that does not fit this back end (Unfit) tells nothing about it.
        """
        # 1.
        trial = self.breaker.enter(self._clock.now())
        try:
            # 2.
            if self.in_flight >= -(-self._back_end.in_flight_max // self._node.peers):
                raise NotSent("the back end has as many requests under way as it may have")
            # 3.
            wait_ms = self._take_turn()
            self.in_flight += 1
            try:
                if wait_ms:
                    await self._clock.sleep(wait_ms / SECOND_MS)
                _require_time(instruction, self._clock.now())
                return await self._send(instruction, trial=trial)
            finally:
                self.in_flight -= 1
        finally:
            if trial:
                self.breaker.leave()

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:
        """Ask what became of a request."""
        return await self._inner.inquire(original, ids)

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:
        """Undo a request."""
        return await self._inner.reverse(original, ids, repeat=repeat)

    async def echo(self) -> None:
        """Prove that the back end answers; while the circuit is open, an echo that succeeds makes a trial due."""
        await self._inner.echo()
        self.breaker.open_until = min(self.breaker.open_until, self._clock.now())

    async def aclose(self) -> None:
        """Close connections."""
        await self._inner.aclose()

    async def _send(self, instruction: Instruction, *, trial: bool) -> Answer:
        try:
            answer = await self._inner.deliver(instruction)
        except Unfit:
            raise
        except OutcomePending:
            self.ended["answered"] += 1
            self.breaker.succeed()
            raise
        except Exception:
            self.ended["failed"] += 1
            self.breaker.fail(self._clock.now(), trial=trial)
            raise
        self.ended["answered"] += 1
        self.breaker.succeed()
        return answer

    def _take_turn(self) -> float:
        """Return the ms until this request's turn, which is then taken; raises NotSent when it is too far away."""
        if not self._back_end.per_second_max:
            return 0
        now = self._clock.now()
        if (
            self._next_turn - now > RATE_WAIT_MAX_MS + SECOND_MS
        ):  # no turn is given so far ahead: the clock was set back
            self._next_turn = now
        turn = max(now, self._next_turn)
        if turn - now > RATE_WAIT_MAX_MS:
            raise NotSent("the back end gets as many requests a second as it may get")
        self._next_turn = turn + SECOND_MS * self._node.peers / self._back_end.per_second_max
        return turn - now


def _require_time(instruction: Instruction, now: Millis) -> None:
    if instruction.expires_at is not None and now >= instruction.expires_at:
        raise NotSent("the payment's time was over before the request could leave")
