"""The conformance suite of connectors: whoever writes one runs this against it (docs/howto/connect-a-back-end.md).

    class TestMyConnector(ConnectorConformance):
        def bench(self) -> AbstractAsyncContextManager[Bench]:
            return my_bench()

Every method `test_…` is a coroutine without arguments: pytest-asyncio runs them (`asyncio_mode = "auto"`), and so does
any other runner. Nothing here needs pytest. A broken law is a `LawBroken`, an AssertionError that names it.
"""

import asyncio
import traceback
import unittest
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from tallystick.delivery.model import Answer, Instruction, Known, MessageIds, Original, Recovery, Verdict
from tallystick.errors import DeliveryError, NotSent, OutcomeUnknown
from tallystick.runtime import Millis
from tallystick.testing.bench import Behaviour, Bench
from tallystick.testing.laws import Law, LawBroken, require
from tallystick.vault.model import CardCredential

TOGETHER: Final = 8  # requests that are under way at the same time
STAN_APART: Final = 500_000  # trace numbers of a follow-up are this far from those of the request
STAN_COUNT: Final = 1_000_000
REVERSALS_MAX: Final = 3  # sends of one reversal
TURN_S: Final = 0.05  # s in which a request leaves, or a task ends, when nothing holds it up


@dataclass(frozen=True, slots=True)
class Ending:
    """How one delivery ended: an answer or an error."""

    answer: Answer | None = None
    error: BaseException | None = None

    def __str__(self) -> str:
        return type(self.error).__name__ if self.error is not None else f"{self.answer}"


class ConnectorConformance:
    """Every law of `delivery.ports.Connector`, as a test of its own; subclass it and give it a `bench`."""

    def bench(self) -> AbstractAsyncContextManager[Bench]:
        """Open a fresh connector with its back end; the suite opens one for each test and closes it."""
        raise NotImplementedError("a conformance test gives its own bench")

    async def test_an_approval_is_told_and_effective_once(self) -> None:
        """An answer is what the back end decided."""
        async with self.bench() as bench:
            instruction, ending = await _one(bench, Behaviour.APPROVE)
            told = ending.answer is not None and ending.answer.verdict is Verdict.APPROVED
            require(Law.TELLS, f"an approval ended as {ending}", holds=told)
            require(Law.ONCE, "an approval had no effect", holds=await bench.effective(instruction) == 1)

    async def test_a_decline_is_told_and_has_no_effect(self) -> None:
        """An answer is what the back end decided."""
        async with self.bench() as bench:
            instruction, ending = await _one(bench, Behaviour.DECLINE)
            told = ending.answer is not None and ending.answer.verdict is Verdict.DECLINED
            require(Law.TELLS, f"a decline ended as {ending}", holds=told)
            require(Law.ONCE, "a decline had an effect", holds=await bench.effective(instruction) == 0)

    async def test_silence_is_unknown(self) -> None:
        """Whatever happens after the first byte and is no verified answer is OutcomeUnknown."""
        await self._doubt(Behaviour.SILENT)

    async def test_a_late_answer_is_unknown_and_disturbs_no_other_request(self) -> None:
        """Whatever happens after the first byte and is no verified answer is OutcomeUnknown."""
        await self._doubt(Behaviour.LATE)

    async def test_a_forged_answer_is_unknown(self) -> None:
        """Whatever happens after the first byte and is no verified answer is OutcomeUnknown."""
        await self._doubt(Behaviour.FORGED)

    async def test_garbage_is_unknown(self) -> None:
        """Whatever happens after the first byte and is no verified answer is OutcomeUnknown."""
        await self._doubt(Behaviour.GARBAGE)

    async def test_a_connection_cut_after_the_send_is_unknown(self) -> None:
        """Whatever happens after the first byte and is no verified answer is OutcomeUnknown."""
        await self._doubt(Behaviour.CUT)

    async def test_an_answer_that_comes_twice_counts_once_and_for_its_own_request(self) -> None:
        """Requests under way together get each its own answer: the next one never takes what is left of the last."""
        async with self.bench() as bench:
            _skip_where_lacking(bench, Behaviour.TWICE)
            instruction, ending = await _one(bench, Behaviour.TWICE)
            told = ending.answer is not None and ending.answer.verdict is Verdict.APPROVED
            require(Law.TELLS, f"an approval that came twice ended as {ending}", holds=told)
            # where answers are known by their order only, the next one may end in doubt, but never as another's
            _, following = await _one(bench, Behaviour.DECLINE)
            own = following.answer is None or following.answer.verdict is Verdict.DECLINED
            require(Law.OWN_ANSWER, f"the decline after it ended as {following}", holds=own)
            await _still_works(bench)
            require(Law.ONCE, "the effect is not one", holds=await bench.effective(instruction) == 1)

    async def test_a_back_end_that_is_away_gets_nothing_and_works_when_it_is_back(self) -> None:
        """NotSent is raised only when the back end saw nothing of the request."""
        async with self.bench() as bench:
            await bench.unplug()
            instruction, ending = await _one(bench, Behaviour.APPROVE)
            sent = isinstance(ending.error, NotSent)
            require(Law.NOT_SENT_MEANS_NOTHING, f"no connection ended as {ending}, not as NotSent", holds=sent)
            await bench.plug_in()
            await _still_works(bench)
            require(
                Law.NOT_SENT_MEANS_NOTHING, "the request arrived later", holds=await bench.arrived(instruction) == 0
            )

    async def test_an_open_link_that_is_cut_between_requests_never_makes_two(self) -> None:
        """A request is never sent again by the connector itself."""
        async with self.bench() as bench:
            await _still_works(bench)
            await bench.unplug()
            await bench.plug_in()
            await _one(bench, Behaviour.APPROVE)  # it may find the old link broken, if it says so honestly
            await _still_works(bench)

    async def test_requests_under_way_together_get_their_own_answers(self) -> None:
        """Requests under way together get each its own answer."""
        async with self.bench() as bench:
            kinds = [Behaviour.APPROVE, Behaviour.DECLINE] * (TOGETHER // 2)
            instructions = [await bench.instruction(kind) for kind in kinds]
            endings = await asyncio.gather(*(_deliver(bench, each) for each in instructions))
            for kind, instruction, ending in zip(kinds, instructions, endings, strict=True):
                expected = Verdict.APPROVED if kind is Behaviour.APPROVE else Verdict.DECLINED
                own = ending.answer is not None and ending.answer.verdict is expected
                require(Law.OWN_ANSWER, f"{kind} ended as {ending}", holds=own)
                await _judge(bench, instruction, ending)

    async def test_a_silent_request_holds_up_no_other_one(self) -> None:
        """Requests under way together get each its own answer."""
        async with self.bench() as bench:
            _skip_where_lacking(bench, Behaviour.SILENT)
            silent = asyncio.create_task(_deliver(bench, await bench.instruction(Behaviour.SILENT)))
            await asyncio.sleep(TURN_S)
            await _still_works(bench)
            ending = await silent
            unknown = isinstance(ending.error, OutcomeUnknown)
            require(Law.OWN_ANSWER, f"silence beside an answer ended as {ending}", holds=unknown)

    async def test_a_cancelled_delivery_leaves_no_task_and_a_working_connector(self) -> None:
        """A delivery that is cancelled leaves no task behind."""
        before = asyncio.all_tasks()
        async with self.bench() as bench:
            _skip_where_lacking(bench, Behaviour.SILENT)
            instruction = await bench.instruction(Behaviour.SILENT)
            task = asyncio.create_task(bench.connector.deliver(instruction))
            await _until_arrived(bench, instruction)
            task.cancel()
            await asyncio.wait({task}, timeout=bench.patience_s)
            ended = task.cancelled() or (task.done() and isinstance(task.exception(), OutcomeUnknown))
            require(Law.CANCEL_LEAVES_NOTHING, "it did not end when it was cancelled", holds=ended)
            await _still_works(bench)
            await _judge(bench, instruction, Ending(error=OutcomeUnknown("cancelled")))
        left = await _left(before)
        require(Law.CANCEL_LEAVES_NOTHING, f"after aclose {left} tasks were left", holds=not left)

    async def test_a_request_that_may_be_retried_has_one_effect(self) -> None:
        """With Recovery.RETRY, a request sent again has one effect and gets one decision."""
        async with self.bench() as bench:
            _skip_without(bench, Recovery.RETRY)
            instruction, first = await _one(bench, Behaviour.APPROVE)
            second = await _deliver(bench, instruction)
            same = first.answer is not None and second.answer is not None and first.answer == second.answer
            require(Law.RETRY_IS_ONE, f"it ended as {first}, then as {second}", holds=same)
            one = await bench.effective(instruction) == 1
            require(Law.RETRY_IS_ONE, "the effect is not one", holds=one)

    async def test_an_inquiry_finds_what_took_effect_and_changes_nothing(self) -> None:
        """With Recovery.INQUIRY, what took effect is found."""
        async with self.bench() as bench:
            _skip_without(bench, Recovery.INQUIRY)
            for behaviour, expected in ((Behaviour.APPROVE, Known.APPROVED), (Behaviour.DECLINE, Known.DECLINED)):
                instruction, _ = await _one(bench, behaviour)
                before = await bench.effective(instruction)
                found = await bench.connector.inquire(_original(bench, instruction), _ids(instruction, 2))
                require(Law.INQUIRY_FINDS, f"{behaviour} was found as {found.known}", holds=found.known is expected)
                same = await bench.effective(instruction) == before
                require(Law.INQUIRY_HAS_NO_EFFECT, "the effect changed", holds=same)

    async def test_an_inquiry_about_a_request_that_never_arrived_makes_none(self) -> None:
        """An inquiry never makes an authorisation effective."""
        async with self.bench() as bench:
            _skip_without(bench, Recovery.INQUIRY)
            instruction = await bench.instruction(Behaviour.APPROVE)
            found = await bench.connector.inquire(_original(bench, instruction), _ids(instruction, 2))
            none = await bench.effective(instruction) == 0
            require(Law.INQUIRY_HAS_NO_EFFECT, "an inquiry made an authorisation", holds=none)
            wrong = found.known is Known.APPROVED
            require(Law.INQUIRY_FINDS, f"nothing arrived and was found as {found.known}", holds=not wrong)

    async def test_a_reversal_undoes_and_may_be_repeated(self) -> None:
        """With Recovery.REVERSAL, an acknowledged reversal leaves no effect."""
        async with self.bench() as bench:
            _skip_without(bench, Recovery.REVERSAL)
            behaviour = Behaviour.APPROVE if Behaviour.SILENT in bench.lacks else Behaviour.SILENT
            instruction, _ = await _one(bench, behaviour)
            original, ids = _original(bench, instruction), _ids(instruction, 2)
            await _reverse(bench, original, ids)
            undone = await bench.effective(instruction) == 0
            require(Law.REVERSAL_UNDOES, "the authorisation still stands", holds=undone)
            await bench.connector.reverse(original, ids, repeat=True)
            same = await bench.effective(instruction) == 0
            require(Law.REVERSAL_REPEATS, "the repeat changed the effect", holds=same)

    async def test_a_request_that_arrives_after_its_reversal_has_no_effect(self) -> None:
        """After an acknowledged reversal the request has no effect, also if it arrives only then."""
        async with self.bench() as bench:
            _skip_without(bench, Recovery.REVERSAL)
            instruction = await bench.instruction(Behaviour.APPROVE)
            await _reverse(bench, _original(bench, instruction), _ids(instruction, 2))
            await _deliver(bench, instruction)
            none = await bench.effective(instruction) == 0
            require(Law.REVERSAL_STANDS, "it took effect after it was reversed", holds=none)

    async def test_an_echo_tells_whether_the_back_end_answers(self) -> None:
        """An echo succeeds when the back end answers, and raises DeliveryError when it does not."""
        async with self.bench() as bench:
            await bench.connector.echo()
            await bench.unplug()
            try:
                await bench.connector.echo()
            except DeliveryError as error:
                _says_no_secret(bench, error)
            else:
                raise LawBroken(Law.ECHO_PROVES, "it succeeded without a back end")
            await bench.plug_in()
            await bench.connector.echo()

    async def test_closing_ends_what_is_under_way_and_refuses_what_comes_later(self) -> None:
        """Aclose ends requests under way as OutcomeUnknown and later ones as NotSent, and may be repeated."""
        before = asyncio.all_tasks()
        async with self.bench() as bench:
            _skip_where_lacking(bench, Behaviour.SILENT)
            instruction = await bench.instruction(Behaviour.SILENT)
            task = asyncio.create_task(_deliver(bench, instruction))
            await _until_arrived(bench, instruction)
            await bench.connector.aclose()
            ending = await task
            unknown = isinstance(ending.error, OutcomeUnknown)
            require(Law.CLOSE_ENDS, f"a request under way ended as {ending}", holds=unknown)
            later, refused = await _one(bench, Behaviour.APPROVE)
            nothing = isinstance(refused.error, NotSent) and await bench.arrived(later) == 0
            require(Law.CLOSE_ENDS, f"a later request ended as {refused}", holds=nothing)
            await bench.connector.aclose()
        left = await _left(before)
        require(Law.CLOSE_ENDS, f"{left} tasks were left", holds=not left)

    async def _doubt(self, behaviour: Behaviour) -> None:
        async with self.bench() as bench:
            _skip_where_lacking(bench, behaviour)
            instruction, ending = await _one(bench, behaviour)
            unknown = isinstance(ending.error, OutcomeUnknown)
            require(Law.DOUBT_IS_UNKNOWN, f"{behaviour} ended as {ending}", holds=unknown)
            if behaviour is Behaviour.LATE:
                await asyncio.sleep(bench.patience_s)
            await _still_works(bench)
            await _judge(bench, instruction, ending)


async def _one(bench: Bench, behaviour: Behaviour) -> tuple[Instruction, Ending]:
    """Deliver one new instruction and judge how it ended by every law that always holds."""
    instruction = await bench.instruction(behaviour)
    ending = await _deliver(bench, instruction)
    await _judge(bench, instruction, ending)
    return instruction, ending


async def _deliver(bench: Bench, instruction: Instruction) -> Ending:
    try:
        async with asyncio.timeout(bench.patience_s):
            try:
                return Ending(answer=await bench.connector.deliver(instruction))
            except Exception as error:  # noqa: BLE001 - `_judge` says which errors are right
                return Ending(error=error)
    except TimeoutError as slow:
        raise LawBroken(Law.DOUBT_IS_UNKNOWN, f"it took longer than {bench.patience_s} s") from slow


async def _reverse(bench: Bench, original: Original, ids: MessageIds) -> None:
    """Reverse as delivery does: again under the same identifiers until it is acknowledged."""
    for attempt in range(REVERSALS_MAX):
        try:
            await bench.connector.reverse(original, ids, repeat=attempt > 0)
        except DeliveryError as error:
            _says_no_secret(bench, error)
        else:
            return
    raise LawBroken(Law.REVERSAL_UNDOES, f"{REVERSALS_MAX} reversals were not acknowledged")


async def _judge(bench: Bench, instruction: Instruction, ending: Ending) -> None:
    arrived, effective = await bench.arrived(instruction), await bench.effective(instruction)
    if ending.error is not None:
        require(Law.STRAIGHT_ERRORS, f"it raised {ending}", holds=isinstance(ending.error, DeliveryError))
        _says_no_secret(bench, ending.error)
    if isinstance(ending.error, NotSent):
        require(Law.NOT_SENT_MEANS_NOTHING, f"it arrived {arrived} times", holds=arrived == 0)
    require(Law.NEVER_RESENDS, f"it arrived {arrived} times", holds=arrived <= 1)
    require(Law.ONCE, f"there are {effective}", holds=effective <= 1)


def _says_no_secret(bench: Bench, error: BaseException) -> None:
    """Look through an error, all that led to it, and the connector's own text."""
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(bench.connector)
    said = [place for place, secret in enumerate(bench.secrets) if secret and secret in told]
    require(Law.SAYS_NO_SECRET, f"{type(error).__name__} says the bench's secrets {said}", holds=not said)


async def _still_works(bench: Bench) -> None:
    _, ending = await _one(bench, Behaviour.APPROVE)
    require(Law.GOES_ON, f"the next approval ended as {ending}", holds=ending.answer is not None)


async def _until_arrived(bench: Bench, instruction: Instruction) -> None:
    async with asyncio.timeout(bench.patience_s):
        while not await bench.arrived(instruction):  # noqa: ASYNC110 - a bench may count in another process
            await asyncio.sleep(TURN_S)


async def _left(before: set["asyncio.Task[object]"]) -> int:
    """Count the tasks that are there still, and were not before, once everything had its time to end."""
    for _ in range(round(1 / TURN_S)):
        left = asyncio.all_tasks() - before
        if not left:
            return 0
        await asyncio.sleep(TURN_S)
    return len(asyncio.all_tasks() - before)


def _original(bench: Bench, instruction: Instruction) -> Original:
    """Keep of a request what delivery keeps: the card number only for a connector that says it needs it."""
    card = instruction.credential
    kept = bench.connector.keeps_account and isinstance(card, CardCredential)
    return Original(
        payment_id=instruction.payment_id,
        order=instruction.order,
        ids=instruction.ids,
        account=card.pan if kept and isinstance(card, CardCredential) else None,
    )


def _ids(instruction: Instruction, n: int) -> MessageIds:
    """Make the identifiers of another request of the same payment."""
    ids = instruction.ids
    stan = f"{(int(ids.stan) + STAN_APART * n) % STAN_COUNT:06d}"
    return replace(ids, stan=stan, rrn=f"{ids.rrn[:-6]}{stan}", key=f"{ids.key[:-1]}{n}", at=Millis(ids.at + 1))


def _skip_without(bench: Bench, recovery: Recovery) -> None:
    if recovery not in bench.connector.recovery:
        raise unittest.SkipTest(f"the connector does not declare {recovery}")


def _skip_where_lacking(bench: Bench, behaviour: Behaviour) -> None:
    if behaviour in bench.lacks:
        raise unittest.SkipTest(f"this back end gives not: {behaviour}: {bench.lacks[behaviour]}")
