"""The bounds of a back end: what is refused, what is counted, and how a circuit opens and closes."""

import asyncio

import pytest
from msgspec import structs

from tallystick.assembly.facts import Order
from tallystick.delivery.guard import OPEN_FIRST_MS, OPEN_MAX_MS, GuardedConnector
from tallystick.delivery.model import Answer, Instruction, MessageIds, Original
from tallystick.errors import NotSent, OutcomePending, OutcomeUnknown, Unfit
from tallystick.routing.model import BackEnd, Status
from tallystick.runtime import Millis
from tallystick.secret import Pan
from tallystick.testing.clock import START, VirtualClock
from tallystick.testing.connector import APPROVED, DECLINED, HANG, ScriptedConnector, Step
from tallystick.testing.nodes import SteadyNode
from tallystick.vault.model import CardCredential

IDS = MessageIds(stan="000001", rrn="701508000001", key="req_1", at=START)
ORDER = Order(payee="Tea House", amount=1250, currency="CNY")
INSTRUCTION = Instruction(
    payment_id="pay_1", order=ORDER, ids=IDS, credential=CardCredential(pan=Pan("4111111111111111"))
)
FAILURES_MAX = 5
NODE = SteadyNode()
BACK_END = BackEnd(id="10000001", name="Bank", connector="scripted", status=Status.ACTIVE, schemes=frozenset())


def guarded(
    *script: Step, otherwise: Step = APPROVED, node: SteadyNode = NODE, **bounds: int
) -> tuple[GuardedConnector, ScriptedConnector, VirtualClock]:
    inner, clock = ScriptedConnector(*script, otherwise=otherwise), VirtualClock()
    facts = {"in_flight_max": 256, "per_second_max": 0, **bounds}
    back_end = BackEnd(
        id=BACK_END.id,
        name=BACK_END.name,
        connector=BACK_END.connector,
        status=BACK_END.status,
        schemes=BACK_END.schemes,
        **facts,
    )
    return GuardedConnector(inner, back_end, clock, node), inner, clock


async def fail(guard: GuardedConnector, times: int, error: type[Exception] = OutcomeUnknown) -> None:
    for _ in range(times):
        with pytest.raises(error):
            await guard.deliver(INSTRUCTION)


async def test_failures_in_a_row_open_the_circuit_and_nothing_is_sent_while_it_is_open() -> None:
    guard, inner, clock = guarded(otherwise=OutcomeUnknown("time-out"))
    await fail(guard, FAILURES_MAX)
    await fail(guard, 3, NotSent)
    assert FAILURES_MAX == len(inner.instructions)
    await clock.advance(OPEN_FIRST_MS - 1)
    await fail(guard, 1, NotSent)
    assert FAILURES_MAX == len(inner.instructions)


async def test_a_trial_that_succeeds_closes_the_circuit() -> None:
    guard, inner, clock = guarded(*[OutcomeUnknown("time-out")] * FAILURES_MAX)
    await fail(guard, FAILURES_MAX)
    await clock.advance(OPEN_FIRST_MS)
    for _ in range(3):
        assert APPROVED == await guard.deliver(INSTRUCTION)
    assert FAILURES_MAX + 3 == len(inner.instructions)


async def test_each_trial_that_fails_doubles_the_wait_up_to_its_bound() -> None:
    guard, inner, clock = guarded(otherwise=NotSent("no connection"))
    await fail(guard, FAILURES_MAX, NotSent)
    wait = OPEN_FIRST_MS
    for sent in range(FAILURES_MAX, FAILURES_MAX + 6):
        await clock.advance(wait - 1)
        await fail(guard, 1, NotSent)
        assert sent == len(inner.instructions)
        await clock.advance(1)
        await fail(guard, 1, NotSent)
        wait = min(2 * wait, OPEN_MAX_MS)
    assert OPEN_MAX_MS == wait


async def test_only_one_request_is_the_trial() -> None:
    guard, inner, clock = guarded(*[OutcomeUnknown("time-out")] * FAILURES_MAX, otherwise=HANG)
    await fail(guard, FAILURES_MAX)
    await clock.advance(OPEN_FIRST_MS)
    trial = asyncio.create_task(guard.deliver(INSTRUCTION))
    await asyncio.sleep(0)
    await fail(guard, 5, NotSent)
    assert FAILURES_MAX + 1 == len(inner.instructions)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    next_trial = asyncio.create_task(guard.deliver(INSTRUCTION))
    await asyncio.sleep(0)
    assert FAILURES_MAX + 2 == len(inner.instructions)
    next_trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await next_trial


@pytest.mark.parametrize("healthy", [APPROVED, DECLINED, OutcomePending("later")], ids=["approve", "decline", "later"])
async def test_any_answer_of_the_back_end_ends_the_row_of_failures(healthy: Step) -> None:
    row = [OutcomeUnknown("time-out")] * (FAILURES_MAX - 1)
    guard, _, _ = guarded(*row, healthy, *row)
    await fail(guard, len(row))
    await asyncio.gather(guard.deliver(INSTRUCTION), return_exceptions=True)
    await fail(guard, len(row))
    assert APPROVED == await guard.deliver(INSTRUCTION)


async def test_an_instruction_that_does_not_fit_says_nothing_about_the_back_end() -> None:
    guard, inner, _ = guarded(*[Unfit("cards only")] * 3 * FAILURES_MAX)
    await fail(guard, 3 * FAILURES_MAX, Unfit)
    assert APPROVED == await guard.deliver(INSTRUCTION)
    assert 3 * FAILURES_MAX + 1 == len(inner.instructions)


async def test_no_more_requests_are_under_way_than_the_back_end_may_have() -> None:
    guard, inner, _ = guarded(otherwise=HANG, in_flight_max=2)
    tasks = [asyncio.create_task(guard.deliver(INSTRUCTION)) for _ in range(5)]
    for _ in range(5):
        await asyncio.sleep(0)
    refused = [task for task in tasks if task.done()]
    assert (3, 2) == (len(refused), len(inner.instructions))
    assert {NotSent} == {type(task.exception()) for task in refused}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert 0 == guard.in_flight


async def test_requests_take_turns_under_a_rate_and_those_too_far_back_are_not_sent() -> None:
    guard, inner, clock = guarded(per_second_max=10)
    tasks = [asyncio.create_task(guard.deliver(INSTRUCTION)) for _ in range(20)]
    sent = []
    for _ in range(13):
        for _ in range(5):
            await asyncio.sleep(0)
        sent.append(len(inner.instructions))
        await clock.advance(100)
    assert list(range(1, 12)) == sent[:11]
    endings = await asyncio.gather(*tasks, return_exceptions=True)
    assert (11, 9) == (endings.count(APPROVED), sum(isinstance(ending, NotSent) for ending in endings))


async def test_of_several_nodes_each_keeps_to_its_share_of_the_bounds() -> None:
    node = SteadyNode(peers=4)
    guard, inner, clock = guarded(otherwise=HANG, in_flight_max=10, node=node)
    tasks = [asyncio.create_task(guard.deliver(INSTRUCTION)) for _ in range(10)]
    await asyncio.sleep(0)
    assert 3 == len(inner.instructions)
    node.peers = 1
    tasks += [asyncio.create_task(guard.deliver(INSTRUCTION)) for _ in range(10)]
    await asyncio.sleep(0)
    assert 10 == len(inner.instructions)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    slow, inner, clock = guarded(per_second_max=40, node=SteadyNode(peers=4))
    tasks = [asyncio.create_task(slow.deliver(INSTRUCTION)) for _ in range(20)]
    await asyncio.sleep(0)
    await clock.advance(999)
    assert 10 == len(inner.instructions)
    await clock.advance(1_000)
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_changed_bounds_count_from_the_next_request_on() -> None:
    guard, _, _ = guarded(in_flight_max=0)
    await fail(guard, 1, NotSent)
    guard.bound_by(BACK_END)
    assert APPROVED == await guard.deliver(INSTRUCTION)


async def test_reversals_pass_while_the_circuit_is_open() -> None:
    guard, inner, _ = guarded(otherwise=OutcomeUnknown("time-out"))
    await fail(guard, FAILURES_MAX)
    original = Original(payment_id="pay_1", order=ORDER, ids=IDS)
    assert "00" == await guard.reverse(original, IDS, repeat=False)
    assert 1 == len(inner.reversed)


async def test_an_echo_that_succeeds_makes_a_trial_due_at_once() -> None:
    guard, inner, _ = guarded(*[OutcomeUnknown("time-out")] * FAILURES_MAX)
    await fail(guard, FAILURES_MAX)
    await guard.echo()
    assert APPROVED == await guard.deliver(INSTRUCTION)
    assert FAILURES_MAX + 1 == len(inner.instructions)


async def test_a_request_of_before_the_circuit_opened_ends_without_ending_the_trial() -> None:
    slow: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def wait(_: Instruction) -> Answer:
        return await slow

    guard, inner, clock = guarded(wait, *[OutcomeUnknown("time-out")] * FAILURES_MAX, otherwise=HANG)
    early = asyncio.create_task(guard.deliver(INSTRUCTION))
    await asyncio.sleep(0)
    await fail(guard, FAILURES_MAX)
    await clock.advance(OPEN_FIRST_MS)
    trial = asyncio.create_task(guard.deliver(INSTRUCTION))
    await asyncio.sleep(0)
    slow.set_exception(OutcomeUnknown("time-out"))
    await asyncio.gather(early, return_exceptions=True)
    assert OPEN_FIRST_MS == guard.breaker.opened_ms
    await clock.advance(OPEN_MAX_MS)
    await fail(guard, 3, NotSent)
    assert FAILURES_MAX + 2 == len(inner.instructions)
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)


@pytest.mark.parametrize("rate", [7, 600, 1_500])
async def test_a_high_rate_is_kept_as_exactly_as_a_low_one(rate: int) -> None:
    guard, inner, clock = guarded(per_second_max=rate, in_flight_max=4 * rate)
    tasks = [asyncio.create_task(guard.deliver(INSTRUCTION)) for _ in range(3 * rate)]
    await asyncio.sleep(0)
    await clock.advance(999)
    await asyncio.sleep(0)
    assert 0.99 * rate <= len(inner.instructions) <= rate
    await clock.advance(1_000)
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_nothing_is_sent_when_the_turn_comes_after_the_payments_time() -> None:
    guard, inner, clock = guarded(per_second_max=1)
    expiring = structs.replace(INSTRUCTION, expires_at=Millis(START + 1_000))
    assert APPROVED == await guard.deliver(expiring)
    late = asyncio.create_task(guard.deliver(expiring))
    await asyncio.sleep(0)
    await clock.advance(1_000)
    with pytest.raises(NotSent):
        await late
    assert 1 == len(inner.instructions)


async def test_a_clock_that_is_set_back_makes_no_request_wait_for_its_old_turn() -> None:
    guard, inner, clock = guarded(per_second_max=1)
    assert APPROVED == await guard.deliver(INSTRUCTION)
    clock._now = Millis(START - 3_600_000)
    assert APPROVED == await guard.deliver(INSTRUCTION)
    assert 2 == len(inner.instructions)


async def test_a_clock_that_is_set_back_does_not_keep_the_circuit_open() -> None:
    guard, inner, clock = guarded(*[OutcomeUnknown("time-out")] * FAILURES_MAX)
    await fail(guard, FAILURES_MAX)
    clock._now = Millis(START - 3_600_000)
    assert APPROVED == await guard.deliver(INSTRUCTION)
    assert FAILURES_MAX + 1 == len(inner.instructions)


async def test_requests_that_left_are_counted_by_how_they_ended_and_no_others() -> None:
    script = (APPROVED, DECLINED, OutcomePending("later"), OutcomeUnknown("time-out"), Unfit("no such card"))
    guard, _, _ = guarded(*script, otherwise=OutcomeUnknown("time-out"))
    await guard.deliver(INSTRUCTION)
    await guard.deliver(INSTRUCTION)
    await fail(guard, 1, OutcomePending)
    await fail(guard, 1)
    await fail(guard, 1, Unfit)
    assert {"answered": 3, "failed": 1} == guard.ended
    await fail(guard, FAILURES_MAX - 1)
    await fail(guard, 1, NotSent)
    assert {"answered": 3, "failed": FAILURES_MAX} == guard.ended
