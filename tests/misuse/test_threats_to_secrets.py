"""Threats to what is secret or decided in secret, one test each, named after the threat (docs/threat-model.md)."""

import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from gateway_world import CARD, SECRETS, Edge
from gateway_world import PHONE as EDGE_PHONE
from gateway_world import PIN_BLOCK as EDGE_PIN
from msgspec.structs import replace
from threat_world import ORDER, OTHER_PHONE, PAN, PHONE, THIEF, THIEF_PAN, Scene, alike, card, make_scene, pin

from tallystick.assembly.content import CHANGED
from tallystick.assembly.facts import Order, PaymentState
from tallystick.channels import access
from tallystick.channels.access import DAY_MS
from tallystick.channels.limiting import DEFAULTS
from tallystick.channels.model import LimitKind, Role, Scope
from tallystick.errors import ApiKeyRefused, FieldInvalid, KeyUnknown, Malformed
from tallystick.path import carry
from tallystick.runtime import SystemRandomness
from tallystick.secret import Secret
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.ports import Purpose
from tallystick.security.verify import sender_key
from tallystick.testing.connector import DECLINED, ScriptedConnector
from tallystick.testing.messages import arrival_of, give
from tallystick.testing.platform import bank

ROUNDS = 5  # tries of a measurement: other work on the machine may spoil one
EACH = 120  # answers measured of each kind in a round
RATIO_MAX = 1.5  # medians; leaving out the decryption alone would make it 3 and more
DEARER = Order(payee="Thief", amount=999_900, currency="CNY", reference="order 7")


@pytest.fixture
async def scene() -> Scene:
    return await make_scene()


async def test_pin_brute_force_ends_after_a_bounded_number_of_tries_and_the_card_pays_later(scene: Scene) -> None:
    declining = await scene.world.back_end(bank(), ScriptedConnector(*[DECLINED] * 200))
    allowed = DEFAULTS[LimitKind.CREDENTIAL].count
    for n in range(allowed + 20):
        element = {"kind": "phone", "phone": f"+861380014{n:04d}"}
        await scene.send("bad", card(element=element))
        joined = (await scene.send("worse", pin(f"141{n:04d}F0A3B5C7D"[:16].ljust(16, "0"), element))).joined
        assert joined is not None
        await carry(scene.world.platform, joined)  # one PIN a payment: a declined one takes no other
        assert "joined" != (await scene.payment(joined)).state
    assert allowed == len(declining.instructions)
    await scene.world.clock.advance(DEFAULTS[LimitKind.CREDENTIAL].window)
    honest = await scene.joined(card(), pin())
    await carry(scene.world.platform, honest)
    assert allowed + 1 == len(declining.instructions)


async def test_enumeration_by_answer_tells_known_from_unknown_nowhere(scene: Scene) -> None:
    created = await scene.create()
    await scene.send("phone", pin())
    known = [
        await scene.send("bad", card(THIEF_PAN, PHONE, THIEF)),
        await scene.send("bad", card(THIEF_PAN, {"kind": "code", "code": created.code}, None)),
    ]
    unknown = [
        await scene.send("bad", card(THIEF_PAN, OTHER_PHONE, THIEF)),
        await scene.send("bad", card(THIEF_PAN, {"kind": "code", "code": "2" * len(created.code or "")}, None)),
    ]
    assert 1 == len({repr(alike(answer.body)) for answer in (*known, *unknown)})


async def ratio(known: Callable[[], Awaitable[object]], unknown: Callable[[], Awaitable[object]]) -> float:
    """Return how much longer one takes than the other, by medians of interleaved calls; the best of all rounds."""
    found = []
    for _ in range(ROUNDS):
        times: tuple[list[int], list[int]] = [], []
        for _ in range(EACH):
            for kept, call in zip(times, (known, unknown), strict=True):
                start = time.perf_counter_ns()
                await call()
                kept.append(time.perf_counter_ns() - start)
        one, other = (statistics.median(each) for each in times)
        found.append(max(one, other) / min(one, other))
    return min(found)


async def test_enumeration_by_time_tells_a_known_api_key_from_an_unknown_one_nowhere(scene: Scene) -> None:
    world, keys = scene.world, KeyringAccess(scene.world.keyring)
    made = access.make(
        keys,
        world.clock,
        SystemRandomness(),
        holder="shop",
        role=Role.MERCHANT,
        scopes=frozenset({Scope.READ}),
        live=True,
        life=DAY_MS,
    )
    await world.store.transact(lambda books: access.add(books, keys, made.key, world.clock.now()))
    prefix, mode, key_id, secret, _ = made.token.reveal().split("_")

    def attempt(name: str) -> Callable[[], Awaitable[object]]:
        body = f"{prefix}_{mode}_{name}_{secret[::-1]}"
        token = Secret(f"{body}_{access.checksum(body)}")

        async def refused() -> None:
            with pytest.raises(ApiKeyRefused):
                await world.store.read(lambda books: access.authenticate(books, keys, token, world.clock.now()))

        return refused

    assert RATIO_MAX > await ratio(attempt(key_id), attempt("0" * 32))


async def test_enumeration_by_time_tells_a_known_element_from_an_unknown_one_nowhere(scene: Scene) -> None:
    for n in range(2 * ROUNDS * EACH):
        await scene.send("phone", pin(element={"kind": "phone", "phone": f"+861381{n:07d}"}))
    turn = iter(range(10**6))

    def part(prefix: str) -> Callable[[], Awaitable[object]]:
        member = scene.world.members["bad"]

        async def sent() -> None:
            element = {"kind": "phone", "phone": f"{prefix}{next(turn) // 2:07d}"}
            await give(scene.world, member, arrival_of(scene.world, member, card(THIEF_PAN, element, THIEF)))

        return sent

    assert RATIO_MAX > await ratio(part("+861381"), part("+861391"))


async def test_the_measurement_sees_an_answer_that_leaves_the_work_out(scene: Scene) -> None:
    member, turn = scene.world.members["bad"], iter(range(10**6))

    async def whole() -> None:
        element = {"kind": "phone", "phone": f"+861391{next(turn):07d}"}
        await give(scene.world, member, arrival_of(scene.world, member, card(THIEF_PAN, element, THIEF)))

    async def early() -> None:
        arrival_of(scene.world, member, card(THIEF_PAN, OTHER_PHONE, THIEF))

    assert RATIO_MAX < await ratio(whole, early)


async def test_downgrade_of_suite_algorithm_or_format_is_refused(scene: Scene) -> None:
    member = scene.world.members["pc"]
    for envelope, error in (
        ({"format": "jwe"}, Malformed),
        ({"v": 0}, Malformed),
        ({"key_id": "pk_of_yesterday"}, KeyUnknown),
    ):
        with pytest.raises(error):
            await give(scene.world, member, arrival_of(scene.world, member, card(), envelope=envelope))
    weak = replace(member.sender, algorithm="none")
    with pytest.raises(FieldInvalid):  # the row says another algorithm than the key it seals is for
        sender_key(scene.world.keyring, weak)
    assert [] == await scene.payments()


def _cheaper(order: Order) -> Order:
    return replace(order, amount=order.amount * 100, payee="Thief")


async def test_database_row_swap_of_an_order_is_refused(scene: Scene) -> None:
    joined = await scene.joined(card(), pin())
    scene.edit_payment(joined, lambda payment: replace(payment, order=_cheaper(payment.order)))  # type: ignore[arg-type]
    assert [] == await scene.end()
    assert CHANGED == (await scene.payment(joined)).reason


async def test_database_row_swap_of_a_created_payment_s_order_is_refused(scene: Scene) -> None:
    created = await scene.create()
    bound = (created.payment, *(str(ORDER[name]) for name in ("payee", "amount", "currency", "reference")))
    code = {"kind": "code", "code": created.code}
    await scene.send("pc", card(element=code, order=None), payment=created.payment, bound=bound)
    await scene.send("phone", pin(element=code), payment=created.payment, bound=bound)
    scene.edit_payment(created.payment, lambda payment: replace(payment, order=_cheaper(payment.order)))  # type: ignore[arg-type]
    assert [] == await scene.end()
    assert CHANGED == (await scene.payment(created.payment)).reason


async def joined_by_code(scene: Scene) -> str:
    """Create a payment and send both halves under its code, as a gateway may that knows no payment's id."""
    created = await scene.create()
    code = {"kind": "code", "code": created.code}
    await scene.send("pc", card(element=code, order=None))
    await scene.send("phone", pin(element=code))
    return created.payment


@pytest.mark.parametrize(
    "edit",
    [
        {"order": DEARER},
        {"order": DEARER, "owner": None},
        {"order": DEARER, "owner": None, "order_mac": None},
        {"order": DEARER, "order_mac": b"\x01\x00\x00\x00\x01" + bytes(32)},
        {"order_mac": None},
        {"owner": "ch_thief"},
        {"allowed": ("10000009",)},
    ],
    ids="+".join,
)
async def test_database_row_swap_of_what_a_payment_was_created_with_is_refused(
    scene: Scene, edit: dict[str, Any]
) -> None:
    payment = await joined_by_code(scene)
    scene.edit_payment(payment, lambda row: replace(row, **edit))
    assert [] == await scene.end()
    assert CHANGED == (await scene.payment(payment)).reason


async def test_database_row_swap_of_two_created_orders_is_refused(scene: Scene) -> None:
    ours, theirs = await joined_by_code(scene), (await scene.create()).payment
    other = await scene.payment(theirs)
    scene.edit_payment(ours, lambda row: replace(row, order=other.order, order_mac=other.order_mac))
    assert [] == await scene.end()
    assert CHANGED == (await scene.payment(ours)).reason


async def test_an_untouched_payment_under_a_code_is_paid_even_after_a_rotation(scene: Scene) -> None:
    payment = await joined_by_code(scene)
    scene.world.keyring.rotate(Purpose.ACCESS)
    assert [(PAN, EDGE_PIN, "Tea House")] == await scene.end()
    assert PaymentState.APPROVED is (await scene.payment(payment)).state


async def test_a_created_order_whose_key_was_destroyed_is_not_sent(scene: Scene) -> None:
    payment = await joined_by_code(scene)
    scene.world.keyring.rotate(Purpose.ACCESS)
    scene.world.keyring.destroy(Purpose.ACCESS, 1)
    assert [] == await scene.end()
    assert PaymentState.UNDELIVERED is (await scene.payment(payment)).state


async def test_database_row_swap_of_parts_between_payments_is_refused(scene: Scene) -> None:
    victim = await scene.joined(card(), pin())
    await scene.send("bad", card(THIEF_PAN, OTHER_PHONE, {**ORDER, "reference": "loot"}))
    thief = (await scene.send("worse", pin(element=OTHER_PHONE))).joined
    assert thief is not None
    rows = scene.world.store._books._parts_of
    ours, theirs = rows.get(victim), rows.get(thief)
    assert ours is not None
    assert theirs is not None
    rows.put(thief, ours)
    rows.put(victim, theirs)
    assert [] == await scene.end()
    assert [CHANGED, CHANGED] == [(await scene.payment(each)).reason for each in (victim, thief)]


async def test_database_row_swap_of_sealed_contents_is_refused(scene: Scene) -> None:
    joined = await scene.joined(card(), pin())
    first, second = await scene.world.store.read(lambda books: books.sealed_parts(joined))
    scene.edit_part(first.id, sealed=second.sealed)
    scene.edit_part(second.id, sealed=first.sealed)
    assert [] == await scene.end()
    assert CHANGED == (await scene.payment(joined)).reason


async def test_log_leakage_of_a_whole_payment_and_of_refusals_is_nothing(edge: Edge) -> None:
    await edge.post(CARD)
    await edge.post({"policy": "card", "element": EDGE_PHONE, "fields": {"pin_block": EDGE_PIN}}, who="phone")
    await edge.post({**CARD, "fields": {"pan": PAN + "x", "expiry": "3012"}})
    await edge.post({**CARD, "policy": "none"}, who="shop")
    await edge.carriers.drain()
    assert 1 == len(edge.world.connectors.sent())
    assert [] == [secret for secret in (*SECRETS, PAN) if secret in edge.log.text]
