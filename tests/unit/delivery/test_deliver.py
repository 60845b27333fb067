"""Intent, send, outcome: the compare-and-set, the identifiers, and what each ending means."""

import asyncio
import re

import pytest
from msgspec import structs

from tallystick import limits
from tallystick.assembly.facts import ElementKind, Fate, Order, PaymentState
from tallystick.assembly.model import Element, Payment
from tallystick.delivery.deliver import (
    RETRIES_MAX,
    Outcome,
    named_request,
    open_account,
    record_intent,
    request_key,
    seal_account,
    settle,
)
from tallystick.delivery.deliver import send as send_once
from tallystick.delivery.model import Instruction, Intent, IntentState, MessageIds, Recovery
from tallystick.errors import NotSent, OutcomePending, OutcomeUnknown, TooMany
from tallystick.runtime import Millis
from tallystick.secret import Pan
from tallystick.testing.clock import START, SeededRandomness, VirtualClock
from tallystick.testing.connector import APPROVED, DECLINED, HANG, ScriptedConnector, Step
from tallystick.testing.memory_intents import STAN_MAX
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.nodes import SteadyNode
from tallystick.testing.platform import MemoryEpochs
from tallystick.vault.model import CardCredential

KEY = bytes(32)
ORDER = Order(payee="Tea House", amount=1250, currency="CNY")
PAYMENT = Payment(
    id="pay_1",
    policy="card",
    element=Element(kind=ElementKind.PHONE, digest=b"d"),
    claimed=True,
    opened_at=START,
    expires_at=Millis(START + limits.SECRET_LIFE_MS),
    state=PaymentState.JOINED,
    fate=Fate.JOINED,
    order=ORDER,
    updated_at=START,
)
IDS = MessageIds(stan="000001", rrn="701508000001", key="req_1", at=START)
INSTRUCTION = Instruction(
    payment_id="pay_1",
    order=ORDER,
    ids=IDS,
    credential=CardCredential(pan=Pan("4111111111111111")),
    expires_at=PAYMENT.expires_at,
)


async def send(connector: ScriptedConnector, instruction: Instruction, until: int = PAYMENT.expires_at) -> Outcome:
    """Send before a payment expires, on a clock that jumps over waits."""
    clock = VirtualClock()
    task = asyncio.create_task(
        send_once(
            connector,
            structs.replace(instruction, expires_at=Millis(until)),
            node=SteadyNode(),
            clock=clock,
            randomness=SeededRandomness(),
        )
    )
    try:
        while not task.done():
            await asyncio.sleep(0)
            await clock.advance(100)
    except asyncio.CancelledError:
        task.cancel()
        raise
    return task.result()


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore()
    await made.transact(lambda books: books.add_payment(PAYMENT))
    return made


async def intend(store: MemoryStore, at: int = START, back_end: str = "10000001") -> Intent | None:
    return await store.transact(
        lambda books: record_intent(books, PAYMENT, back_end, 3, at=Millis(at), node="node_1", blind_key=KEY)
    )


async def intended(store: MemoryStore, at: int = START) -> Intent:
    intent = await intend(store, at)
    assert intent is not None
    return intent


async def end(store: MemoryStore, intent: Intent, state: IntentState, code: str | None = None) -> None:
    await store.transact(lambda books: settle(books, intent, Outcome(state=state, code=code), START))


async def payment(store: MemoryStore) -> Payment:
    found = await store.transact(lambda books: books.payment("pay_1"))
    assert found is not None
    return found


async def test_only_one_of_many_callers_may_send(store: MemoryStore) -> None:
    won = [intent for intent in await asyncio.gather(*(intend(store) for _ in range(10))) if intent is not None]
    assert 1 == len(won)
    assert PaymentState.DELIVERING is (await payment(store)).state


async def test_no_intent_is_recorded_from_the_expiry_on(store: MemoryStore) -> None:
    assert None is await intend(store, PAYMENT.expires_at)
    assert [] == await store.transact(lambda books: books.intents("pay_1"))
    assert None is not await intend(store, PAYMENT.expires_at - 1)


async def test_the_identifiers_have_the_forms_of_iso_8583(store: MemoryStore) -> None:
    intent = await intended(store)
    assert re.fullmatch(r"[0-9]{6}", intent.ids.stan)
    assert "701508" + intent.ids.stan == intent.ids.rrn  # 2027, day 015, hour 08
    assert ("10000001", 3, 1) == (intent.back_end, intent.table_version, intent.n)


async def test_trace_numbers_are_used_up_and_never_come_again(store: MemoryStore) -> None:
    store._books._stans.put(("10000001", "2027011508"), STAN_MAX - 1)
    intent = await intended(store)
    assert "999999" == intent.ids.stan
    await end(store, intent, IntentState.NOT_SENT)
    with pytest.raises(TooMany):
        await intend(store)
    assert PaymentState.JOINED is (await payment(store)).state
    assert None is not await intend(store, back_end="10000002")


async def test_attempts_are_bounded_and_the_last_refusal_changes_nothing(store: MemoryStore) -> None:
    for _ in range(limits.ATTEMPTS_MAX):
        await end(store, await intended(store), IntentState.NOT_SENT)
    with pytest.raises(TooMany):
        await intend(store)
    assert PaymentState.JOINED is (await payment(store)).state


async def test_the_digest_of_a_request_changes_with_every_fact_of_it(store: MemoryStore) -> None:
    first = await intended(store)
    await end(store, first, IntentState.NOT_SENT)
    second = await intended(store)
    assert first.digest != second.digest


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (APPROVED, Outcome(state=IntentState.APPROVED, code="00")),
        (DECLINED, Outcome(state=IntentState.DECLINED, code="51")),
        (NotSent("no connection"), Outcome(state=IntentState.NOT_SENT)),
        (OutcomeUnknown("time-out"), Outcome(state=IntentState.UNKNOWN)),
        (RuntimeError("odd"), Outcome(state=IntentState.UNKNOWN)),
        (ConnectionRefusedError(), Outcome(state=IntentState.UNKNOWN)),
        (TimeoutError(), Outcome(state=IntentState.UNKNOWN)),
        (MemoryError(), Outcome(state=IntentState.UNKNOWN)),
    ],
    ids=repr,
)
async def test_each_ending_of_a_send_is_told_apart_and_the_unforeseen_is_unknown(step: Step, expected: Outcome) -> None:
    connector = ScriptedConnector(step)
    assert expected == await send(connector, INSTRUCTION)
    assert [INSTRUCTION] == connector.instructions


async def test_a_cancelled_send_is_no_outcome() -> None:
    task = asyncio.create_task(send(ScriptedConnector(HANG), INSTRUCTION))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (IntentState.APPROVED, PaymentState.APPROVED),
        (IntentState.DECLINED, PaymentState.DECLINED),
        (IntentState.UNKNOWN, PaymentState.UNKNOWN),
        (IntentState.NOT_SENT, PaymentState.JOINED),
    ],
)
async def test_a_payment_follows_the_outcome_of_its_intent(
    store: MemoryStore, state: IntentState, after: PaymentState
) -> None:
    intent = await intended(store)
    await end(store, intent, state, "51")
    assert (after, "51", "10000001") == ((p := await payment(store)).state, p.response_code, p.back_end)


async def test_an_outcome_is_recorded_once_and_never_overwritten(store: MemoryStore) -> None:
    intent = await intended(store)
    await end(store, intent, IntentState.UNKNOWN)
    await end(store, intent, IntentState.APPROVED, "00")
    await end(store, intent, IntentState.NOT_SENT)
    assert PaymentState.UNKNOWN is (await payment(store)).state
    assert None is await intend(store)


def test_the_key_of_a_request_names_it_and_no_other() -> None:
    assert ("pay_0a1b", 2) == named_request(request_key("pay_0a1b", 2))
    assert [None] * 6 == [
        named_request(key) for key in ("", "req_1", "req__1", "pay_0a1b_2", "req_0a_x", "req_0a_" + "9" * 9)
    ]


async def test_a_request_is_repeated_only_where_the_back_end_acts_once_on_it() -> None:
    doubt = OutcomeUnknown("time-out")
    once = ScriptedConnector(doubt)
    assert Outcome(state=IntentState.UNKNOWN) == await send(once, INSTRUCTION)
    assert 1 == len(once.instructions)
    twice = ScriptedConnector(doubt, recovery=frozenset({Recovery.RETRY}))
    assert Outcome(state=IntentState.APPROVED, code="00") == await send(twice, INSTRUCTION)
    assert [INSTRUCTION, INSTRUCTION] == twice.instructions


async def test_repeats_are_bounded_and_end_with_the_payments_time() -> None:
    retry = frozenset({Recovery.RETRY})
    silent = ScriptedConnector(otherwise=OutcomeUnknown("time-out"), recovery=retry)
    assert Outcome(state=IntentState.UNKNOWN) == await send(silent, INSTRUCTION)
    assert 1 + RETRIES_MAX == len(silent.instructions)
    late = ScriptedConnector(otherwise=OutcomeUnknown("time-out"), recovery=retry)
    assert Outcome(state=IntentState.UNKNOWN) == await send(late, INSTRUCTION, until=START + 1)
    assert 1 == len(late.instructions)


async def test_a_repeat_that_was_not_sent_leaves_the_doubt_about_the_first() -> None:
    connector = ScriptedConnector(
        OutcomeUnknown("cut"), otherwise=NotSent("no connection"), recovery=frozenset({Recovery.RETRY})
    )
    assert Outcome(state=IntentState.UNKNOWN) == await send(connector, INSTRUCTION)


async def test_a_request_that_the_back_end_took_is_not_repeated() -> None:
    connector = ScriptedConnector(OutcomePending("later"), recovery=frozenset({Recovery.RETRY}))
    assert Outcome(state=IntentState.UNKNOWN) == await send(connector, INSTRUCTION)
    assert 1 == len(connector.instructions)


@pytest.mark.parametrize(("more", "after"), [(True, PaymentState.JOINED), (False, PaymentState.DECLINED)])
async def test_a_decline_without_effect_goes_on_only_while_others_may_be_tried(
    store: MemoryStore, *, more: bool, after: PaymentState
) -> None:
    intent, outcome = await intended(store), Outcome(state=IntentState.DECLINED, code="91", elsewhere=True)
    await store.transact(lambda books: settle(books, intent, outcome, START, more=more))
    assert (after, "91") == ((p := await payment(store)).state, p.response_code)


async def test_a_card_number_is_kept_sealed_only_while_the_outcome_is_open(store: MemoryStore) -> None:
    keys, connector = MemoryEpochs(SeededRandomness()), ScriptedConnector(keeps_account=True)
    account = seal_account(connector, INSTRUCTION.credential, "pay_1", keys, START)
    assert account is not None
    assert b"4111111111111111" not in account.sealed
    intent = await store.transact(
        lambda books: record_intent(
            books, PAYMENT, "10000001", 3, at=START, node="node_1", blind_key=KEY, account=account
        )
    )
    assert intent is not None
    opened = open_account(intent, keys)
    assert opened is not None
    assert "4111111111111111" == opened.reveal()
    assert frozenset({account.epoch}) == await store.transact(lambda books: books.accounts_kept())
    await end(store, intent, IntentState.APPROVED, "00")
    (settled,) = await store.transact(lambda books: books.intents("pay_1"))
    assert (None, None) == (settled.account, settled.epoch)


def test_no_card_number_is_kept_for_a_back_end_that_does_not_name_it_again() -> None:
    keys = MemoryEpochs(SeededRandomness())
    assert None is seal_account(ScriptedConnector(), INSTRUCTION.credential, "pay_1", keys, START)
