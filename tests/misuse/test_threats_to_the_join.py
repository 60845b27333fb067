"""Threats to the join, one test each, named after the threat (docs/threat-model.md)."""

import asyncio
import random

import msgspec
import pytest
from threat_world import (
    ORDER,
    OTHER_PHONE,
    PAN,
    PHONE,
    PIN_BLOCK,
    THIEF,
    THIEF_PAN,
    THIEF_PIN,
    Scene,
    alike,
    card,
    make_scene,
    pin,
)

from tallystick.assembly.element import CODE_ALPHABET
from tallystick.assembly.facts import PaymentState
from tallystick.channels.limiting import DEFAULTS
from tallystick.channels.model import LimitKind
from tallystick.errors import EnvelopeUnopenable, Replayed, SameChannel, TooMany
from tallystick.limits import CODE_LENGTH
from tallystick.routing.model import NumberPolicy
from tallystick.secret import Secret
from tallystick.testing.messages import arrival_of, give
from tallystick.testing.platform import bank
from tallystick.vault.keep import store_credential
from tallystick.vault.model import AccountCredential, Contact
from tallystick.vault.numbers import set_by_back_end
from tallystick.vault.users import register, verify


@pytest.fixture
async def scene() -> Scene:
    return await make_scene()


async def test_guessed_element_pays_nothing_and_is_answered_like_the_right_one(scene: Scene) -> None:
    created = await scene.create()
    right = await scene.send("pc", card(element={"kind": "code", "code": created.code}, order=None))
    dice = random.Random(7)  # noqa: S311 - a guesser's
    for _ in range(300):
        code = "".join(dice.choices(CODE_ALPHABET, k=CODE_LENGTH))
        guess = await scene.send("bad", card(THIEF_PAN, {"kind": "code", "code": code}, THIEF))
        assert alike(right.body) == alike(guess.body)
        assert guess.joined is None
    assert [] == await scene.end()


async def test_squatting_under_a_known_phone_number_neither_pays_nor_shuts_the_payer_out(scene: Scene) -> None:
    squatter = await scene.send("bad", card(THIEF_PAN, order=THIEF))
    payer = await scene.send("app", card())
    assert alike(squatter.body) == alike(payer.body)
    await scene.send("phone", pin())
    assert [(PAN, PIN_BLOCK, "Tea House")] == await scene.end()


async def test_mixed_up_parts_of_two_payers_never_make_one_payment(scene: Scene) -> None:
    halves = [
        ("pc", card(PAN, PHONE)),
        ("kiosk", card(THIEF_PAN, OTHER_PHONE, {**ORDER, "payee": "Book Shop"})),
        ("phone", pin(PIN_BLOCK, PHONE)),
        ("voice", pin(THIEF_PIN, OTHER_PHONE)),
    ]
    random.Random(3).shuffle(halves)  # noqa: S311 - an order of arrival
    for who, half in halves:
        await scene.send(who, half)
    expected = [(PAN, PIN_BLOCK, "Tea House"), (THIEF_PAN, THIEF_PIN, "Book Shop")]
    assert expected == sorted(await scene.end())


async def test_race_of_many_second_parts_joins_once_and_sends_once(scene: Scene) -> None:
    await scene.send("pc", card())
    parts = [scene.send("phone", pin(), idempotency_key="one") for _ in range(20)]
    results = await asyncio.gather(*parts, return_exceptions=True)
    assert 1 == len({result.joined for result in results if not isinstance(result, BaseException)} - {None})
    sent = await asyncio.gather(*(scene.end() for _ in range(5)))
    assert {1} == {len(each) for each in sent}


async def test_race_with_another_pin_leaves_both_waiting_for_the_payer(scene: Scene) -> None:
    await scene.send("bad", pin(THIEF_PIN))
    await asyncio.gather(scene.send("phone", pin()), scene.send("pc", card()))
    assert [] == await scene.end()
    assert [PaymentState.HALF] == [payment.state for payment in await scene.payments()]


async def test_replay_of_a_captured_part_changes_nothing(scene: Scene) -> None:
    member = scene.world.members["pc"]
    captured = arrival_of(scene.world, member, card())
    await give(scene.world, member, captured)
    before = await scene.payments()
    with pytest.raises(Replayed):
        await give(scene.world, member, captured)
    # Signed anew by another channel: the envelope is bound to its sender.
    bad = scene.world.members["bad"]
    stolen = arrival_of(scene.world, bad, card(), envelope={"sealed": _sealed(captured.body)})
    with pytest.raises(EnvelopeUnopenable):
        await give(scene.world, bad, stolen)
    assert before == await scene.payments()


def _sealed(body: bytes) -> str:
    return str(msgspec.json.decode(body)["sealed"])


async def test_colluding_channels_of_one_certificate_count_as_one(scene: Scene) -> None:
    await scene.world.channel("front", certificate="one certificate")
    await scene.world.channel("back", certificate="one certificate")
    await scene.send("front", card())
    with pytest.raises(SameChannel):
        await scene.send("back", pin())
    with pytest.raises(SameChannel):
        await scene.send("front", pin())
    assert [] == await scene.end()


async def test_recycled_phone_number_gives_its_new_owner_neither_name_nor_password(scene: Scene) -> None:
    world, platform = scene.world, scene.world.platform
    institution = bank("20000001", schemes=frozenset({"wallet"}), numbers=NumberPolicy.BACK_END)
    wallet = await world.back_end(institution)
    ports = (platform.store, platform.keyring, platform.stretcher, platform.clock)
    contact, secret = Contact(phone="+8613800138000"), Secret("correct horse")
    await register(*ports, platform.randomness, username="li", password=secret, contact=contact)
    owner = await verify(*ports, username="li", password=secret)
    account = AccountCredential(account=Secret("wallet:li"), secret=Secret("wallet secret"))
    await store_credential(platform.store, platform.clock, owner=owner, institution=institution, credential=account)
    await set_by_back_end(
        platform.store,
        platform.keyring,
        platform.randomness,
        back_end=institution,
        user_id=owner.user_id,
        number="48151623",
        now=platform.clock.now(),
        tell=True,
    )
    # Whoever has the number now reads the dynamic number, and may even know the name; the password is not on the phone.
    number = {"kind": "institution", "institution": institution.id, "number": "48151623"}
    name = {"policy": "login", "element": number, "fields": {"username": "li"}, "order": THIEF}
    guess = {"policy": "login", "element": number, "fields": {"password": "wrong horse!"}}
    await scene.send("bad", name)
    await scene.send("worse", guess)
    await scene.end()
    assert [] == wallet.instructions
    assert ["wrong_login"] == [payment.reason for payment in await scene.payments()]


async def test_flood_of_parts_under_one_number_is_bounded_and_the_next_window_is_open(scene: Scene) -> None:
    allowed = DEFAULTS[LimitKind.ELEMENT].count
    for _ in range(allowed):
        await scene.send("bad", pin(THIEF_PIN))
    with pytest.raises(TooMany):
        await scene.send("bad", pin(THIEF_PIN))
    await scene.send("phone", pin())  # the payer's own channel is not shut out
    await scene.world.clock.advance(DEFAULTS[LimitKind.ELEMENT].window)
    await scene.send("bad", pin(THIEF_PIN))
