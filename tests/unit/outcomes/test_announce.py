"""Who is told what, and that nobody is told twice or learns of another."""

import msgspec
import pytest
from msgspec.structs import replace
from outcome_world import APPROVED, DELIVERING, EXPIRED, INQUIRY, MANUAL, UNKNOWN, World

from tallystick import limits, overview
from tallystick.assembly.facts import FINAL_STATES, TOLD_STATES, Fate, PaymentState
from tallystick.channels.model import ChannelState
from tallystick.outcomes import announce as module
from tallystick.outcomes import endpoints
from tallystick.outcomes.announce import BATCH
from tallystick.outcomes.model import Webhook
from tallystick.runtime import Millis
from tallystick.wire.outcome import OutcomeData, OutcomeMessage, rfc3339


def message(webhook: Webhook) -> OutcomeMessage:
    return msgspec.json.decode(webhook.body, type=OutcomeMessage)


async def types(world: World) -> list[str]:
    return sorted(webhook.type for webhook in await world.waiting())


async def test_the_owner_is_told_what_became_of_its_payment(world: World) -> None:
    made = await world.endpoint("shop")
    await world.payment()
    await world.move(DELIVERING, APPROVED, code="00")
    assert await world.announce() == 1
    (webhook,) = await world.waiting()
    assert (made.endpoint.id, "pay_1", world.clock.now()) == (webhook.endpoint_id, webhook.subject, webhook.due_at)
    expected = OutcomeMessage(
        type="payment.approved",
        id=webhook.id,
        timestamp=rfc3339(world.clock.now()),
        data=OutcomeData(payment="pay_1", state="approved", response_code="00"),
    )
    assert expected == message(webhook)
    assert webhook.id.startswith("evt_")


async def test_each_sender_of_a_part_is_told_of_its_own_part_and_of_no_payment(world: World) -> None:
    for name in ("pc", "phone"):
        await world.endpoint(name)
    await world.payment(owner=None)
    await world.part("part_1", "pc")
    await world.part("part_2", "phone")
    await world.move(DELIVERING, APPROVED, code="00")
    await world.announce()
    told = await world.waiting()
    assert ["part_1", "part_2"] == [webhook.subject for webhook in told]
    for webhook in told:
        assert OutcomeData(part=webhook.subject, status="approved") == message(webhook).data
        assert b"pay_1" not in webhook.body
        assert ("part_2" if webhook.subject == "part_1" else "part_1").encode() not in webhook.body


async def test_no_two_receivers_get_an_id_by_which_they_could_tell_that_their_parts_met(world: World) -> None:
    for name in ("pc", "pc", "phone", "shop"):
        await world.endpoint(name)
    await world.payment()
    await world.part("part_1", "pc")
    await world.part("part_2", "phone")
    await world.move(DELIVERING, APPROVED)
    await world.announce()
    told = await world.waiting()
    assert (4, 4) == (len(told), len({webhook.id for webhook in told}))


async def test_channels_that_have_nothing_to_do_with_a_payment_are_told_nothing(world: World) -> None:
    await world.endpoint("phone")
    await world.payment(owner=None)
    await world.part("part_1", "pc")
    await world.move(DELIVERING, APPROVED)
    assert await world.announce() == 1
    assert [] == await world.waiting()


@pytest.mark.parametrize("state", sorted(TOLD_STATES - {INQUIRY}))
async def test_a_sender_is_told_exactly_what_it_would_get_by_asking(world: World, state: PaymentState) -> None:
    await world.endpoint("pc")
    await world.payment()
    await world.part("part_1", "pc")
    await world.move(DELIVERING, state)
    await world.announce()
    (webhook,) = await world.waiting()
    asked = await world.store.read(lambda books: overview.part_status(books, "part_1", "pc", world.clock.now()))
    assert asked.status == message(webhook).data.status
    assert f"part.{asked.status}" == webhook.type


async def test_an_inquiry_is_told_to_the_owner_only(world: World) -> None:
    for name in ("shop", "pc"):
        await world.endpoint(name)
    await world.payment()
    await world.part("part_1", "pc")
    for was, state in ((DELIVERING, UNKNOWN), (UNKNOWN, INQUIRY), (INQUIRY, MANUAL)):
        await world.move(was, state)
    await world.announce()
    assert ["part.manual", "part.unknown", "payment.inquiry", "payment.manual", "payment.unknown"] == await types(world)


@pytest.mark.parametrize("part", [{"rival": True}, {"fields": frozenset()}], ids=["rival", "loser"])
@pytest.mark.parametrize("state", sorted(FINAL_STATES))
async def test_a_part_that_does_not_count_is_told_that_it_expired_when_its_time_is_over_whatever_happened(
    world: World, state: PaymentState, part: dict[str, object]
) -> None:
    await world.endpoint("pc")
    await world.payment()
    await world.part("part_1", "pc", **part)
    received = world.clock.now()
    await world.clock.advance(1_000)
    await world.move(DELIVERING, state)
    await world.announce()
    (webhook,) = await world.waiting()
    over = Millis(received + limits.SECRET_LIFE_MS)
    assert ("part.expired", over, over) == (webhook.type, webhook.first_at, webhook.due_at)
    assert rfc3339(over) == message(webhook).timestamp


async def test_it_is_told_so_once_however_often_the_payment_changes(world: World) -> None:
    await world.endpoint("pc")
    await world.payment()
    await world.part("part_1", "pc", rival=True)
    for was, state in ((DELIVERING, UNKNOWN), (UNKNOWN, INQUIRY), (INQUIRY, MANUAL), (MANUAL, APPROVED)):
        await world.move(was, state)
    await world.announce()
    assert ["part.expired"] == await types(world)


async def test_a_lone_part_and_one_that_lost_get_the_same_webhook_but_for_its_id(world: World) -> None:
    await world.endpoint("pc")
    await world.endpoint("phone")
    await world.payment(state=PaymentState.HALF, fate=None, owner=None)
    await world.part("part_1", "pc")
    await world.payment("pay_2")
    await world.part("part_2", "phone", payment_id="pay_2", rival=True)
    await world.move(DELIVERING, APPROVED, "pay_2")
    await world.announce()
    await world.clock.advance(limits.SECRET_LIFE_MS)
    await world.store.transact(lambda books: books.decide_fate("pay_1", Fate.EXPIRED, world.clock.now()))
    await world.announce()
    lone, lost = sorted(await world.waiting(), key=lambda webhook: webhook.subject)
    assert lone.due_at == lost.due_at
    alike = replace(message(lone), id="", data=OutcomeData())
    assert alike == replace(message(lost), id="", data=OutcomeData())
    assert message(lone).data.status == message(lost).data.status == EXPIRED


async def test_an_event_is_announced_once(world: World) -> None:
    await world.endpoint("shop")
    await world.payment()
    await world.move(DELIVERING, APPROVED)
    assert [1, 0] == [await world.announce(), await world.announce()]
    await world.store.transact(lambda books: books.note_announced(0))
    assert await world.announce() == 1
    assert 1 == len(await world.waiting())


async def test_a_crash_while_announcing_leaves_all_of_it_or_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.endpoint("shop")
    await world.payment()
    await world.move(DELIVERING, UNKNOWN)
    await world.move(UNKNOWN, MANUAL)
    whole, made = module._webhook, []

    def crash_at_the_second(*arguments: object) -> Webhook:
        made.append(arguments)
        if len(made) == 2:
            raise RuntimeError
        return whole(*arguments)

    monkeypatch.setattr(module, "_webhook", crash_at_the_second)
    with pytest.raises(RuntimeError):
        await world.announce()
    assert [] == await world.waiting()
    assert await world.announce() == 2
    assert ["payment.manual", "payment.unknown"] == await types(world)


async def test_more_than_a_batch_takes_more_than_one_call(world: World) -> None:
    await world.endpoint("shop")
    for n in range(BATCH + 1):
        await world.payment(f"pay_{n}")
        await world.move(DELIVERING, APPROVED, f"pay_{n}")
    assert [BATCH, 1, 0] == [await world.announce() for _ in range(3)]
    assert BATCH + 1 == len(await world.waiting())


async def test_a_disabled_endpoint_and_one_of_a_suspended_channel_are_told_nothing(world: World) -> None:
    await world.channel("old", ChannelState.SUSPENDED)
    await world.endpoint("old")
    disabled = await world.endpoint("shop")
    await endpoints.disable(world.store, disabled.endpoint.id)
    await world.payment()
    await world.part("part_1", "old")
    await world.move(DELIVERING, APPROVED)
    assert await world.announce() == 1
    assert [] == await world.waiting()


async def test_what_is_announced_late_has_the_whole_schedule_before_it(world: World) -> None:
    await world.endpoint("shop")
    await world.payment()
    await world.move(DELIVERING, APPROVED)
    happened = world.clock.now()
    await world.clock.advance(3_600_000)
    await world.announce()
    (webhook,) = await world.waiting()
    assert world.clock.now() == webhook.first_at
    assert rfc3339(happened) == message(webhook).timestamp
