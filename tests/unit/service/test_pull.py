"""A back end that fetches: handed out once, withdrawn with proof, settled by its own word only."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from pull_world import BANK, CARD, OTHER, PAN, World, follow_up, open_world, original

from tallystick.assembly.facts import PaymentState
from tallystick.crypto.jose import JweKey
from tallystick.delivery import pull, pull_queue
from tallystick.delivery.model import (
    Answer,
    Finding,
    Instruction,
    Known,
    PullState,
    Recovery,
    Verdict,
)
from tallystick.delivery.pull_queue import PullQueue
from tallystick.errors import NotSent, OutcomeUnknown, ReversalRefused, StoreFailed, Unfit
from tallystick.sdk.deliveries import Fetched, ToReverse
from tallystick.sdk.errors import PlatformProblem
from tallystick.secret import Pan, Secret
from tallystick.service.pull import POLLS_MAX
from tallystick.vault.model import AccountCredential, CardCredential
from tallystick.wire import pull as wire
from tallystick.wire.rest import WireCard

MANUAL = {"visible_s": 5.0, "patience_s": 5.0}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as made:
        yield made


async def offered(world: World, **settings: Any) -> tuple[Instruction, "asyncio.Task[Answer]"]:
    """Start a delivery and wait until it can be fetched."""
    instruction = await world.instruction()
    task = asyncio.create_task(world.connector(**{**MANUAL, **settings}).deliver(instruction))
    async with asyncio.timeout(5):
        while await world.row(instruction) is None:  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0.01)
    return instruction, task


async def fetched(world: World, **settings: Any) -> tuple[Instruction, "asyncio.Task[Answer]"]:
    """Start a delivery and let the back end fetch it."""
    instruction, task = await offered(world, **settings)
    assert isinstance(await world.deliveries().next(0), Fetched)
    return instruction, task


async def refused(call: Any) -> str:
    with pytest.raises(PlatformProblem) as problem:
        await call
    return problem.value.code


# Handing out


async def test_nothing_is_handed_out_once_its_payment_is_over(world: World) -> None:
    instruction = await world.instruction()
    over = msgspec.structs.replace(instruction, expires_at=world.clock.now())
    with pytest.raises(NotSent):
        await world.connector(**MANUAL).deliver(over)
    assert None is await world.deliveries().next(0)


async def test_a_fetched_delivery_has_the_order_and_the_card_and_its_outcome_is_the_answer(world: World) -> None:
    instruction, task = await offered(world)
    job = await world.deliveries().next()
    assert isinstance(job, Fetched)
    assert (instruction.ids.key, 1250, "Tea House", "CNY") == (
        job.key,
        job.order.amount,
        job.order.payee,
        job.order.currency,
    )
    assert WireCard(pan=CARD.pan, expiry=CARD.expiry) == job.credential
    assert world.clock.now() < job.answer_by <= world.clock.now() + 5_000
    assert "done" == await world.deliveries().approve(job.key, approval="031337")
    assert Answer(verdict=Verdict.APPROVED, code="00", approval="031337") == await task
    assert PaymentState.APPROVED is await world.state(instruction)


async def test_what_another_node_offers_is_handed_out_here_and_its_outcome_reaches_that_node(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the store is common to the two: each hears of the other by a look at it."""
    monkeypatch.setattr(pull_queue, "LOOK_S", 0.02)
    poll = asyncio.create_task(world.deliveries().next(20))
    await asyncio.sleep(0.05)
    there = replace(world, queue=PullQueue(world.memory.store, world.memory.keyring, world.clock))
    instruction = await world.instruction()
    task = asyncio.create_task(there.connector(**MANUAL).deliver(instruction))
    job = await poll
    assert isinstance(job, Fetched)
    assert "done" == await world.deliveries().approve(job.key)
    assert Verdict.APPROVED is (await task).verdict


async def test_a_decline_is_the_answer_too(world: World) -> None:
    instruction, task = await fetched(world)
    await world.deliveries().decline(instruction.ids.key, code="51")
    assert Answer(verdict=Verdict.DECLINED, code="51") == await task
    assert PaymentState.DECLINED is await world.state(instruction)


async def test_of_many_polls_at_once_one_gets_the_delivery(world: World) -> None:
    polls = [asyncio.create_task(world.deliveries().next(1)) for _ in range(5)]
    await asyncio.sleep(0.05)
    instruction, task = await offered(world)
    jobs = [await poll for poll in polls]
    assert [instruction.ids.key] == [job.key for job in jobs if job is not None]
    task.cancel()


async def test_a_poll_is_answered_as_soon_as_there_is_something(world: World) -> None:
    started = time.monotonic()
    poll = asyncio.create_task(world.deliveries().next(20))
    await asyncio.sleep(0.05)
    _, task = await offered(world)
    assert await poll is not None
    assert time.monotonic() - started < 10
    task.cancel()


async def test_a_poll_that_finds_nothing_ends_with_nothing(world: World) -> None:
    assert await world.deliveries().next(0) is None
    assert await world.deliveries().next(1) is None


async def test_a_repeated_poll_gets_the_same_delivery_and_no_other_poll_does(world: World) -> None:
    instruction, task = await offered(world)
    deliveries = world.deliveries()
    first = await deliveries.next(0, idempotency_key="poll-1")
    again = await deliveries.next(0, idempotency_key="poll-1")
    assert isinstance(first, Fetched)
    assert isinstance(again, Fetched)
    assert (instruction.ids.key, first) == (first.key, again)
    assert await deliveries.next(0, idempotency_key="poll-2") is None
    task.cancel()


async def test_a_delivery_is_for_its_own_back_end_only(world: World) -> None:
    _, task = await offered(world)
    assert await world.deliveries(OTHER).next(0) is None
    assert await world.deliveries(BANK).next(0) is not None
    task.cancel()


async def test_a_credential_sealed_for_another_key_does_not_open(world: World) -> None:
    _, task = await offered(world, encryption_jwk=JweKey.generate("enc-1").public_jwk())
    job = await world.deliveries().next(0)
    assert isinstance(job, Fetched)
    assert job.credential is None
    task.cancel()


async def test_a_caller_who_has_gone_is_handed_nothing(world: World) -> None:
    """A poll of a back end that died must not swallow a delivery."""
    poll = asyncio.create_task(world.deliveries().next(20))
    await asyncio.sleep(0.05)
    poll.cancel()
    instruction, task = await offered(world)
    await asyncio.sleep(0.2)
    job = await world.deliveries().next(0)
    assert isinstance(job, Fetched)
    assert instruction.ids.key == job.key
    task.cancel()


async def test_a_back_end_holds_a_bounded_number_of_polls_open(world: World) -> None:
    polls = [asyncio.create_task(world.deliveries().next(2)) for _ in range(POLLS_MAX)]
    await asyncio.sleep(0.1)
    client = world.client()
    with pytest.raises(PlatformProblem) as problem:
        async with asyncio.timeout(20):
            await client.post(wire.NEXT, wire.Poll(wait=0), wire.Work)
    assert "too_many" == problem.value.code
    for poll in polls:
        poll.cancel()


async def test_polls_end_when_the_process_does(world: World) -> None:
    poll = asyncio.create_task(world.deliveries().next(20))
    await asyncio.sleep(0.05)
    world.queue.close()
    async with asyncio.timeout(5):
        assert await poll is None


@pytest.mark.parametrize("target", [wire.NEXT, "/v1/deliveries/req_1_1/outcome", "/v1/deliveries/req_1_1/reversal"])
async def test_a_channel_may_not_call_what_is_for_institutions(world: World, target: str) -> None:
    assert "certificate_wrong_purpose" == await refused(world.client("pc").post(target, wire.Poll(), wire.Work))


async def test_a_message_of_a_wrong_form_is_refused_and_takes_nothing(world: World) -> None:
    instruction, task = await offered(world)
    for content in (wire.Undone(v=1, result="reversed", code="00"), wire.Noted(state="x")):
        assert "malformed" == await refused(world.client().post(wire.NEXT, content, wire.Work))
    row = await world.row(instruction)
    assert row is not None
    assert PullState.WAITING is row.state
    task.cancel()


# Withdrawing


async def test_what_was_not_fetched_in_time_was_not_sent_and_never_will_be(world: World) -> None:
    instruction = await world.instruction()
    with pytest.raises(NotSent):
        await world.connector(visible_s=0.1, patience_s=5.0).deliver(instruction)
    row = await world.row(instruction)
    assert row is not None
    assert (PullState.WITHDRAWN, None) == (row.state, row.body)
    assert await world.deliveries().next(0) is None
    assert "conflict" == await refused(world.deliveries().approve(instruction.ids.key))
    with pytest.raises(NotSent):
        await world.connector(**MANUAL).deliver(instruction)


async def test_handing_out_and_withdrawing_compete_and_one_wins(world: World) -> None:
    for _ in range(20):
        instruction, task = await offered(world)
        job, row = await asyncio.gather(world.deliveries().next(0), world.queue.withdraw(instruction.ids.key))
        assert row is not None
        assert (job is None) == (row.state is PullState.WITHDRAWN)
        task.cancel()


async def test_a_credential_the_back_end_does_not_take_is_unfit_and_written_nowhere(world: World) -> None:
    account = AccountCredential(account=Secret("qianbao:alice"), secret=Secret("secret"))
    long = CardCredential(pan=Pan("4" * 1_000))
    for credential in (account, long):
        instruction = await world.instruction(credential=credential)
        with pytest.raises(Unfit) as unfit:
            await world.connector().deliver(instruction)
        assert await world.row(instruction) is None
        assert "4444" not in str(unfit.value)
        assert unfit.value.__context__ is None


async def test_a_closed_connector_sends_nothing_and_withdraws_what_was_not_fetched(world: World) -> None:
    instruction = await world.instruction()
    connector = world.connector(**MANUAL)
    task = asyncio.create_task(connector.deliver(instruction))
    await asyncio.sleep(0.05)
    await connector.aclose()
    for ending in (task, connector.deliver(await world.instruction())):
        with pytest.raises(NotSent):
            await ending
    assert await world.deliveries().next(0) is None


# In doubt


async def test_what_was_fetched_and_not_told_is_unknown_until_its_outcome_is_told_late(world: World) -> None:
    instruction, task = await fetched(world, visible_s=0.3, patience_s=0.3)
    with pytest.raises(OutcomeUnknown):
        await task
    assert PaymentState.DELIVERING is await world.state(instruction)
    assert "done" == await world.deliveries().approve(instruction.ids.key)
    assert PaymentState.APPROVED is await world.state(instruction)


async def test_an_outcome_is_told_once_and_may_be_repeated_but_not_changed(world: World) -> None:
    instruction, task = await fetched(world)
    deliveries, key = world.deliveries(), instruction.ids.key
    assert ["done", "done"] == [await deliveries.approve(key), await deliveries.approve(key)]
    assert "conflict" == await refused(deliveries.decline(key, code="51"))
    assert Verdict.APPROVED is (await task).verdict
    assert PaymentState.APPROVED is await world.state(instruction)


async def test_an_outcome_counts_only_from_the_back_end_it_was_handed_to(world: World) -> None:
    instruction, task = await fetched(world)
    assert "not_found" == await refused(world.deliveries(OTHER).approve(instruction.ids.key))
    assert "not_found" == await refused(world.deliveries().approve("req_unknown_1"))
    row = await world.row(instruction)
    assert row is not None
    assert PullState.TAKEN is row.state
    task.cancel()


async def test_an_inquiry_withdraws_what_waits_and_tells_what_is_recorded(world: World) -> None:
    async def find(instruction: Instruction) -> Finding:
        return await world.connector().inquire(original(instruction), follow_up(instruction))

    assert Finding(known=Known.NOT_FOUND) == await find(await world.instruction())
    waiting, lost = await offered(world)
    lost.cancel()
    assert Finding(known=Known.REVERSED) == await find(waiting)
    assert await world.deliveries().next(0) is None
    taken, task = await fetched(world)
    assert Finding(known=Known.PENDING) == await find(taken)
    await world.deliveries().decline(taken.ids.key, code="51")
    assert Finding(known=Known.DECLINED, code="51") == await find(taken)
    await task


# Reversing


async def ask_back(world: World, instruction: Instruction, **settings: Any) -> str:
    return await world.connector(**settings).reverse(original(instruction), follow_up(instruction), repeat=False)


async def test_a_reversal_of_what_never_left_is_done_at_once_and_for_ever(world: World) -> None:
    instruction = await world.instruction()
    assert "00" == await ask_back(world, instruction)
    with pytest.raises(NotSent):
        await world.connector().deliver(instruction)
    waiting, task = await offered(world)
    assert "00" == await ask_back(world, waiting)
    with pytest.raises(NotSent):
        await task


async def test_a_reversal_is_told_to_the_back_end_again_until_it_is_acknowledged(world: World) -> None:
    instruction, task = await fetched(world, visible_s=0.2, patience_s=0.2)
    with pytest.raises(OutcomeUnknown):
        await task
    with pytest.raises(OutcomeUnknown):
        await ask_back(world, instruction)
    deliveries, job = world.deliveries(), ToReverse(key=instruction.ids.key)
    assert [job, None] == [await deliveries.next(0), await deliveries.next(0)]
    world.clock.offset += pull.REMIND_MS
    assert job == await deliveries.next(0)
    assert "cancelled" == await deliveries.reversed(job.key, code="25")
    world.clock.offset += pull.REMIND_MS
    assert await deliveries.next(0) is None
    assert "25" == await ask_back(world, instruction)
    assert Finding(known=Known.REVERSED, code="25") == await world.connector().inquire(
        original(instruction), follow_up(instruction)
    )


async def test_an_acknowledgement_in_time_ends_the_call_that_waits_for_it(world: World) -> None:
    instruction, task = await fetched(world)
    reversal = asyncio.create_task(ask_back(world, instruction, **MANUAL))
    job = await world.deliveries().next()
    assert isinstance(job, ToReverse)
    await world.deliveries().reversed(job.key)
    assert "00" == await reversal
    with pytest.raises(OutcomeUnknown):
        await task


async def test_a_reversal_that_is_refused_is_not_repeated(world: World) -> None:
    instruction, task = await fetched(world)
    reversal = asyncio.create_task(ask_back(world, instruction, **MANUAL))
    job = await world.deliveries().next()
    assert isinstance(job, ToReverse)
    assert "cancel_refused" == await world.deliveries().refuse_reversal(job.key, code="12")
    assert "cancel_refused" == await world.deliveries().reversed(job.key)
    for _ in range(2):
        with pytest.raises(ReversalRefused):
            await reversal
    task.cancel()


async def test_an_outcome_told_after_its_reversal_was_asked_settles_nothing(world: World) -> None:
    instruction, task = await fetched(world, visible_s=0.2, patience_s=0.2)
    with pytest.raises(OutcomeUnknown):
        await task
    with pytest.raises(OutcomeUnknown):
        await ask_back(world, instruction)
    assert "cancel_asked" == await world.deliveries().approve(instruction.ids.key)
    assert PaymentState.DELIVERING is await world.state(instruction)


async def test_a_reversal_nobody_asked_for_is_a_conflict(world: World) -> None:
    instruction, task = await fetched(world)
    assert "conflict" == await refused(world.deliveries().reversed(instruction.ids.key))
    task.cancel()


# What is kept


async def test_what_waits_is_sealed_and_gone_once_it_was_fetched(world: World) -> None:
    instruction, task = await offered(world)
    row = await world.row(instruction)
    assert row is not None
    assert row.body is not None
    assert b"Tea House" not in row.body
    assert PAN not in repr(row)
    assert b"Tea House" in world.queue.body(row)
    assert PAN.encode() not in world.queue.body(row)
    await world.deliveries().next(0)
    taken = await world.row(instruction)
    assert taken is not None
    assert taken.body is None
    task.cancel()


async def test_an_echo_needs_a_poll_not_long_ago(world: World) -> None:
    with pytest.raises(NotSent):
        await world.connector().echo()
    await world.deliveries().next(0)
    await world.connector().echo()
    world.clock.offset += 61_000
    with pytest.raises(NotSent):
        await world.connector().echo()


async def test_a_store_that_fails_leaves_the_outcome_unknown(world: World) -> None:
    instruction = await world.instruction()
    await world.memory.store.aclose()
    with pytest.raises(OutcomeUnknown) as unknown:
        await world.connector().deliver(instruction)
    assert isinstance(unknown.value.__cause__, StoreFailed)


def test_the_connector_declares_what_it_can_do(world: World) -> None:
    assert frozenset({Recovery.INQUIRY, Recovery.REVERSAL}) == world.connector().recovery
    assert not world.connector().keeps_account
