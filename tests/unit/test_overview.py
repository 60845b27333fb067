"""The read side: a sender learns how its part ended, an owner how the payment stands, nobody more."""

import msgspec
import pytest
from msgspec.structs import asdict, replace

from tallystick import limits
from tallystick.assembly.facts import TOLD_STATES, ElementKind, Fate, Order, PaymentState
from tallystick.assembly.model import Element, Part, Payment
from tallystick.errors import NotFound
from tallystick.outcomes.model import told_reason
from tallystick.overview import describe, part_status, payment_status
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryStore

PAYMENT = Payment(
    id="pay_1",
    policy="card",
    element=Element(kind=ElementKind.CODE, digest=b"digest of the code"),
    claimed=True,
    opened_at=Millis(0),
    expires_at=Millis(900_000),
    fate=Fate.JOINED,
    owner="shop",
    order=Order(payee="Tea House", amount=1250, currency="CNY", reference="order 7"),
    response_code="00",
    reason="wrong_login",
    updated_at=Millis(0),
)
PART = Part(
    id="part_1",
    payment_id="pay_1",
    channel_id="pc",
    certificate="certificate of pc",
    fields=frozenset({"pan", "order"}),
    received_at=Millis(0),
    epoch="ep_0",
    sealed=b"sealed",
)


async def stored(payment: Payment = PAYMENT, part: Part = PART) -> MemoryStore:
    store = MemoryStore()
    await store.transact(lambda books: books.add_payment(payment))
    await store.transact(lambda books: books.add_part(part))
    return store


@pytest.mark.parametrize("state", list(PaymentState))
async def test_a_part_is_accepted_until_its_payment_is_told_and_an_inquiry_is_shown_as_unknown(
    state: PaymentState,
) -> None:
    store = await stored(replace(PAYMENT, state=state))
    status = await store.transact(lambda books: part_status(books, "part_1", "pc", Millis(1)))
    shown = "unknown" if state is PaymentState.INQUIRY else state.value
    expected = shown if state in TOLD_STATES else "accepted"
    assert expected == status.status


async def test_the_reason_of_a_refusal_is_for_the_owner_only() -> None:
    store = await stored(replace(PAYMENT, state=PaymentState.REFUSED))
    mine = await store.transact(lambda books: part_status(books, "part_1", "pc", Millis(1)))
    owners = await store.transact(lambda books: payment_status(books, "pay_1", "shop"))
    assert (None, "wrong_login") == (mine.reason, owners.reason)


@pytest.mark.parametrize("part", [replace(PART, rival=True), replace(PART, fields=frozenset())], ids=["rival", "loser"])
async def test_a_part_that_does_not_count_is_accepted_and_then_expired_whatever_became_of_the_payment(
    part: Part,
) -> None:
    store = await stored(replace(PAYMENT, state=PaymentState.APPROVED), part)
    for now, expected in ((1, "accepted"), (limits.SECRET_LIFE_MS - 1, "accepted"), (limits.SECRET_LIFE_MS, "expired")):
        status = await store.transact(lambda books, at=now: part_status(books, "part_1", "pc", Millis(at)))
        assert (expected, None) == (status.status, status.response_code)


async def test_nobody_else_learns_even_that_it_exists() -> None:
    store = await stored()
    for part_id, channel in (("part_1", "phone"), ("part_2", "pc")):
        with pytest.raises(NotFound):
            await store.transact(lambda books, at=(part_id, channel): part_status(books, *at, Millis(1)))
    for payment_id, owner in (("pay_1", "pc"), ("pay_2", "shop")):
        with pytest.raises(NotFound):
            await store.transact(lambda books, at=(payment_id, owner): payment_status(books, *at))


async def test_a_payment_without_owner_has_no_status_for_anybody() -> None:
    store = await stored(replace(PAYMENT, owner=None))
    for owner in ("shop", "pc", ""):
        with pytest.raises(NotFound):
            await store.transact(lambda books, who=owner: payment_status(books, "pay_1", who))


async def test_a_description_holds_no_element_and_no_content() -> None:
    store = await stored()
    described = await store.transact(lambda books: describe(books, PAYMENT))
    shown = msgspec.json.encode(described)
    assert (1, "code") == (described.parts, described.correlation)
    assert b"digest" not in shown
    assert b"sealed" not in shown
    assert "element" not in asdict(described)


@pytest.mark.parametrize("reason", ["too_many_tries", "number_missing", "wrong_number", "no_credential", "wrong_login"])
def test_an_owner_does_not_learn_what_was_wrong_with_a_login(reason: str) -> None:
    assert "wrong_login" == told_reason(reason)


def test_other_reasons_are_told_as_they_are() -> None:
    assert ("no_route", None) == (told_reason("no_route"), told_reason(None))
