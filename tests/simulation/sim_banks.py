"""Back ends with an exact ledger, and the lines that nodes reach them by: slow, lossy, late, never repeating."""

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from tallystick import limits
from tallystick.delivery.model import Answer, Finding, Instruction, Known, MessageIds, Original, Recovery, Verdict
from tallystick.errors import NotSent, OutcomePending, OutcomeUnknown, ReversalRefused
from tallystick.testing.simulation.faults import Faults
from tallystick.testing.simulation.loop import SimulatedLoop
from tallystick.testing.simulation.node import Node

if TYPE_CHECKING:
    from sim_world import World

REFUSED: Final = "back end takes no connection"
DIES_SENDING: Final = "node dies before a send"
DIES_TOLD: Final = "node dies before it records an answer"
REQUEST_LOST: Final = "request to a back end is lost"
REQUEST_LATE: Final = "request reaches a back end after the node gave up"
ANSWER_LOST: Final = "answer of a back end is lost"
ANSWER_SLOW: Final = "answer of a back end is slow"
ANSWER_UNREADABLE: Final = "answer of a back end proves nothing"
TELLS_LATE: Final = "back end decides later"
NOTICE_LOST: Final = "back end does not tell what it decided"
DECLINES: Final = "back end declines"
ELSEWHERE: Final = "back end sends the payment elsewhere"
REFUSES_REVERSAL: Final = "back end refuses a reversal"
ECHO_FAILS: Final = "back end does not answer an echo"
BANK_FAULTS: Final = {
    REFUSED: 0.03,
    DIES_SENDING: 0.02,
    DIES_TOLD: 0.02,
    REQUEST_LOST: 0.05,
    REQUEST_LATE: 0.05,
    ANSWER_LOST: 0.05,
    ANSWER_SLOW: 0.05,
    ANSWER_UNREADABLE: 0.04,
    TELLS_LATE: 0.08,
    NOTICE_LOST: 0.3,
    DECLINES: 0.06,
    ELSEWHERE: 0.06,
    REFUSES_REVERSAL: 0.3,
    ECHO_FAILS: 0.05,
}
"""The usual rate of each fault of this module, by its name."""

TRAVEL_S: Final = 0.4  # s a message takes at most
LATE_S: Final = 120.0  # s after the node gave up in which a late request arrives at most
DECIDES_S: Final = 900.0  # s a back end that decides later takes at most


class Does(StrEnum):
    """What a back end decided on a request."""

    APPROVE = "approve"
    DECLINE = "decline"
    ELSEWHERE = "elsewhere"
    WAIT = "wait"


class Bank:
    """One back end: what it decided on each request, what took effect, what was undone (also before it arrived)."""

    def __init__(self, institution: str, recovery: frozenset[Recovery], world: "World", *, keeps_account: bool) -> None:
        self.institution = institution
        self.recovery = recovery
        self.keeps_account = keeps_account
        self.decided: dict[str, Does] = {}
        self.effects: Counter[str] = Counter()
        self.payments: dict[str, str] = {}
        self.undone: set[str] = set()
        self._world = world

    def effective(self, payment_id: str) -> int:
        """Count the authorisations of a payment that are in effect."""
        return sum(
            self.effects[key] for key, of in self.payments.items() if of == payment_id and key not in self.undone
        )

    def authorise(self, key: str, payment_id: str) -> object:
        """Act on a request that arrives; returns the answer, or what its sender meets in its place."""
        self.payments[key] = payment_id
        if key not in self.decided:
            self._decide(key, self._draw())
        elif Recovery.RETRY not in self.recovery and self.decided[key] is Does.APPROVE:
            self._take_effect(key)
        match self.decided[key]:
            case Does.WAIT:
                return OutcomePending("later")
            case Does.APPROVE if key not in self.undone:
                return Answer(verdict=Verdict.APPROVED, code="00")
            case does:
                return Answer(verdict=Verdict.DECLINED, code="91", elsewhere=does is Does.ELSEWHERE)

    def find(self, key: str) -> Finding:
        """Answer an inquiry."""
        if key in self.undone:
            return Finding(known=Known.REVERSED, code="00")
        match self.decided.get(key):
            case None:
                return Finding(known=Known.NOT_FOUND)
            case Does.WAIT:
                return Finding(known=Known.PENDING)
            case Does.APPROVE:
                return Finding(known=Known.APPROVED, code="00")
            case _:
                return Finding(known=Known.DECLINED, code="91")

    def reverse(self, key: str) -> object:
        """Undo a request, whether or not it is here yet; a refusal is for one in effect only."""
        if self.effects[key] and key not in self.undone and self._world.faults.strikes(REFUSES_REVERSAL):
            return ReversalRefused("settled already")
        self.undone.add(key)
        self._world.faults.note("back end undid a request", key)
        return "00"

    def may_take_effect(self, key: str) -> bool:
        """Say whether a request is in effect, or may come to be."""
        return key not in self.undone and (
            key in self._world.under_way or self.decided.get(key) in {Does.APPROVE, Does.WAIT}
        )

    def _draw(self) -> Does:
        faults = self._world.faults
        if faults.strikes(TELLS_LATE):
            return Does.WAIT
        if faults.strikes(ELSEWHERE):
            return Does.ELSEWHERE
        return Does.DECLINE if faults.strikes(DECLINES) else Does.APPROVE

    def _decide(self, key: str, does: Does) -> None:
        self.decided[key] = does
        self._world.faults.note("back end decided", key, does)
        if does is Does.WAIT:
            self._world.later(self._world.faults.between(1, DECIDES_S), lambda: self._decide_now(key))
        elif does is Does.APPROVE and key not in self.undone:
            self._take_effect(key)

    def _decide_now(self, key: str) -> None:
        approves = self._world.faults.between(0, 1) < 0.7 and key not in self.undone
        self._decide(key, Does.APPROVE if approves else Does.DECLINE)
        if not self._world.faults.strikes(NOTICE_LOST):
            self._world.tell(self, key, self.find(key))

    def _take_effect(self, key: str) -> None:
        self.effects[key] += 1
        self._world.took_effect(self, self.payments[key])


class Line:
    """How one node reaches one back end (`delivery.ports.Connector`)."""

    def __init__(self, bank: Bank, node: Node, world: "World") -> None:
        self.recovery = bank.recovery
        self.keeps_account = bank.keeps_account
        self._bank = bank
        self._node = node
        self._world = world
        self._faults: Faults = node.faults
        self._loop: SimulatedLoop = node.loop

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send an authorisation."""
        key = instruction.ids.key
        self._node.maybe_die(DIES_SENDING)
        if self._faults.strikes(REFUSED):
            raise NotSent("no connection")
        self._world.leaves(self._node, self._bank, instruction)
        answer = await self._exchange(key, lambda: self._bank.authorise(key, instruction.payment_id))
        assert isinstance(answer, Answer)
        return answer

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:
        """Ask what became of a request."""
        self._world.asks(self._node, self._bank, original, ids, "inquiry")
        finding = await self._exchange(ids.key, lambda: self._bank.find(original.ids.key))
        assert isinstance(finding, Finding)
        return finding

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:
        """Undo a request."""
        self._world.asks(self._node, self._bank, original, ids, "reversal")
        code = await self._exchange(ids.key, lambda: self._bank.reverse(original.ids.key))
        assert isinstance(code, str)
        return code

    async def echo(self) -> None:
        """Answer, or not."""
        self._node.require_alive()
        if self._faults.strikes(ECHO_FAILS):
            raise OutcomeUnknown("no echo")

    async def aclose(self) -> None:
        """Hold nothing."""

    async def _exchange(self, key: str, act: Callable[[], object]) -> object:
        """Let a message travel to the back end and its answer back; raises OutcomeUnknown when none came in time."""
        self._node.require_alive()
        answered: asyncio.Future[Any] = self._loop.create_future()
        lost = self._faults.strikes(REQUEST_LOST)
        late = not lost and self._faults.strikes(REQUEST_LATE)
        travel = self._faults.between(0, TRAVEL_S) + (
            limits.DELIVERY_TIMEOUT_S + self._faults.between(0, LATE_S) if late else 0
        )
        if not lost:
            self._world.under_way[key] += 1
            self._loop.call_later(travel, self._arrive, key, act, answered)
        timer = self._loop.call_later(limits.DELIVERY_TIMEOUT_S, _give, answered, OutcomeUnknown("no answer in time"))
        try:
            return await answered
        finally:
            timer.cancel()
            self._node.maybe_die(DIES_TOLD)

    def _arrive(self, key: str, act: Callable[[], object], answered: "asyncio.Future[Any]") -> None:
        self._world.under_way[key] -= 1
        self._world.under_way += Counter()
        answer = act()
        if self._faults.strikes(ANSWER_LOST):
            return
        if self._faults.strikes(ANSWER_UNREADABLE):
            answer = OutcomeUnknown("an answer that proves nothing")
        slow = self._faults.strikes(ANSWER_SLOW)
        self._loop.call_later(self._faults.between(0, 18 if slow else TRAVEL_S), _give, answered, answer)


class Lines:
    """The connectors of one node (`delivery.ports.Connectors`); `wrap` puts each behind its bounds."""

    def __init__(self, banks: dict[str, Bank], node: Node, world: "World", wrap: Callable[..., Any]) -> None:
        self._made = {}
        self._make = lambda back_end: wrap(Line(banks[back_end.id], node, world), back_end)

    async def connector(self, back_end: Any) -> Any:
        """Return the connector of a back end."""
        if back_end.id not in self._made:
            self._made[back_end.id] = self._make(back_end)
        self._made[back_end.id].bound_by(back_end)
        return self._made[back_end.id]


def _give(answered: "asyncio.Future[Any]", answer: object) -> None:
    if answered.done():
        return
    if isinstance(answer, BaseException):
        answered.set_exception(answer)
    else:
        answered.set_result(answer)
