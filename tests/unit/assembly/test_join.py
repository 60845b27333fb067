"""Filing and joining: created payments, orders, quarantine, and what guessers learn."""

import asyncio
from typing import Any

import msgspec
import pytest

from tallystick import limits
from tallystick.assembly.model import Payment
from tallystick.errors import AlreadyFinal, EnvelopeUnopenable, NotFound, SameChannel, Unprocessable
from tallystick.orders import cancel_payment, create_payment, settle_quarantine
from tallystick.overview import part_status, payment_status
from tallystick.path import Accepted, carry
from tallystick.sweep import expire
from tallystick.testing.messages import arrival_of, send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform
from tallystick.wire.payment import Candidates, PaymentCreated

PHONE = {"kind": "phone", "phone": "+8613800138000"}
ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY", "reference": "order 7"}
OTHER_ORDER = {**ORDER, "payee": "Thief", "amount": 999_900}
PAN, OTHER_PAN = "6212142600000000043", "6212142600000000050"
PIN_BLOCK = "1412348F0A3B5C7D"


def card(pan: str = PAN, order: object = None, element: object = PHONE, policy: str = "card") -> dict[str, Any]:
    fields = {"pan": pan, "expiry": "3012"} if policy == "card" else {"pan": pan}
    return {"policy": policy, "element": element, "fields": fields, "order": order}


def pin(order: object = None, element: object = PHONE, policy: str = "card") -> dict[str, Any]:
    return {"policy": policy, "element": element, "fields": {"pin_block": PIN_BLOCK}, "order": order}


def expiry(order: object = None) -> dict[str, Any]:
    return {"policy": "card-3", "element": PHONE, "fields": {"expiry": "3012"}, "order": order}


@pytest.fixture
async def world() -> MemoryPlatform:
    made = await memory_platform()
    for channel_id in ("pc", "phone", "voice", "kiosk", "shop"):
        await made.channel(channel_id)
    await made.channel("app", proves_payer=True)
    await made.back_end(bank())
    return made


async def send(world: MemoryPlatform, channel: str, content: object, **how: Any) -> str | None:
    return (await send_part(world, world.members[channel], content, **how)).joined


async def part_id(world: MemoryPlatform, channel: str, content: object, **how: Any) -> str:
    accepted = await send_part(world, world.members[channel], content, **how)
    found: str = msgspec.json.decode(accepted.body)["part"]
    return found


async def delivered(world: MemoryPlatform, joined: str | None) -> tuple[str, str]:
    """Carry a joined payment; return the card number and the payee that the back end was told."""
    assert joined is not None
    await carry(world.platform, joined)
    (instruction,) = world.connectors.sent()
    pan = instruction.credential.pan  # type: ignore[union-attr]
    return pan.reveal(), instruction.order.payee


async def choose(world: MemoryPlatform, part: str | None, policy: str = "card", element: object = PHONE) -> Accepted:
    app = world.members["app"]
    content = {"policy": policy, "element": element, "part": part}
    arrival = arrival_of(world, app, content, target="/v1/choices")
    return await settle_quarantine(world.platform, arrival, channel=app.channel, sender=app.sender, key=app.key)


async def candidates(world: MemoryPlatform, **how: Any) -> list[tuple[str, tuple[str, ...]]]:
    answer = msgspec.json.decode((await choose(world, None, **how)).body, type=Candidates)
    return [(candidate.part, candidate.fields) for candidate in answer.candidates]


async def create(world: MemoryPlatform, **facts: Any) -> PaymentCreated:
    shop = world.members["shop"]
    content = {"policy": "card", "order": ORDER, **facts}
    arrival = arrival_of(world, shop, content, target="/v1/payments")
    body = await create_payment(world.platform, arrival, channel=shop.channel, sender=shop.sender, key=shop.key)
    return msgspec.json.decode(body, type=PaymentCreated)


async def cancel(world: MemoryPlatform, payment_id: str, **how: Any) -> bytes:
    shop = world.members["shop"]
    target = f"/v1/payments/{payment_id}/cancel"
    arrival = arrival_of(world, shop, {}, target=target, **how)
    return await cancel_payment(world.platform, arrival, payment_id, sender=shop.sender, key=shop.key)


async def payment_of(world: MemoryPlatform, payment_id: str) -> Payment:
    payment = await world.store.transact(lambda books: books.payment(payment_id))
    assert payment is not None
    return payment


async def the_payment(world: MemoryPlatform) -> Payment:
    (payment,) = await world.store.transact(lambda books: books.recent_payments(10))
    return payment


def code(created: PaymentCreated) -> dict[str, str]:
    return {"kind": "code", "code": created.code or ""}


# Orders


async def test_no_part_joins_before_an_order_is_there(world: MemoryPlatform) -> None:
    await send(world, "pc", card())
    assert None is await send(world, "phone", pin())


async def test_the_order_may_come_with_either_part(world: MemoryPlatform) -> None:
    await send(world, "pc", card())
    assert (PAN, "Tea House") == await delivered(world, await send(world, "phone", pin(ORDER)))


async def test_equal_orders_of_both_parts_join(world: MemoryPlatform) -> None:
    await send(world, "pc", card(order=ORDER))
    assert None is not await send(world, "phone", pin(ORDER))


async def test_orders_that_differ_between_the_parts_wait_in_quarantine(world: MemoryPlatform) -> None:
    await send(world, "pc", card(order=ORDER))
    assert None is await send(world, "phone", pin(OTHER_ORDER))
    assert 2 == len(await candidates(world))


async def test_the_chosen_part_brings_its_own_order(world: MemoryPlatform) -> None:
    await send(world, "pc", card(order=OTHER_ORDER))
    mine = await part_id(world, "phone", pin(ORDER))
    assert None is (await choose(world, mine)).joined
    assert (PAN, "Tea House") == await delivered(world, await send(world, "kiosk", card()))


async def test_the_order_of_a_part_that_lost_to_the_proven_channel_is_gone_with_it(world: MemoryPlatform) -> None:
    await send(world, "kiosk", card(OTHER_PAN, OTHER_ORDER))
    await send(world, "app", card())
    assert (PAN, "Tea House") == await delivered(world, await send(world, "phone", pin(ORDER)))


async def test_the_order_of_a_part_that_lost_a_choice_is_gone_with_it(world: MemoryPlatform) -> None:
    await send(world, "kiosk", card(OTHER_PAN, OTHER_ORDER))
    mine = await part_id(world, "pc", card())
    await choose(world, mine)
    assert None is (await the_payment(world)).order
    assert (PAN, "Tea House") == await delivered(world, await send(world, "phone", pin(ORDER)))


async def test_a_part_whose_rival_is_gone_keeps_its_own_order(world: MemoryPlatform) -> None:
    await send(world, "kiosk", card(OTHER_PAN, OTHER_ORDER))
    await send(world, "phone", pin(ORDER))
    assert (PAN, "Tea House") == await delivered(world, await send(world, "app", card()))


async def test_a_part_that_agrees_with_a_loser_about_the_order_does_not_follow_the_winner(
    world: MemoryPlatform,
) -> None:
    await send(world, "kiosk", card(OTHER_PAN, OTHER_ORDER, policy="card-3"))
    await send(world, "voice", pin(OTHER_ORDER, policy="card-3"))
    await send(world, "app", expiry(ORDER))
    assert None is await send(world, "pc", card(policy="card-3"))


async def test_a_part_that_agrees_with_the_winner_about_the_order_stays(world: MemoryPlatform) -> None:
    await send(world, "kiosk", card(OTHER_PAN, OTHER_ORDER))
    await send(world, "pc", card(order=ORDER))
    assert (PAN, "Tea House") == await delivered(world, await send(world, "app", pin(ORDER)))


# Quarantine


async def test_rivals_wait_side_by_side_and_nothing_joins(world: MemoryPlatform) -> None:
    first = await part_id(world, "pc", card(order=ORDER))
    second = await part_id(world, "kiosk", card(OTHER_PAN, ORDER))
    assert None is await send(world, "phone", pin())
    assert [(first, ("expiry", "order", "pan")), (second, ("expiry", "order", "pan"))] == await candidates(world)
    assert (await the_payment(world)).contested


async def test_equal_values_are_rivals_too_so_that_no_guess_can_be_tested(world: MemoryPlatform) -> None:
    await send(world, "pc", card(order=ORDER))
    await send(world, "kiosk", card(order=ORDER))
    assert None is await send(world, "phone", pin())


@pytest.mark.parametrize("chosen", [0, 1])
async def test_the_proven_channel_decides_which_rival_counts(world: MemoryPlatform, chosen: int) -> None:
    rivals = [await part_id(world, "pc", card(order=ORDER)), await part_id(world, "kiosk", card(OTHER_PAN, ORDER))]
    await send(world, "phone", pin())
    accepted = await choose(world, rivals[chosen])
    assert ([PAN, OTHER_PAN][chosen], "Tea House") == await delivered(world, accepted.joined)
    assert [] == await candidates(world)


async def test_a_choice_before_the_last_part_leaves_the_payment_waiting_for_it(world: MemoryPlatform) -> None:
    mine = await part_id(world, "pc", card(order=ORDER))
    await send(world, "kiosk", card(OTHER_PAN, ORDER))
    assert None is (await choose(world, mine)).joined
    assert (PAN, "Tea House") == await delivered(world, await send(world, "phone", pin()))


async def test_only_a_waiting_rival_of_this_payment_can_be_chosen(world: MemoryPlatform) -> None:
    alone = await part_id(world, "pc", card(order=ORDER))
    for part in (alone, "part_unknown"):
        with pytest.raises(NotFound):
            await choose(world, part)


async def test_the_proven_channels_own_part_wins_at_once(world: MemoryPlatform) -> None:
    await send(world, "kiosk", card(OTHER_PAN, ORDER))
    await send(world, "app", card(order=ORDER))
    assert (PAN, "Tea House") == await delivered(world, await send(world, "phone", pin()))


async def test_a_rival_that_comes_after_the_proven_channels_part_loses_at_once(world: MemoryPlatform) -> None:
    await send(world, "app", card(order=ORDER))
    await send(world, "kiosk", card(OTHER_PAN, ORDER))
    assert (PAN, "Tea House") == await delivered(world, await send(world, "phone", pin()))


async def test_two_proven_rivals_wait_for_a_choice(world: MemoryPlatform) -> None:
    await world.channel("app2", proves_payer=True)
    await send(world, "app", card(order=ORDER))
    await send(world, "app2", card(OTHER_PAN, ORDER))
    assert None is await send(world, "phone", pin())
    assert 2 == len(await candidates(world))


async def test_a_crowd_of_rivals_is_bounded_and_each_is_answered_alike(world: MemoryPlatform) -> None:
    answers = []
    for n in range(limits.CANDIDATES_MAX + 4):
        await world.channel(f"bot{n}")
        accepted = await send_part(world, world.members[f"bot{n}"], card(OTHER_PAN, ORDER))
        answers.append(alike(accepted.body))
    assert limits.CANDIDATES_MAX == len(await candidates(world))
    assert all(answers[0] == answer for answer in answers)
    payment_id = (await the_payment(world)).id
    assert limits.CANDIDATES_MAX == len(await world.store.transact(lambda books: books.sealed_parts(payment_id)))


async def test_a_crowd_of_rivals_does_not_shut_the_proven_channel_out(world: MemoryPlatform) -> None:
    for n in range(limits.CANDIDATES_MAX):
        await world.channel(f"bot{n}")
        await send(world, f"bot{n}", card(OTHER_PAN, ORDER))
    await send(world, "app", card(order=ORDER))
    assert (PAN, "Tea House") == await delivered(world, await send(world, "phone", pin()))


async def test_a_rivals_own_channel_still_cannot_supply_the_other_part(world: MemoryPlatform) -> None:
    await send(world, "pc", card(order=ORDER))
    await send(world, "kiosk", card(OTHER_PAN, ORDER))
    for channel in ("pc", "kiosk"):
        with pytest.raises(SameChannel):
            await send(world, channel, pin())


async def test_a_choice_after_the_expiry_joins_nothing(world: MemoryPlatform) -> None:
    mine = await part_id(world, "pc", card(order=ORDER))
    await send(world, "kiosk", card(OTHER_PAN, ORDER))
    await send(world, "phone", pin())
    await world.clock.advance(limits.SECRET_LIFE_MS)
    assert None is (await choose(world, mine)).joined


# Created payments


async def test_a_code_selects_its_payment_and_joins_under_its_order(world: MemoryPlatform) -> None:
    created = await create(world)
    await send(world, "pc", card(element=code(created)))
    joined = await send(world, "phone", pin(element=code(created)))
    assert created.payment == joined
    assert (PAN, "Tea House") == await delivered(world, joined)


async def test_a_part_with_a_contradicting_order_never_joins_and_is_answered_alike(world: MemoryPlatform) -> None:
    created = await create(world)
    contradicting = await send_part(world, world.members["pc"], card(order=OTHER_ORDER, element=code(created)))
    assert None is await send(world, "phone", pin(element=code(created)))
    fitting = await send_part(world, world.members["kiosk"], card(order=ORDER, element=code(created)))
    assert alike(contradicting.body) == alike(fitting.body)
    assert (PAN, "Tea House") == await delivered(world, fitting.joined)


async def test_an_envelope_bound_to_the_created_payment_opens(world: MemoryPlatform) -> None:
    created = await create(world)
    bound = (created.payment, "Tea House", "1250", "CNY", "order 7")
    await send(world, "pc", card(element=code(created)), payment=created.payment, bound=bound)
    assert None is not await send(world, "phone", pin(element=code(created)))


@pytest.mark.parametrize("index", range(1, 5))
async def test_an_envelope_bound_to_other_facts_of_the_payment_does_not_open(world: MemoryPlatform, index: int) -> None:
    created = await create(world)
    facts = [created.payment, "Tea House", "1250", "CNY", "order 7"]
    facts[index] += "0"
    with pytest.raises(EnvelopeUnopenable):
        await send(world, "pc", card(element=code(created)), payment=created.payment, bound=tuple(facts))


async def test_an_element_of_another_payment_than_the_named_one_is_refused(world: MemoryPlatform) -> None:
    created, other = await create(world), await create(world)
    bound = (created.payment, "Tea House", "1250", "CNY", "order 7")
    with pytest.raises(Unprocessable):
        await send(world, "pc", card(element=code(other)), payment=created.payment, bound=bound)


async def test_a_payment_opened_by_a_part_cannot_be_named(world: MemoryPlatform) -> None:
    await send(world, "pc", card(order=ORDER))
    with pytest.raises(NotFound):
        await send(world, "phone", pin(), payment=(await the_payment(world)).id)


async def test_the_code_of_another_policy_is_refused(world: MemoryPlatform) -> None:
    created = await create(world)
    with pytest.raises(Unprocessable):
        await send(world, "pc", card(element=code(created), policy="card-3"))


async def test_a_cancelled_payment_takes_no_part_and_keeps_none(world: MemoryPlatform) -> None:
    created = await create(world)
    await send(world, "pc", card(element=code(created)))
    await cancel(world, created.payment)
    with pytest.raises(AlreadyFinal):
        await send(world, "phone", pin(element=code(created)))
    assert [] == await world.store.transact(lambda books: books.sealed_parts(created.payment))


async def test_a_joined_payment_cannot_be_cancelled(world: MemoryPlatform) -> None:
    created = await create(world)
    await send(world, "pc", card(element=code(created)))
    await send(world, "phone", pin(element=code(created)))
    with pytest.raises(AlreadyFinal):
        await cancel(world, created.payment)


async def test_of_a_racing_cancel_and_last_part_exactly_one_wins(world: MemoryPlatform) -> None:
    for first in ("cancel", "part"):
        created = await create(world)
        await send(world, "pc", card(element=code(created)))
        race = [cancel(world, created.payment), send(world, "phone", pin(element=code(created)))]
        results = await asyncio.gather(*(race if first == "cancel" else race[::-1]), return_exceptions=True)
        assert 1 == sum(isinstance(result, AlreadyFinal) for result in results)


async def test_a_created_payment_waits_for_its_first_secret_but_no_secret_waits_longer_than_its_life(
    world: MemoryPlatform,
) -> None:
    created = await create(world, expires_in=24 * 3600)
    await world.clock.advance(23 * 3_600_000)
    await send(world, "pc", card(element=code(created)))
    await world.clock.advance(limits.SECRET_LIFE_MS)
    assert 1 == await expire(world.platform)
    with pytest.raises(AlreadyFinal):
        await send(world, "phone", pin(element=code(created)))


# What a guesser learns


def alike(receipt: bytes) -> object:
    """Return what an answer tells beyond the random id of the part."""
    told = msgspec.json.decode(receipt)
    return {**told, "part": len(told["part"])}


async def test_a_part_is_answered_alike_for_a_known_and_an_unknown_code_and_for_a_rival(world: MemoryPlatform) -> None:
    created = await create(world)
    unknown = {"kind": "code", "code": "2" * limits.CODE_LENGTH}
    first = await send_part(world, world.members["pc"], card(element=code(created)))
    rival = await send_part(world, world.members["kiosk"], card(OTHER_PAN, element=code(created)))
    guess = await send_part(world, world.members["voice"], card(OTHER_PAN, element=unknown))
    assert alike(first.body) == alike(rival.body) == alike(guess.body)


async def test_parts_under_an_unknown_code_never_join_and_expire(world: MemoryPlatform) -> None:
    unknown = {"kind": "code", "code": "2" * limits.CODE_LENGTH}
    part = await part_id(world, "pc", card(order=ORDER, element=unknown))
    assert None is await send(world, "phone", pin(element=unknown))
    await world.clock.advance(limits.SECRET_LIFE_MS)
    assert 1 == await expire(world.platform)
    assert "expired" == await status(world, part, "pc")


async def status(world: MemoryPlatform, part: str, channel: str) -> str:
    now = world.clock.now()
    return (await world.store.transact(lambda books: part_status(books, part, f"{channel}", now))).status


async def test_a_loser_learns_no_more_from_its_parts_status_than_the_sender_of_an_unknown_code(
    world: MemoryPlatform,
) -> None:
    created = await create(world)
    unknown = {"kind": "code", "code": "2" * limits.CODE_LENGTH}
    guesses = {
        "kiosk": await part_id(world, "kiosk", card(OTHER_PAN, OTHER_ORDER, element=code(created))),
        "voice": await part_id(world, "voice", card(OTHER_PAN, element=code(created))),
        "pc": await part_id(world, "pc", card(OTHER_PAN, element=unknown)),
    }
    mine = await part_id(world, "app", card(element=code(created)))
    joined = await send(world, "phone", pin(element=code(created)))
    assert (PAN, "Tea House") == await delivered(world, joined)
    assert "approved" == await status(world, mine, "app")
    assert ["accepted"] * 3 == [await status(world, part, channel) for channel, part in guesses.items()]
    await world.clock.advance(limits.SECRET_LIFE_MS)
    await expire(world.platform)
    assert ["expired"] * 3 == [await status(world, part, channel) for channel, part in guesses.items()]


async def test_only_the_sender_sees_a_parts_status_and_only_the_owner_a_payments(world: MemoryPlatform) -> None:
    created = await create(world)
    part = await part_id(world, "pc", card(element=code(created)))
    with pytest.raises(NotFound):
        await status(world, part, "phone")
    with pytest.raises(NotFound):
        await world.store.transact(lambda books: payment_status(books, created.payment, "pc"))
    seen = await world.store.transact(lambda books: payment_status(books, created.payment, "shop"))
    assert ("half", 1) == (seen.state, seen.parts)
    assert PAN not in msgspec.json.encode(seen).decode()


# The oracle of a double join


async def joins_of_a_race(world: MemoryPlatform) -> int:
    await send(world, "pc", card(order=ORDER))
    retries = [send(world, "phone", pin(), idempotency_key="same") for _ in range(10)]
    results = await asyncio.gather(*retries, return_exceptions=True)
    return sum(isinstance(result, str) for result in results)


async def test_a_race_of_retries_joins_once(world: MemoryPlatform) -> None:
    assert 1 == await joins_of_a_race(world)


async def test_the_double_join_oracle_catches_a_store_that_decides_twice(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def win_always(*_: object) -> bool:
        return True

    async def forget(*_: object) -> None: ...

    monkeypatch.setattr(world.store._books, "decide_fate", win_always)
    monkeypatch.setattr(world.store._books, "stored_answer", forget)
    monkeypatch.setattr(world.store._books, "keep_answer", forget)
    monkeypatch.setattr("tallystick.assembly.quarantine._compete", lambda *_args, **_named: False)
    assert 1 < await joins_of_a_race(world)
