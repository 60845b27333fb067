"""The conformance suite passes a connector that keeps every law, and catches one planted fault for each law."""

import asyncio
import contextlib
import unittest
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import pytest

from tallystick.assembly.facts import Order
from tallystick.delivery.model import Answer, Finding, Instruction, Known, MessageIds, Original, Recovery, Verdict
from tallystick.errors import DeliveryError, NotSent, OutcomeUnknown
from tallystick.secret import Pan, Secret
from tallystick.testing.bench import Behaviour, Bench
from tallystick.testing.clock import START
from tallystick.testing.conformance import ConnectorConformance
from tallystick.testing.laws import Law, LawBroken
from tallystick.vault.model import CardCredential

TIMEOUT_S = 0.2
PAN = "6250947000000014"
DOUBTFUL = {Behaviour.SILENT, Behaviour.LATE, Behaviour.FORGED, Behaviour.GARBAGE, Behaviour.CUT}
CODES = {Verdict.APPROVED: "00", Verdict.DECLINED: "51"}


@dataclass
class MemoryBackEnd:
    """A back end without a wire: what it was asked, decided and undid, by the key of the request."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    arrivals: list[str] = field(default_factory=list)
    decided: dict[str, Verdict] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    doubled: int = 0
    reachable: bool = True

    def take(self, key: str) -> Verdict:
        self.arrivals.append(key)
        declined = self.behaviours[key] is Behaviour.DECLINE or key in self.undone
        return self.decided.setdefault(key, Verdict.DECLINED if declined else Verdict.APPROVED)

    def effective(self, key: str) -> int:
        stands = self.decided.get(key) is Verdict.APPROVED and key not in self.undone
        return int(stands) + self.doubled


class MemoryConnector:
    """A connector to it that keeps every law, but for the one fault it is given."""

    keeps_account = False
    recovery = frozenset(Recovery)

    def __init__(self, back_end: MemoryBackEnd, fault: str = "") -> None:
        self.back_end = back_end
        self.fault = fault
        self._closed = asyncio.Event()
        self._last = Verdict.APPROVED
        self._spoilt = False
        self._strays: set[asyncio.Task[object]] = set()

    async def deliver(self, instruction: Instruction) -> Answer:
        key = instruction.ids.key
        if self._closed.is_set() and self.fault != "goes on after its end":
            raise NotSent("the connector is closed")
        if not self.back_end.reachable:
            raise OutcomeUnknown("x") if self.fault == "doubts without need" else NotSent("no connection")
        verdict = self.back_end.take(key)
        self._plant(key)
        await asyncio.sleep(0)
        if self.back_end.behaviours[key] in DOUBTFUL:
            await self._doubt(instruction)
        if self._spoilt and self.fault == "spoilt by a doubt":
            raise OutcomeUnknown("the link is spoilt")
        told = self._last if self.fault == "mixes answers" else verdict
        self._last = verdict
        if self.fault == "approves all":
            told = Verdict.APPROVED
        return Answer(verdict=told, code=CODES[told])

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:
        key = original.ids.key
        if self.fault == "inquires by sending":
            self.back_end.take(key)
        decided = self.back_end.decided.get(key)
        if self.fault == "guesses":
            return Finding(known=Known.APPROVED)
        return Finding(known=Known(decided.value) if decided else Known.NOT_FOUND)

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:
        key = original.ids.key
        if self.fault == "acknowledges for nothing" or (
            self.fault == "no tombstone" and key not in self.back_end.decided
        ):
            return "00"
        if self.fault == "reverses to and fro" and repeat:
            self.back_end.undone.discard(key)
        else:
            self.back_end.undone.add(key)
        return "00"

    async def echo(self) -> None:
        if not self.back_end.reachable and self.fault != "echoes itself":
            raise NotSent("no connection")

    async def aclose(self) -> None:
        self._closed.set()

    def __repr__(self) -> str:
        return "MemoryConnector()"

    def _plant(self, key: str) -> None:
        if self.fault == "resends":
            self.back_end.take(key)
        if self.fault == "decides twice" or (self.fault == "doubles a retry" and self.back_end.arrivals.count(key) > 1):
            self.back_end.doubled = 1
        if self.fault == "leaves a task":
            self._strays.add(asyncio.create_task(asyncio.sleep(5)))

    async def _doubt(self, instruction: Instruction) -> None:
        self._spoilt = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), TIMEOUT_S)
        match self.fault:
            case "denies it sent":
                raise NotSent("no answer")
            case "raises what it met":
                raise ValueError("not JSON")
            case "quotes the card":
                raise OutcomeUnknown("no answer about the card") from ValueError(PAN)
            case "takes doubt for a decline":
                return
        raise OutcomeUnknown("no answer")


class MemoryBench:
    """The bench of both."""

    secrets = (PAN,)
    patience_s = 2.0

    def __init__(self, fault: str = "", lacks: Mapping[Behaviour, str] | None = None) -> None:
        self.back_end = MemoryBackEnd()
        self.connector = MemoryConnector(self.back_end, fault)
        self.lacks = dict(lacks or {})
        self._made = 0

    async def instruction(self, behaviour: Behaviour) -> Instruction:
        self._made += 1
        key = f"req_{self._made}_1"
        self.back_end.behaviours[key] = behaviour
        return Instruction(
            payment_id=f"pay_{self._made}",
            order=Order(payee="Tea House", amount=1250, currency="CNY"),
            ids=MessageIds(stan=f"{self._made:06d}", rrn=f"636523{self._made:06d}", key=key, at=START),
            credential=CardCredential(pan=Pan(PAN), expiry=Secret("3012")),
        )

    async def arrived(self, instruction: Instruction) -> int:
        return self.back_end.arrivals.count(instruction.ids.key)

    async def effective(self, instruction: Instruction) -> int:
        return self.back_end.effective(instruction.ids.key)

    async def unplug(self) -> None:
        self.back_end.reachable = False

    async def plug_in(self) -> None:
        self.back_end.reachable = True


class MemoryConformance(ConnectorConformance):
    fault = ""
    lacks: Mapping[Behaviour, str] = {}

    def bench(self) -> AbstractAsyncContextManager[Bench]:
        return self._open()

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[Bench]:
        bench = MemoryBench(self.fault, self.lacks)
        yield bench
        await bench.connector.aclose()
        for stray in bench.connector._strays:
            if self.fault != "leaves a task":
                stray.cancel()


class TestAConnectorThatKeepsEveryLaw(MemoryConformance):
    pass


FAULTS = {
    "approves all": (Law.TELLS, "test_a_decline_is_told_and_has_no_effect"),
    "denies it sent": (Law.NOT_SENT_MEANS_NOTHING, "test_silence_is_unknown"),
    "doubts without need": (
        Law.NOT_SENT_MEANS_NOTHING,
        "test_a_back_end_that_is_away_gets_nothing_and_works_when_it_is_back",
    ),
    "takes doubt for a decline": (Law.DOUBT_IS_UNKNOWN, "test_garbage_is_unknown"),
    "resends": (Law.NEVER_RESENDS, "test_an_approval_is_told_and_effective_once"),
    "decides twice": (Law.ONCE, "test_an_approval_is_told_and_effective_once"),
    "mixes answers": (Law.OWN_ANSWER, "test_requests_under_way_together_get_their_own_answers"),
    "spoilt by a doubt": (Law.GOES_ON, "test_a_late_answer_is_unknown_and_disturbs_no_other_request"),
    "leaves a task": (Law.CANCEL_LEAVES_NOTHING, "test_a_cancelled_delivery_leaves_no_task_and_a_working_connector"),
    "doubles a retry": (Law.RETRY_IS_ONE, "test_a_request_that_may_be_retried_has_one_effect"),
    "guesses": (Law.INQUIRY_FINDS, "test_an_inquiry_about_a_request_that_never_arrived_makes_none"),
    "inquires by sending": (
        Law.INQUIRY_HAS_NO_EFFECT,
        "test_an_inquiry_about_a_request_that_never_arrived_makes_none",
    ),
    "acknowledges for nothing": (Law.REVERSAL_UNDOES, "test_a_reversal_undoes_and_may_be_repeated"),
    "reverses to and fro": (Law.REVERSAL_REPEATS, "test_a_reversal_undoes_and_may_be_repeated"),
    "no tombstone": (Law.REVERSAL_STANDS, "test_a_request_that_arrives_after_its_reversal_has_no_effect"),
    "echoes itself": (Law.ECHO_PROVES, "test_an_echo_tells_whether_the_back_end_answers"),
    "goes on after its end": (Law.CLOSE_ENDS, "test_closing_ends_what_is_under_way_and_refuses_what_comes_later"),
    "quotes the card": (Law.SAYS_NO_SECRET, "test_a_connection_cut_after_the_send_is_unknown"),
    "raises what it met": (Law.STRAIGHT_ERRORS, "test_a_forged_answer_is_unknown"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_planted_fault_breaks_its_law(fault: str) -> None:
    law, test = FAULTS[fault]
    suite = MemoryConformance()
    suite.fault = fault
    with pytest.raises(LawBroken) as broken:
        await getattr(suite, test)()
    assert law is broken.value.law
    assert str(broken.value).startswith(f"{law.name}: {law}; but ")


def test_every_law_has_a_fault_that_breaks_it() -> None:
    assert set(Law) == {law for law, _ in FAULTS.values()}


@pytest.mark.parametrize("behaviour", [Behaviour.SILENT, Behaviour.TWICE])
async def test_what_a_back_end_cannot_do_is_skipped_with_its_reason(behaviour: Behaviour) -> None:
    suite = MemoryConformance()
    suite.lacks = {behaviour: "it has no such mode"}
    test = {Behaviour.SILENT: suite.test_silence_is_unknown}.get(
        behaviour, suite.test_an_answer_that_comes_twice_counts_once_and_for_its_own_request
    )
    with pytest.raises(unittest.SkipTest, match="it has no such mode"):
        await test()


async def test_a_connector_that_hangs_breaks_a_law_instead_of_hanging_the_suite() -> None:
    class Hanging(MemoryConnector):
        async def deliver(self, instruction: Instruction) -> Answer:
            await asyncio.sleep(60)
            raise DeliveryError

    class HangingConformance(MemoryConformance):
        @contextlib.asynccontextmanager
        async def _open(self) -> AsyncIterator[Bench]:
            bench = MemoryBench()
            bench.connector, bench.patience_s = Hanging(bench.back_end), 0.1
            yield bench

    with pytest.raises(LawBroken, match="longer than"):
        await HangingConformance().test_silence_is_unknown()
