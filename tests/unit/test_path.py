"""The path as a whole, in memory: what is accepted, what joins, what is sent, and what never is."""

import asyncio
import dataclasses
from typing import Any

import msgspec
import pytest

from tallystick import limits
from tallystick.assembly.facts import Fate, PaymentState
from tallystick.assembly.model import Payment
from tallystick.delivery.model import Answer, Instruction, IntentState, Verdict
from tallystick.errors import (
    EnvelopeUnopenable,
    IdempotencyMismatch,
    KeyUnknown,
    NotFound,
    NotSent,
    OutcomeUnknown,
    Replayed,
    SameChannel,
    StoreFailed,
)
from tallystick.path import Platform, carry
from tallystick.routing.model import NumberPolicy, Status
from tallystick.runtime import Millis
from tallystick.secret import Secret
from tallystick.sweep import expire, retry_deliverable
from tallystick.testing.connector import APPROVED, DECLINED, HANG, ScriptedConnector
from tallystick.testing.messages import arrival_of, give, send_part
from tallystick.testing.platform import BROWSER_KEY, HPKE_KEY, JWE_KEY, MemoryPlatform, bank, memory_platform
from tallystick.vault.keep import store_credential
from tallystick.vault.model import AccountCredential, CardCredential, Contact
from tallystick.vault.numbers import set_by_back_end
from tallystick.vault.users import register, verify

PHONE = {"kind": "phone", "phone": "+8613800138000"}
ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY", "reference": "order 7"}
PAN = "6212142600000000043"
PIN_BLOCK = "1412348F0A3B5C7D"
CARD = {"policy": "card", "element": PHONE, "fields": {"pan": PAN, "expiry": "3012"}, "order": ORDER}
PIN = {"policy": "card", "element": PHONE, "fields": {"pin_block": PIN_BLOCK}}


@pytest.fixture
async def world() -> MemoryPlatform:
    made = await memory_platform()
    for channel_id in ("pc", "phone", "voice"):
        await made.channel(channel_id)
    await made.channel("app", proves_payer=True)
    return made


async def send(world: MemoryPlatform, channel: str, content: object, **how: Any) -> str | None:
    return (await send_part(world, world.members[channel], content, **how)).joined


async def join(world: MemoryPlatform, card: object = CARD, pin: object = PIN) -> str:
    await send(world, "pc", card)
    joined = await send(world, "phone", pin)
    assert joined is not None
    return joined


async def payment_of(world: MemoryPlatform, payment_id: str) -> Payment:
    payment = await world.store.transact(lambda books: books.payment(payment_id))
    assert payment is not None
    return payment


async def state_of(world: MemoryPlatform, payment_id: str) -> tuple[PaymentState, str | None]:
    payment = await payment_of(world, payment_id)
    return payment.state, payment.reason


async def intents_of(world: MemoryPlatform, payment_id: str) -> list[IntentState]:
    return [intent.state for intent in await world.store.transact(lambda books: books.intents(payment_id))]


async def sealed_left(world: MemoryPlatform, payment_id: str) -> int:
    return len(await world.store.transact(lambda books: books.sealed_parts(payment_id)))


# Acceptance and retries


async def test_two_parts_over_two_channels_give_the_back_end_the_whole_card_once(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank())
    payment_id = await join(world)
    await carry(world.platform, payment_id)
    (instruction,) = connector.instructions
    credential = instruction.credential
    assert isinstance(credential, CardCredential)
    assert (PAN, "3012", PIN_BLOCK) == (
        credential.pan.reveal(),
        credential.expiry and credential.expiry.reveal(),
        credential.pin_block and credential.pin_block.reveal(),
    )
    assert ("Tea House", 1250, "CNY") == (instruction.order.payee, instruction.order.amount, instruction.order.currency)
    assert (PaymentState.APPROVED, None) == await state_of(world, payment_id)


@pytest.mark.parametrize("key_id", [HPKE_KEY, BROWSER_KEY, JWE_KEY])
async def test_a_part_may_be_sealed_for_a_key_of_any_published_suite(world: MemoryPlatform, key_id: str) -> None:
    await send(world, "pc", CARD, key_id=key_id)
    assert await send(world, "phone", PIN, key_id=key_id) is not None


async def test_exactly_one_of_many_concurrent_accepts_wins_the_join(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD)
    retries = [send(world, "phone", PIN, idempotency_key="the same part") for _ in range(40)]
    joined = [payment_id for payment_id in await asyncio.gather(*retries) if payment_id is not None]
    assert 1 == len(joined)


async def test_an_idempotent_retry_gets_the_same_answer_and_files_nothing_twice(world: MemoryPlatform) -> None:
    member = world.members["pc"]
    first = await send_part(world, member, CARD, idempotency_key="once")
    again = await send_part(world, member, CARD, idempotency_key="once")
    assert first.body == again.body
    payment_id = await send(world, "phone", PIN)
    assert payment_id is not None
    assert 2 == await sealed_left(world, payment_id)


async def test_the_same_idempotency_key_with_another_content_is_refused(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD, idempotency_key="once")
    other = {**CARD, "fields": {"pan": "6212142600000000050"}}
    with pytest.raises(IdempotencyMismatch):
        await send(world, "pc", other, idempotency_key="once")


async def test_the_same_idempotency_key_for_another_created_payment_is_refused(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD, idempotency_key="once")
    with pytest.raises(NotFound):
        await send(world, "pc", CARD, idempotency_key="once", payment="pay_unknown")


async def test_two_channels_may_use_the_same_idempotency_key(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD, idempotency_key="once")
    assert await send(world, "phone", PIN, idempotency_key="once") is not None


async def test_a_replayed_message_is_refused_and_changes_nothing(world: MemoryPlatform) -> None:
    member = world.members["pc"]
    arrival = arrival_of(world, member, CARD)
    await give(world, member, arrival)
    before = contents(world)
    with pytest.raises(Replayed):
        await give(world, member, arrival)
    assert before == contents(world)


async def test_a_replayed_nonce_under_another_idempotency_key_is_refused(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD, nonce="n" * 16)
    with pytest.raises(Replayed):
        await send(world, "pc", PIN, nonce="n" * 16)


async def test_an_envelope_of_another_channel_does_not_open(world: MemoryPlatform) -> None:
    theirs = msgspec.json.decode(arrival_of(world, world.members["pc"], CARD, nonce="n" * 16).body)
    with pytest.raises(EnvelopeUnopenable):
        await send(world, "phone", CARD, nonce="n" * 16, envelope={"sealed": theirs["sealed"]})


async def test_a_withdrawn_opening_key_is_unknown(world: MemoryPlatform) -> None:
    member = world.members["pc"]
    arrival = arrival_of(world, member, CARD)
    world.opening_keys.withdraw(HPKE_KEY)
    with pytest.raises(KeyUnknown):
        await give(world, member, arrival)


async def test_nothing_is_acknowledged_when_the_store_fails(world: MemoryPlatform) -> None:
    await world.store.aclose()
    with pytest.raises(StoreFailed):
        await send(world, "pc", CARD)


def contents(world: MemoryPlatform) -> str:
    """Return all rows of the store as text."""
    books = world.store._books
    return repr({name: table.items() for name, table in vars(books).items() if hasattr(table, "items")})


PLAIN = (PAN, PIN_BLOCK, "+8613800138000", "13800138000")


def holds_plaintext(world: MemoryPlatform) -> bool:
    return any(text in contents(world) for text in PLAIN)


async def test_the_store_holds_no_plaintext_of_a_part_nor_of_its_element(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD)
    assert "Tea House" in contents(world)  # so the search does find what is there
    assert not holds_plaintext(world)


async def test_the_plaintext_oracle_catches_parts_that_are_not_sealed(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.crypto.box.SealingKey.seal", lambda _key, clear, _context: clear)
    monkeypatch.setattr("tallystick.crypto.box.SealingKey.unseal", lambda _key, sealed, _context: sealed)
    await send(world, "pc", CARD)
    assert holds_plaintext(world)


async def test_the_replay_oracle_catches_a_store_that_forgets_nonces(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forget(*_: object) -> None: ...

    member = world.members["pc"]
    arrival = arrival_of(world, member, CARD)
    await give(world, member, arrival)
    monkeypatch.setattr(world.store._books, "remember_nonce", forget)
    await give(world, member, arrival)


# Delivery


async def deliver(world: MemoryPlatform, *script: Any) -> tuple[ScriptedConnector, str]:
    connector = await world.back_end(bank(), ScriptedConnector(*script))
    payment_id = await join(world)
    await carry(world.platform, payment_id)
    return connector, payment_id


async def later(world: MemoryPlatform, ms: int = 6_000) -> None:
    """Let the sweep look again, as it does after a rest and after a restart."""
    await world.clock.advance(ms)
    await retry_deliverable(world.platform)
    await world.crash()


async def test_the_intent_is_durable_and_sending_when_the_connector_is_called(world: MemoryPlatform) -> None:
    seen: list[IntentState] = []

    async def look(instruction: Instruction) -> Any:
        seen.extend(await intents_of(world, instruction.payment_id))
        return APPROVED

    _, payment_id = await deliver(world, look)
    assert [IntentState.SENDING] == seen
    assert [IntentState.APPROVED] == await intents_of(world, payment_id)


async def test_the_content_of_the_parts_is_erased_with_the_outcome(world: MemoryPlatform) -> None:
    _, payment_id = await deliver(world, DECLINED)
    assert (PaymentState.DECLINED, None) == await state_of(world, payment_id)
    assert 0 == await sealed_left(world, payment_id)


async def test_not_sent_falls_to_the_next_candidate_by_rank(world: MemoryPlatform) -> None:
    first = await world.back_end(bank("10000001", priority=1), ScriptedConnector(NotSent("no connection")))
    second = await world.back_end(bank("10000002", priority=2))
    payment_id = await join(world)
    await carry(world.platform, payment_id)
    assert (1, 1) == (len(first.instructions), len(second.instructions))
    assert [IntentState.NOT_SENT, IntentState.APPROVED] == await intents_of(world, payment_id)
    assert "10000002" == (await payment_of(world, payment_id)).back_end
    assert first.instructions[0].ids.key != second.instructions[0].ids.key


async def test_a_back_end_without_usable_connector_is_passed_over(world: MemoryPlatform) -> None:
    await world.back_end(bank("10000001", priority=1))
    del world.connectors.by_institution["10000001"]
    second = await world.back_end(bank("10000002", priority=2))
    await carry(world.platform, await join(world))
    assert 1 == len(second.instructions)


@pytest.mark.parametrize("failure", [RuntimeError("broken"), StoreFailed("its own store"), OSError("odd")])
async def test_a_connector_that_cannot_be_built_has_sent_nothing(world: MemoryPlatform, failure: Exception) -> None:
    class Broken:
        async def connector(self, _back_end: object) -> ScriptedConnector:
            raise failure

    await world.back_end(bank())
    payment_id = await join(world)
    await carry(with_connectors(world, Broken()), payment_id)
    assert (PaymentState.JOINED, "not_sent") == await state_of(world, payment_id)


def with_connectors(world: MemoryPlatform, connectors: Any) -> Platform:
    return dataclasses.replace(world.platform, connectors=connectors)


@pytest.mark.parametrize(
    "failure",
    [
        OutcomeUnknown("time-out"),
        RuntimeError("odd"),
        KeyError("odd"),
        TimeoutError(),
        ConnectionResetError(),
        ValueError(),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_whatever_is_no_answer_is_unknown_and_never_sent_again(world: MemoryPlatform, failure: Exception) -> None:
    spare = await world.back_end(bank("10000002", priority=200))
    connector, payment_id = await deliver(world, failure)
    for _ in range(3):
        await later(world)
        await carry(world.platform, payment_id)
    assert (1, 0) == (len(connector.instructions), len(spare.instructions))
    assert (PaymentState.MANUAL, "back_end_cannot_tell") == await state_of(world, payment_id)
    assert [IntentState.MANUAL] == await intents_of(world, payment_id)
    assert 0 == await sealed_left(world, payment_id)


async def test_a_back_end_that_says_it_did_nothing_leaves_the_payment_to_the_next_one(world: MemoryPlatform) -> None:
    away = ScriptedConnector(Answer(verdict=Verdict.DECLINED, code="91", elsewhere=True))
    await world.back_end(bank("10000001", priority=1), away)
    spare = await world.back_end(bank("10000002", priority=2))
    payment_id = await join(world)
    await carry(world.platform, payment_id)
    assert (1, 1) == (len(away.instructions), len(spare.instructions))
    assert [IntentState.DECLINED, IntentState.APPROVED] == await intents_of(world, payment_id)
    assert (PaymentState.APPROVED, None) == await state_of(world, payment_id)


async def test_the_last_candidates_word_counts_when_all_of_them_are_away(world: MemoryPlatform) -> None:
    for number, code in (("10000001", "91"), ("10000002", "92")):
        away = ScriptedConnector(Answer(verdict=Verdict.DECLINED, code=code, elsewhere=True))
        await world.back_end(bank(number), away)
    payment_id = await join(world)
    await carry(world.platform, payment_id)
    assert PaymentState.DECLINED is (await state_of(world, payment_id))[0]
    assert 0 == await sealed_left(world, payment_id)


async def test_a_crash_between_intent_and_outcome_ends_unknown_without_a_second_send(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank(), ScriptedConnector(HANG))
    payment_id = await join(world)
    task = asyncio.create_task(carry(world.platform, payment_id))
    while not connector.instructions:  # noqa: ASYNC110  # a scripted connector has no event to wait for
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [IntentState.SENDING] == await intents_of(world, payment_id)
    assert 1 == await world.crash()
    await later(world)
    assert 1 == len(connector.instructions)
    assert (PaymentState.UNKNOWN, None) == await state_of(world, payment_id)


async def test_an_outcome_that_could_not_be_stored_ends_unknown_without_a_second_send(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = await world.back_end(bank())
    payment_id = await join(world)

    async def fail(*_args: object, **_named: object) -> bool:
        raise StoreFailed("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(world.store._books, "settle_intent", fail)
        with pytest.raises(StoreFailed):
            await carry(world.platform, payment_id)
    await later(world)
    assert 1 == len(connector.instructions)
    assert (PaymentState.UNKNOWN, None) == await state_of(world, payment_id)


async def test_nothing_is_sent_when_the_intent_could_not_be_stored(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = await world.back_end(bank())
    payment_id = await join(world)

    async def fail(*_: object) -> None:
        raise StoreFailed("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(world.store._books, "add_intent", fail)
        with pytest.raises(StoreFailed):
            await carry(world.platform, payment_id)
    assert [] == connector.instructions
    await later(world)
    assert (PaymentState.APPROVED, None) == await state_of(world, payment_id)


async def sends_of_concurrent_carries(world: MemoryPlatform) -> int:
    connector = await world.back_end(bank())
    payment_id = await join(world)
    await asyncio.gather(*(carry(world.platform, payment_id) for _ in range(20)), return_exceptions=True)
    return len(connector.instructions)


async def test_concurrent_carries_send_once(world: MemoryPlatform) -> None:
    assert 1 == await sends_of_concurrent_carries(world)


async def test_the_double_send_oracle_catches_a_store_without_compare_and_set(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def always(*_args: object, **_named: object) -> bool:
        return True

    monkeypatch.setattr(world.store._books, "advance", always)
    assert 1 < await sends_of_concurrent_carries(world)


async def test_no_active_back_end_leaves_the_payment_joined_until_one_is_active(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank(status=Status.DOWN))
    payment_id = await join(world)
    await carry(world.platform, payment_id)
    assert (PaymentState.JOINED, "no_back_end_up") == await state_of(world, payment_id)
    await world.back_end(bank(status=Status.ACTIVE), connector)
    await later(world)
    assert 1 == len(connector.instructions)
    assert (PaymentState.APPROVED, None) == await state_of(world, payment_id)


async def test_a_payment_no_back_end_took_in_time_is_undelivered_and_never_sent(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank(status=Status.DOWN))
    payment_id = await join(world)
    await carry(world.platform, payment_id)
    await later(world, limits.SECRET_LIFE_MS)
    assert (PaymentState.UNDELIVERED, "expired_before_delivery") == await state_of(world, payment_id)
    assert 0 == await sealed_left(world, payment_id)
    await world.back_end(bank(status=Status.ACTIVE), connector)
    await later(world)
    assert [] == connector.instructions


async def test_nothing_is_sent_when_the_time_ends_while_the_store_is_slow(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = await world.back_end(bank())
    payment_id = await join(world)
    await world.clock.advance(limits.SECRET_LIFE_MS - 1)
    quick, calls = world.store.transact, 0

    async def slow(work: Any) -> Any:
        nonlocal calls
        calls += 1
        await world.clock.advance(int(calls == 1))  # the first to wait for a commit is the intent
        return await quick(work)

    monkeypatch.setattr(world.store, "transact", slow)
    await carry(world.platform, payment_id)
    assert [] == connector.instructions


async def test_a_destroyed_epoch_key_makes_the_parts_unreadable_and_nothing_is_sent(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank())
    payment_id = await join(world)
    world.epochs.destroy_before(Millis(world.clock.now() + limits.EPOCH_KEPT_MS + limits.EPOCH_MS))
    await carry(world.platform, payment_id)
    assert [] == connector.instructions
    assert (PaymentState.UNDELIVERED, "expired_before_delivery") == await state_of(world, payment_id)


async def test_a_back_end_that_can_never_be_reached_gets_a_bounded_number_of_attempts(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ATTEMPTS_MAX", 8)
    connector = await world.back_end(bank(), ScriptedConnector(otherwise=NotSent("no connection")))
    payment_id = await join(world)
    await carry(world.platform, payment_id)
    for _ in range(2 * limits.ATTEMPTS_MAX):
        await later(world)
    assert limits.ATTEMPTS_MAX == len(connector.instructions)
    assert (PaymentState.UNDELIVERED, "too_many_attempts") == await state_of(world, payment_id)


async def test_a_card_of_an_unknown_issuer_is_refused_for_want_of_a_route(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank())
    payment_id = await join(world, {**CARD, "fields": {"pan": "9999999999999999", "expiry": "3012"}})
    await carry(world.platform, payment_id)
    assert [] == connector.instructions
    assert (PaymentState.REFUSED, "no_route") == await state_of(world, payment_id)
    assert 0 == await sealed_left(world, payment_id)


async def test_the_intent_names_the_table_version_that_was_routed_by(world: MemoryPlatform) -> None:
    await world.back_end(bank())
    table = await world.store.transact(lambda books: books.routing_table())
    payment_id = await join(world)
    await carry(world.platform, payment_id)
    (intent,) = await world.store.transact(lambda books: books.intents(payment_id))
    assert table.version == intent.table_version


# Embodiment 2: a stored credential

BANK = bank("20000001", schemes=frozenset({"wallet"}), numbers=NumberPolicy.BACK_END)
ACCOUNT = AccountCredential(account=Secret("wallet:li"), secret=Secret("wallet secret"))
NUMBER = {"kind": "institution", "institution": "20000001", "number": "48151623"}
NAME = {"policy": "login", "element": NUMBER, "fields": {"username": "li"}, "order": ORDER}


async def enrol(world: MemoryPlatform, username: str, password: str, number: str) -> None:
    platform = world.platform
    ports = (platform.store, platform.keyring, platform.stretcher, platform.clock)
    contact = Contact(email=f"{username}@example.org")
    await register(*ports, platform.randomness, username=username, password=Secret(password), contact=contact)
    owner = await verify(*ports, username=username, password=Secret(password))
    await store_credential(platform.store, platform.clock, owner=owner, institution=BANK, credential=ACCOUNT)
    await set_by_back_end(
        platform.store,
        platform.keyring,
        platform.randomness,
        back_end=BANK,
        user_id=owner.user_id,
        number=number,
        now=platform.clock.now(),
        tell=False,
    )


def password(text: str, element: object = NUMBER) -> dict[str, Any]:
    return {"policy": "login", "element": element, "fields": {"password": text}}


async def test_user_name_and_password_pick_the_stored_credential(world: MemoryPlatform) -> None:
    connector = await world.back_end(BANK)
    await enrol(world, "li", "correct horse", "48151623")
    payment_id = await join(world, NAME, password("correct horse"))
    await carry(world.platform, payment_id)
    assert [ACCOUNT] == [instruction.credential for instruction in connector.instructions]


@pytest.mark.parametrize(
    ("card", "secret", "reason"),
    [
        (NAME, "wrong horse!", "wrong_login"),
        ({**NAME, "fields": {"username": "nobody"}}, "correct horse", "wrong_login"),
        ({**NAME, "fields": {"username": "wang"}}, "another horse", "wrong_login"),
    ],
    ids=["wrong password", "unknown user", "right login of the user of another number"],
)
async def test_a_login_that_gives_no_credential_is_refused(
    world: MemoryPlatform, card: object, secret: str, reason: str
) -> None:
    connector = await world.back_end(BANK)
    await enrol(world, "li", "correct horse", "48151623")
    await enrol(world, "wang", "another horse", "31415926")
    payment_id = await join(world, card, password(secret))
    await carry(world.platform, payment_id)
    assert [] == connector.instructions
    assert (PaymentState.REFUSED, reason) == await state_of(world, payment_id)


BY_PHONE = {"kind": "phone", "phone": "+8613800138000"}


def picked(**fields: str) -> dict[str, Any]:
    return {**NAME, "element": BY_PHONE, "fields": {"username": "li", "institution": BANK.id, **fields}}


async def test_the_payer_picks_the_back_end_and_shows_the_number_beside_the_name(world: MemoryPlatform) -> None:
    connector = await world.back_end(BANK)
    await world.back_end(bank("20000002", numbers=NumberPolicy.BACK_END))
    await enrol(world, "li", "correct horse", "48151623")
    payment_id = await join(world, picked(number="48151623"), password("correct horse", BY_PHONE))
    await carry(world.platform, payment_id)
    assert [ACCOUNT] == [instruction.credential for instruction in connector.instructions]


@pytest.mark.parametrize(
    ("fields", "reason"), [({}, "number_missing"), ({"number": "48151624"}, "wrong_number")], ids=["none", "guessed"]
)
async def test_a_password_without_the_number_pays_nothing_where_the_institution_has_numbers(
    world: MemoryPlatform, fields: dict[str, str], reason: str
) -> None:
    connector = await world.back_end(BANK)
    await enrol(world, "li", "correct horse", "48151623")
    payment_id = await join(world, picked(**fields), password("correct horse", BY_PHONE))
    await carry(world.platform, payment_id)
    assert [] == connector.instructions
    assert (PaymentState.REFUSED, reason) == await state_of(world, payment_id)


async def test_a_number_that_nobody_was_given_never_joins_and_is_answered_like_any_other(world: MemoryPlatform) -> None:
    connector = await world.back_end(BANK)
    await enrol(world, "li", "correct horse", "48151623")
    guessed = {**NUMBER, "number": "48151624"}
    known = await send_part(world, world.members["pc"], NAME)
    unknown = await send_part(world, world.members["voice"], {**NAME, "element": guessed})
    assert alike(known.body) == alike(unknown.body)
    assert None is await send(world, "phone", password("correct horse", guessed))
    await world.clock.advance(limits.SECRET_LIFE_MS)
    assert 2 == await expire(world.platform)
    await later(world)
    assert [] == connector.instructions


def alike(receipt: bytes) -> object:
    """Return what an answer tells beyond the random id of the part."""
    told = msgspec.json.decode(receipt)
    return {**told, "part": len(told["part"])}


# Fate


@pytest.mark.parametrize("first", list(Fate))
async def test_a_fate_is_decided_once_whoever_comes_first(world: MemoryPlatform, first: Fate) -> None:
    await send(world, "pc", CARD)
    (payment_id,) = world.store._books._waiting.rows()

    async def decide(fate: Fate) -> bool:
        return await world.store.transact(lambda books: books.decide_fate(payment_id, fate, world.clock.now()))

    won = await asyncio.gather(*(decide(fate) for fate in (first, *Fate)))
    assert [True, False, False, False] == list(won)
    assert first is (await payment_of(world, payment_id)).fate


async def test_parts_that_expired_do_not_join_with_later_ones(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD)
    await world.clock.advance(limits.SECRET_LIFE_MS)
    assert None is await send(world, "phone", PIN)


async def test_a_part_joins_until_just_before_the_expiry(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD)
    await world.clock.advance(limits.SECRET_LIFE_MS - 1)
    assert None is not await send(world, "phone", PIN)


async def test_parts_of_another_phone_or_policy_never_join(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD)
    other = {"kind": "phone", "phone": "+8613800138001"}
    assert None is await send(world, "phone", {**PIN, "element": other})
    assert None is await send(world, "voice", {**PIN, "policy": "card-3"})


async def test_one_channel_never_supplies_two_parts(world: MemoryPlatform) -> None:
    await send(world, "pc", CARD)
    with pytest.raises(SameChannel):
        await send(world, "pc", PIN)


async def test_two_channels_of_one_certificate_never_supply_two_parts(world: MemoryPlatform) -> None:
    twin = await world.channel("twin", certificate=world.members["pc"].certificate)
    await send(world, "pc", CARD)
    with pytest.raises(SameChannel):
        await send_part(world, twin, PIN)
