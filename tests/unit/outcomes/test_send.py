"""Sending: at least once under one id, for a day, and never past a receiver that is gone."""

import asyncio

import pytest
from outcome_world import APPROVED, DELIVERING, World, away

from tallystick.errors import AlreadyFinal, NotFound, SignatureInvalid
from tallystick.outcomes import endpoints
from tallystick.outcomes.endpoints import OVERLAP_MS, NewSecret
from tallystick.outcomes.model import EndpointState, Webhook
from tallystick.outcomes.ports import Posted
from tallystick.outcomes.send import (
    GAP_MIN_MS,
    JITTER_PERCENT,
    LEASE_MS,
    SCHEDULE_S,
    next_try,
    redeliver,
)
from tallystick.runtime import Millis
from tallystick.sdk.webhooks import unwrap
from tallystick.testing.clock import SeededRandomness

DAY_MS = 24 * 3_600_000


async def one_due(world: World) -> tuple[NewSecret, Webhook]:
    made = await world.endpoint()
    await world.payment()
    await world.move(DELIVERING, APPROVED, code="00")
    await world.announce()
    (webhook,) = await world.waiting()
    return made, webhook


async def state_of(world: World, made: NewSecret) -> EndpointState:
    return (await world.store.read(lambda books: endpoints.find(books, made.endpoint.id))).state


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_a_webhook_that_was_taken_is_gone(world: World, status: int) -> None:
    made, webhook = await one_due(world)
    world.receiver.script = [Posted(status)]
    assert [1, 0] == [await world.send_due(), await world.send_due()]
    (message,) = world.received(made)
    assert (webhook.id, "payment.approved", "00") == (message.id, message.type, message.data.response_code)
    assert ([], []) == (await world.waiting(), await world.dead())


async def test_it_is_signed_by_the_identity_key_too(world: World) -> None:
    _, webhook = await one_due(world)
    await world.send_due()
    ((_, headers, body),) = world.receiver.came
    now = world.clock.now()
    assert webhook.id == unwrap(body, headers, identity=world.identity.public(), now=now).id


async def test_during_a_rotation_a_receiver_may_know_either_secret_and_afterwards_the_new_one(world: World) -> None:
    made, _ = await one_due(world)
    newer = await endpoints.rotate(world.store, world.keyring, world.clock, world.randomness, made.endpoint.id)
    await world.send_due()
    assert 1 == len(world.received(made)) == len(world.received(newer))
    await world.clock.advance(OVERLAP_MS)
    world.receiver.came.clear()
    await world.payment("pay_2")
    await world.move(DELIVERING, APPROVED, "pay_2")
    await world.announce()
    await world.send_due()
    assert 1 == len(world.received(newer))
    with pytest.raises(SignatureInvalid):
        world.received(made)


@pytest.mark.parametrize("failure", [Posted(500), Posted(404), Posted(301), Posted(302), Posted(199), away()])
async def test_any_other_answer_and_none_are_tried_again_under_the_same_id(
    world: World, failure: Posted | Exception
) -> None:
    made, webhook = await one_due(world)
    world.receiver.script = [failure]
    await world.send_due()
    assert 0 == await world.send_due()
    (failed,) = await world.waiting()
    assert 1 == failed.tries
    assert GAP_MIN_MS <= failed.due_at - world.clock.now() <= GAP_MIN_MS * 1.1
    await world.clock.advance(failed.due_at - world.clock.now())
    assert 1 == await world.send_due()
    assert [webhook.id] * 2 == world.receiver.ids
    assert world.receiver.came[0][2] == world.receiver.came[1][2]
    assert EndpointState.ACTIVE is await state_of(world, made)
    assert [] == await world.waiting()


async def test_a_webhook_is_tried_by_the_schedule_for_a_day_and_is_then_a_dead_letter(world: World) -> None:
    _, webhook = await one_due(world)
    began = world.clock.now()
    world.receiver.script = [Posted(500) for _ in SCHEDULE_S]
    tried_ms = []
    while waiting := await world.waiting():
        await world.clock.advance(waiting[0].due_at - world.clock.now())
        tried_ms.append(world.clock.now() - began)
        assert 1 == await world.send_due()
    assert len(SCHEDULE_S) == len(tried_ms)
    for before_s, planned_s, ms in zip((0, *SCHEDULE_S), SCHEDULE_S, tried_ms, strict=False):
        assert planned_s * 1000 <= ms <= planned_s * 1000 + (planned_s - before_s) * 1000 * JITTER_PERCENT / 100
    assert DAY_MS == SCHEDULE_S[-1] * 1000
    (dead,) = await world.dead()
    assert (webhook.id, len(SCHEDULE_S), "500") == (dead.id, dead.tries, dead.last)
    assert {webhook.id} == set(world.receiver.ids)


async def test_a_dead_letter_is_sent_again_under_its_old_id_from_the_first_try_on(world: World) -> None:
    _, webhook = await one_due(world)
    world.receiver.script = [Posted(500) for _ in SCHEDULE_S]
    while waiting := await world.waiting():
        await world.clock.advance(waiting[0].due_at - world.clock.now())
        await world.send_due()
    again = await redeliver(world.store, webhook.id, world.clock.now())
    assert (0, world.clock.now()) == (again.tries, again.due_at)
    assert 1 == await world.send_due()
    assert ([], []) == (await world.waiting(), await world.dead())
    assert webhook.id == world.receiver.ids[-1]


async def test_only_a_dead_letter_of_an_active_endpoint_is_sent_again(world: World) -> None:
    made, webhook = await one_due(world)
    with pytest.raises(AlreadyFinal):
        await redeliver(world.store, webhook.id, world.clock.now())
    await endpoints.disable(world.store, made.endpoint.id)
    with pytest.raises(AlreadyFinal):
        await redeliver(world.store, webhook.id, world.clock.now())
    await endpoints.enable(world.store, made.endpoint.id)
    await redeliver(world.store, webhook.id, world.clock.now())
    await world.send_due()
    with pytest.raises(NotFound):
        await redeliver(world.store, webhook.id, world.clock.now())


async def test_410_disables_the_endpoint_and_buries_all_that_waits_for_it(world: World) -> None:
    made, webhook = await one_due(world)
    await world.payment("pay_2")
    await world.move(DELIVERING, APPROVED, "pay_2")
    await world.announce()
    world.receiver.script = [Posted(410)]
    await world.sender.try_once(webhook)
    endpoint = await world.store.read(lambda books: endpoints.find(books, made.endpoint.id))
    assert (EndpointState.DISABLED, "410") == (endpoint.state, endpoint.reason)
    assert ([], 2) == (await world.waiting(), len(await world.dead()))
    assert 0 == await world.send_due()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_that_is_busy_says_when_to_come_back(world: World, status: int) -> None:
    await one_due(world)
    world.receiver.script = [Posted(status, retry_after=120)]
    await world.send_due()
    (failed,) = await world.waiting()
    assert 120_000 == failed.due_at - world.clock.now()


async def test_retry_after_beside_another_status_means_nothing(world: World) -> None:
    await one_due(world)
    world.receiver.script = [Posted(500, retry_after=120)]
    await world.send_due()
    (failed,) = await world.waiting()
    assert failed.due_at - world.clock.now() < 120_000


def test_a_receiver_cannot_put_a_webhook_off_beyond_the_day_nor_before_its_schedule() -> None:
    randomness = SeededRandomness()
    assert DAY_MS == next_try(Millis(0), 1, Millis(0), 10**6, randomness)
    late = Millis(DAY_MS - 1_000)
    assert late + GAP_MIN_MS <= next_try(Millis(0), 9, late, 10**6, randomness)
    assert SCHEDULE_S[3] * 1000 <= next_try(Millis(0), 3, Millis(0), 1, randomness)


def test_tries_that_failed_together_do_not_come_back_together() -> None:
    randomness = SeededRandomness()
    assert len({next_try(Millis(0), 4, Millis(0), 0, randomness) for _ in range(50)}) > 40


def test_however_late_a_try_is_the_next_one_waits() -> None:
    assert 10**12 + GAP_MIN_MS == next_try(Millis(0), 5, Millis(10**12), 0, SeededRandomness())


async def test_of_two_nodes_that_see_the_same_webhook_one_sends_it(world: World) -> None:
    _, webhook = await one_due(world)
    await asyncio.gather(*(world.sender.try_once(webhook) for _ in range(5)))
    assert [webhook.id] == world.receiver.ids


async def test_a_crash_between_announcing_and_sending_loses_nothing(world: World) -> None:
    made, webhook = await one_due(world)
    # Nothing of the sending process is left but the store: another one goes on.
    assert 1 == await World(store=world.store, clock=world.clock, receiver=world.receiver).send_due()
    assert [webhook.id] == [message.id for message in world.received(made)]


async def test_a_crash_after_sending_sends_again_under_the_same_id_once_the_lease_is_over(world: World) -> None:
    _, webhook = await one_due(world)
    world.receiver.script = [RuntimeError("the process dies while the receiver answers")]
    with pytest.raises(RuntimeError):
        await world.send_due()
    await world.clock.advance(LEASE_MS - 1)
    assert 0 == await world.send_due()
    await world.clock.advance(1)
    assert 1 == await world.send_due()
    assert [webhook.id] * 2 == world.receiver.ids


async def test_a_webhook_that_arrived_after_its_endpoint_was_disabled_is_no_dead_letter(world: World) -> None:
    made, webhook = await one_due(world)

    class Slow:
        async def post(self, url: str, headers: dict[str, str], body: bytes) -> Posted:
            await endpoints.disable(world.store, made.endpoint.id)
            return Posted(200)

    world.receiver = Slow()
    await world.sender.try_once(webhook)
    assert ([], []) == (await world.waiting(), await world.dead())


async def test_a_failure_does_not_bring_a_buried_webhook_back(world: World) -> None:
    made, webhook = await one_due(world)

    class Slow:
        async def post(self, url: str, headers: dict[str, str], body: bytes) -> Posted:
            await endpoints.disable(world.store, made.endpoint.id)
            return Posted(500)

    world.receiver = Slow()
    await world.sender.try_once(webhook)
    assert ([], 1) == (await world.waiting(), len(await world.dead()))


async def test_tries_are_counted_by_how_they_ended(world: World) -> None:
    await one_due(world)
    sender = world.sender
    world.receiver.script = [Posted(500), Posted(204)]
    for _ in range(2):
        (webhook,) = await world.waiting()
        await sender.try_once(webhook)
    assert {"failed": 1, "arrived": 1} == sender.ended
