"""Create, cancel, choose, set numbers, issue values: each answered once, each only to whom it belongs."""

from typing import Any

import msgspec
import pytest

from tallystick import limits, orders
from tallystick.channels.limiting import DEFAULTS
from tallystick.channels.model import LimitKind
from tallystick.errors import (
    AlreadyFinal,
    FieldInvalid,
    FieldNotAllowed,
    Forbidden,
    IdempotencyMismatch,
    Malformed,
    NotFound,
    PolicyUnknown,
    Refused,
    Replayed,
    TooMany,
)
from tallystick.orders import cancel_payment, create_payment, issue_value, set_number, settle_quarantine
from tallystick.routing.model import BackEnd, NumberPolicy
from tallystick.testing.inbox import waiting_notices
from tallystick.testing.messages import arrival_of, send_part
from tallystick.testing.platform import Member, MemoryPlatform, bank, memory_platform
from tallystick.vault.notices import open_notice
from tallystick.wire.payment import PaymentCreated

ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY", "reference": "order 7"}
NEW = {"policy": "card", "order": ORDER}
PHONE = {"kind": "phone", "phone": "+8613800138000"}


@pytest.fixture
async def world() -> MemoryPlatform:
    made = await memory_platform()
    for channel_id in ("shop", "other", "pc", "phone"):
        await made.channel(channel_id)
    await made.back_end(bank("20000001"))
    return made


async def create(world: MemoryPlatform, content: object = NEW, who: str = "shop", **how: Any) -> PaymentCreated:
    member = world.members[who]
    arrival = arrival_of(world, member, content, target="/v1/payments", **how)
    body = await create_payment(world.platform, arrival, channel=member.channel, sender=member.sender, key=member.key)
    return msgspec.json.decode(body, type=PaymentCreated)


async def cancel(world: MemoryPlatform, payment_id: str, who: str = "shop", **how: Any) -> bytes:
    member = world.members[who]
    arrival = arrival_of(world, member, {}, target=f"/v1/payments/{payment_id}/cancel", **how)
    return await cancel_payment(world.platform, arrival, payment_id, sender=member.sender, key=member.key)


async def issue(world: MemoryPlatform, back_end: BackEnd, content: object, verb: Any = issue_value) -> bytes:
    member = await institution(world, back_end.id)
    arrival = arrival_of(world, member, content, target="/v1/values")
    answer: bytes = await verb(world.platform, arrival, back_end, sender=member.sender, key=member.key)
    return answer


async def institution(world: MemoryPlatform, institution_id: str) -> Member:
    """Return a sender with the institution's id; how the platform stores its key is not the point here."""
    return world.members.get(institution_id) or await world.channel(institution_id)


async def payments(world: MemoryPlatform) -> int:
    return len(await world.store.transact(lambda books: books.recent_payments(100)))


async def state(world: MemoryPlatform, payment_id: str) -> str:
    payment = await world.store.transact(lambda books: books.payment(payment_id))
    assert payment is not None
    return payment.state


# Create


async def test_a_created_payment_has_a_code_of_its_own_and_ends_when_asked(world: MemoryPlatform) -> None:
    first, second = await create(world, {**NEW, "expires_in": 60}), await create(world)
    assert (first.code, first.payment) != (second.code, second.payment)
    assert world.clock.now() + 60_000 == first.expires_at
    assert limits.CODE_LENGTH == len(first.code or "")


async def test_a_retry_creates_one_payment_with_one_code(world: MemoryPlatform) -> None:
    first, again = await create(world, idempotency_key="once"), await create(world, idempotency_key="once")
    assert first == again
    assert 1 == await payments(world)


async def test_another_content_under_the_same_key_creates_nothing(world: MemoryPlatform) -> None:
    await create(world, idempotency_key="once")
    with pytest.raises(IdempotencyMismatch):
        await create(world, {**NEW, "policy": "card-3"}, idempotency_key="once")
    assert 1 == await payments(world)


async def test_a_replayed_creation_creates_nothing(world: MemoryPlatform) -> None:
    await create(world, nonce="n" * 16)
    with pytest.raises(Replayed):
        await create(world, nonce="n" * 16)
    assert 1 == await payments(world)


async def test_the_payer_gets_the_code_by_every_way_that_was_named_and_the_outbox_is_sealed(
    world: MemoryPlatform,
) -> None:
    created = await create(world, {**NEW, "payer": {"phone": "+86 138 0013 8000", "email": "li@example.org"}})
    notices = await waiting_notices(world.store)
    opened = [open_notice(world.keyring, notice) for notice in notices]
    assert ["+8613800138000", "li@example.org"] == [message.address for message in opened]
    assert all(created.code and created.code in message.text for message in opened)
    assert str(created.code) not in repr(notices)
    assert all(notice.urgent for notice in notices)


async def test_one_payer_is_sent_a_bounded_number_of_codes_whoever_asks(world: MemoryPlatform) -> None:
    named = {**NEW, "payer": {"phone": "+86 138 0013 8000"}}
    allowed = DEFAULTS[LimitKind.CONTACT].count
    for _ in range(allowed):
        await create(world, named)
    with pytest.raises(TooMany):
        await create(world, named)
    assert allowed == await payments(world)
    await create(world)
    await create(world, {**NEW, "payer": {"phone": "+86 138 0013 8001"}})


async def test_a_channel_without_the_right_to_orders_creates_nothing(world: MemoryPlatform) -> None:
    await world.channel("keypad", fields={"pin_block"})
    with pytest.raises(FieldNotAllowed):
        await create(world, who="keypad")
    assert 0 == await payments(world)


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"policy": "none"}, PolicyUnknown, "policy"),
        ({"expires_in": orders.EXPIRES_IN_MIN - 1}, FieldInvalid, "expires_in"),
        ({"expires_in": 24 * 3600 + 1}, FieldInvalid, "expires_in"),
        ({"payer": {}}, FieldInvalid, "contact"),
        ({"payer": {"phone": "13800138000"}}, FieldInvalid, "phone"),
        ({"payer": {"email": "no address"}}, FieldInvalid, "email"),
        ({"allowed": ["1234"]}, FieldInvalid, "institution"),
        ({"order": {**ORDER, "amount": 0}}, FieldInvalid, "order.amount"),
        ({"order": {**ORDER, "currency": "XXX"}}, FieldInvalid, "order.currency"),
        ({"surplus": 1}, Malformed, None),
    ],
)
async def test_a_wrong_field_creates_nothing(
    world: MemoryPlatform, change: dict[str, Any], error: type[Refused], field: str | None
) -> None:
    with pytest.raises(error) as refusal:
        await create(world, {**NEW, **change})
    assert field == refusal.value.field
    assert 0 == await payments(world)


# Cancel


async def test_the_owner_cancels_and_a_retry_gets_the_same_answer(world: MemoryPlatform) -> None:
    created = await create(world)
    first = await cancel(world, created.payment, idempotency_key="stop")
    assert first == await cancel(world, created.payment, idempotency_key="stop")
    assert "cancelled" == await state(world, created.payment)


async def test_a_second_cancel_of_its_own_is_told_that_the_fate_is_decided(world: MemoryPlatform) -> None:
    created = await create(world)
    await cancel(world, created.payment)
    with pytest.raises(AlreadyFinal):
        await cancel(world, created.payment)


async def test_nobody_else_cancels_a_payment(world: MemoryPlatform) -> None:
    created = await create(world)
    for payment_id, who in ((created.payment, "other"), ("pay_unknown", "shop")):
        with pytest.raises(NotFound):
            await cancel(world, payment_id, who)
    assert "open" == await state(world, created.payment)


async def test_a_cancel_under_the_key_of_another_cancel_is_refused_and_not_answered_as_done(
    world: MemoryPlatform,
) -> None:
    first, second = await create(world), await create(world)
    await cancel(world, first.payment, idempotency_key="stop")
    with pytest.raises(IdempotencyMismatch):
        await cancel(world, second.payment, idempotency_key="stop")
    assert "open" == await state(world, second.payment)


# Choices, numbers, values


async def test_only_a_channel_that_proves_the_payer_may_choose(world: MemoryPlatform) -> None:
    member = world.members["pc"]
    arrival = arrival_of(world, member, {"policy": "card", "element": PHONE}, target="/v1/choices")
    with pytest.raises(Forbidden):
        await settle_quarantine(world.platform, arrival, channel=member.channel, sender=member.sender, key=member.key)


async def test_a_choice_under_an_element_nobody_used_lists_nothing(world: MemoryPlatform) -> None:
    app = await world.channel("app", proves_payer=True)
    arrival = arrival_of(world, app, {"policy": "card", "element": PHONE, "part": "part_x"}, target="/v1/choices")
    accepted = await settle_quarantine(world.platform, arrival, channel=app.channel, sender=app.sender, key=app.key)
    assert (b'{"candidates":[]}', None) == (accepted.body, accepted.joined)


async def test_parts_under_an_issued_value_join_and_under_another_value_never(world: MemoryPlatform) -> None:
    await issue(world, bank("20000001"), {"value": "member-4711", "valid_for": 600})
    for value, joins in (("member-4711", True), ("member-4712", False)):
        element = {"kind": "backend", "institution": "20000001", "value": value}
        card = {"policy": "card-3", "element": element, "fields": {"pan": "6212142600000000043"}, "order": ORDER}
        await send_part(world, world.members["pc"], card)
        await send_part(world, world.members["other"], {**card, "fields": {"expiry": "3012"}})
        pin = {**card, "fields": {"pin_block": "1412348F0A3B5C7D"}}
        assert joins is ((await send_part(world, world.members["phone"], pin)).joined is not None)


async def test_an_institution_issues_values_under_its_own_id_only(world: MemoryPlatform) -> None:
    await issue(world, bank("20000001"), {"value": "member-4711", "valid_for": 600})
    element = {"kind": "backend", "institution": "20000002", "value": "member-4711"}
    claimed = [payment.claimed for payment in await after_part(world, element)]
    assert [False] == claimed


async def after_part(world: MemoryPlatform, element: object) -> list[Any]:
    card = {"policy": "card-3", "element": element, "fields": {"pan": "6212142600000000043"}, "order": ORDER}
    await send_part(world, world.members["pc"], card)
    return await world.store.transact(lambda books: books.recent_payments(10))


@pytest.mark.parametrize("valid_for", [0, -1, orders.VALUE_VALID_MAX + 1, 10**30])
async def test_a_value_is_valid_for_a_bounded_time(world: MemoryPlatform, valid_for: int) -> None:
    with pytest.raises((FieldInvalid, Malformed)):
        await issue(world, bank("20000001"), {"value": "member-4711", "valid_for": valid_for})


async def test_a_number_for_a_user_who_is_not_enrolled_is_not_found(world: MemoryPlatform) -> None:
    own = bank("20000001", numbers=NumberPolicy.BACK_END)
    with pytest.raises(NotFound):
        await issue(world, own, {"username": "li", "number": "48151623"}, verb=set_number)


async def test_an_institution_asks_for_a_credential_that_goes_to_itself_alone(world: MemoryPlatform) -> None:
    member = await institution(world, "20000001")

    async def ask(content: object) -> PaymentCreated:
        arrival = arrival_of(world, member, content, target="/v1/payments")
        body = await create_payment(world.platform, arrival, channel=None, sender=member.sender, key=member.key)
        return msgspec.json.decode(body, type=PaymentCreated)

    created = await ask(NEW)
    payment = await world.store.read(lambda books: books.payment(created.payment))
    assert payment is not None
    assert (("20000001",), "20000001") == (payment.allowed, payment.owner)
    with pytest.raises(FieldInvalid, match="itself"):
        await ask({**NEW, "allowed": ["20000002"]})
