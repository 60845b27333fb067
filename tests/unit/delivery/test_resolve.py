"""An unknown outcome is found out, undone or handed to a person: never sent as a new authorisation."""

import asyncio
from collections.abc import Sequence

import pytest

from tallystick import doubts, limits
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import Payment
from tallystick.delivery.deliver import request_key
from tallystick.delivery.model import (
    Answer,
    Finding,
    Intent,
    IntentKind,
    IntentState,
    Known,
    MessageIds,
    Original,
    Recovery,
    Verdict,
)
from tallystick.delivery.resolve import (
    BACKOFF_MAX_S,
    INQUIRIES_MAX,
    LEASE_MS,
    PENDING_MAX,
    case_of,
    notified,
    settle_by_hand,
)
from tallystick.errors import AlreadyFinal, Conflict, KeyUnknown, NotFound, NotSent, OutcomeUnknown, ReversalRefused
from tallystick.path import carry
from tallystick.runtime import Millis
from tallystick.testing.connector import HANG, ScriptedConnector, Step
from tallystick.testing.messages import send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform

PAN = "6212142600000000043"
ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY"}
DOUBT = OutcomeUnknown("time-out")
INQUIRY, REVERSAL = Recovery.INQUIRY, Recovery.REVERSAL
APPROVED = Finding(known=Known.APPROVED, code="00")
DECLINED = Finding(known=Known.DECLINED, code="51")
PENDING, NOT_FOUND = Finding(known=Known.PENDING), Finding(known=Known.NOT_FOUND)


class Case:
    """One joined payment and the scripted back end it goes to."""

    def __init__(self, world: MemoryPlatform, connector: ScriptedConnector, payment_id: str) -> None:
        self.world, self.connector, self.payment_id = world, connector, payment_id

    async def payment(self) -> Payment:
        found = await self.world.store.read(lambda books: books.payment(self.payment_id))
        assert found is not None
        return found

    async def state(self) -> PaymentState:
        return (await self.payment()).state

    async def intents(self) -> list[Intent]:
        return await self.world.store.read(lambda books: books.intents(self.payment_id))

    async def kinds(self) -> list[tuple[IntentKind, IntentState]]:
        return [(intent.kind, intent.state) for intent in await self.intents()]

    async def pass_time(self, ms: int, rounds: int = 1) -> None:
        for _ in range(rounds):
            await self.world.clock.advance(ms)
            await doubts.take_up(self.world.platform)
            await doubts.pursue_due(self.world.platform)

    async def tell(self, finding: Finding, n: int = 1, back_end: str = "10000001") -> bool:
        key, at = request_key(self.payment_id, n), self.world.clock.now()
        return await self.world.store.transact(lambda books: notified(books, back_end, key, finding, at))


async def joined(
    step: Step = DOUBT,
    *,
    recovery: Sequence[Recovery] = (),
    findings: Sequence[Finding | BaseException] = (),
    reversals: Sequence[str | BaseException] = (),
    keeps_account: bool = False,
) -> Case:
    world = await memory_platform()
    for channel_id in ("pc", "phone"):
        await world.channel(channel_id)
    connector = ScriptedConnector(
        step, recovery=frozenset(recovery), findings=findings, reversals=reversals, keeps_account=keeps_account
    )
    await world.back_end(bank(), connector)
    base = {"policy": "card", "element": {"kind": "phone", "phone": "+8613800138000"}}
    card = {**base, "fields": {"pan": PAN, "expiry": "3012"}, "order": ORDER}
    await send_part(world, world.members["pc"], card)
    pin = {**base, "fields": {"pin_block": "1412348F0A3B5C7D"}}
    payment_id = (await send_part(world, world.members["phone"], pin)).joined
    assert payment_id is not None
    return Case(world, connector, payment_id)


async def doubted(step: Step = DOUBT, **how: object) -> Case:
    case = await joined(step, **how)  # type: ignore[arg-type]  # the keywords of `joined`
    await carry(case.world.platform, case.payment_id)
    return case


async def test_without_inquiry_and_reversal_a_person_decides() -> None:
    case = await doubted()
    assert PaymentState.MANUAL is await case.state()
    assert [(IntentKind.AUTHORISATION, IntentState.MANUAL)] == await case.kinds()
    assert 1 == len(case.connector.instructions)


@pytest.mark.parametrize(
    ("finding", "after"),
    [(APPROVED, PaymentState.APPROVED), (DECLINED, PaymentState.DECLINED)],
    ids=["approved", "declined"],
)
async def test_an_inquiry_tells_the_outcome_at_once(finding: Finding, after: PaymentState) -> None:
    case = await doubted(recovery=[INQUIRY, REVERSAL], findings=[finding])
    assert (after, finding.code) == ((p := await case.payment()).state, p.response_code)
    assert IntentState.DONE is (await case.intents())[1].state
    assert ([1, 1, 0]) == [
        len(x) for x in (case.connector.instructions, case.connector.inquiries, case.connector.reversed)
    ]


async def test_a_request_that_is_not_known_is_reversed_so_that_it_has_no_effect_later() -> None:
    case = await doubted(recovery=[INQUIRY, REVERSAL], findings=[NOT_FOUND], reversals=["25"])
    assert (PaymentState.REVERSED, "25") == ((p := await case.payment()).state, p.response_code)
    assert [
        (IntentKind.AUTHORISATION, IntentState.REVERSED),
        (IntentKind.INQUIRY, IntentState.DONE),
        (IntentKind.REVERSAL, IntentState.DONE),
    ] == await case.kinds()


async def test_a_pending_request_is_asked_for_again_with_growing_waits() -> None:
    case = await doubted(recovery=[INQUIRY], findings=[PENDING, PENDING, APPROVED])
    assert PaymentState.INQUIRY is await case.state()
    await case.pass_time(400)
    assert 1 == len(case.connector.inquiries)
    await case.pass_time(1_000)
    assert 2 == len(case.connector.inquiries)
    await case.pass_time(2_000)
    assert PaymentState.APPROVED is await case.state()


async def test_a_reversal_is_repeated_with_the_same_identifiers_until_it_is_acknowledged() -> None:
    silent = [OutcomeUnknown("no answer"), NotSent("no connection"), RuntimeError("odd")]
    case = await doubted(recovery=[REVERSAL], reversals=[*silent, "00"])
    await case.pass_time(400_000, rounds=3)
    assert PaymentState.REVERSED is await case.state()
    sent = case.connector.reversed
    assert [False, True, True, True] == [repeat for _, _, repeat in sent]
    assert 1 == len({ids for _, ids, _ in sent})
    assert sent[0][1].stan != (await case.intents())[0].ids.stan
    assert 1 == len(case.connector.instructions)


async def test_a_reversal_is_recorded_in_the_transaction_that_records_the_doubt() -> None:
    case = await doubted(recovery=[REVERSAL], reversals=[HANG_UP])
    assert [(IntentKind.AUTHORISATION, IntentState.UNKNOWN), (IntentKind.REVERSAL, IntentState.SENDING)] == (
        await case.kinds()
    )


HANG_UP = OutcomeUnknown("no answer")


async def test_a_reversal_nobody_acknowledges_goes_to_a_person_after_a_day() -> None:
    case = await doubted(recovery=[REVERSAL], reversals=[HANG_UP] * 1_000)
    await case.pass_time(400_000, rounds=limits.RECOVERY_LIFE_MS // 400_000 - 1)
    assert PaymentState.INQUIRY is await case.state()
    await case.pass_time(400_000, rounds=3)
    assert (PaymentState.MANUAL, "not_told_in_time") == ((p := await case.payment()).state, p.reason)
    assert {IntentState.MANUAL} == {intent.state for intent in await case.intents()}


async def test_a_reversal_the_back_end_refuses_goes_to_a_person_at_once() -> None:
    case = await doubted(recovery=[REVERSAL], reversals=[ReversalRefused("settled already")])
    assert (PaymentState.MANUAL, "reversal_refused") == ((p := await case.payment()).state, p.reason)
    await case.pass_time(400_000, rounds=3)
    assert 1 == len(case.connector.reversed)


@pytest.mark.parametrize(
    ("findings", "inquiries"),
    [([NOT_FOUND] * 99, INQUIRIES_MAX), ([PENDING] * 99, PENDING_MAX)],
    ids=["unknown", "pending"],
)
async def test_a_back_end_that_cannot_reverse_is_asked_a_bounded_number_of_times(
    findings: list[Finding], inquiries: int
) -> None:
    case = await doubted(recovery=[INQUIRY], findings=findings)
    await case.pass_time(300_000, rounds=PENDING_MAX + 5)
    assert (PaymentState.MANUAL, inquiries) == (await case.state(), len(case.connector.inquiries))


async def test_inquiries_without_an_answer_lead_to_a_reversal() -> None:
    case = await doubted(recovery=[INQUIRY, REVERSAL], findings=[HANG_UP] * 99)
    await case.pass_time(300_000, rounds=INQUIRIES_MAX)
    assert (PaymentState.REVERSED, INQUIRIES_MAX) == (await case.state(), len(case.connector.inquiries))


async def test_many_processes_that_pursue_one_reversal_send_it_once_at_a_time() -> None:
    case = await doubted(recovery=[REVERSAL], reversals=[HANG_UP] * 99)
    await case.world.clock.advance(400_000)
    await asyncio.gather(*(doubts.pursue_due(case.world.platform) for _ in range(10)))
    assert 2 == len(case.connector.reversed)


async def test_a_crash_before_the_outcome_is_made_good_after_the_restart() -> None:
    case = await joined(HANG, recovery=[REVERSAL], reversals=["00"], keeps_account=True)
    task = asyncio.create_task(carry(case.world.platform, case.payment_id))
    while not case.connector.instructions:  # noqa: ASYNC110  # a scripted connector has no event to wait for
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await case.world.crash()
    assert PaymentState.UNKNOWN is await case.state()
    await case.pass_time(0)
    assert PaymentState.REVERSED is await case.state()
    ((original, _, _),) = case.connector.reversed
    assert original.account is not None
    assert PAN == original.account.reveal()


async def test_a_reversal_whose_card_number_is_gone_for_good_goes_to_a_person() -> None:
    case = await doubted(recovery=[REVERSAL], reversals=[HANG_UP] * 9, keeps_account=True)
    await case.world.clock.advance(limits.EPOCH_MS)
    case.world.recovery_keys._keys.clear()
    await case.pass_time(400_000)
    assert (PaymentState.MANUAL, "account_gone") == ((p := await case.payment()).state, p.reason)


async def test_the_key_of_a_card_number_lives_as_long_as_its_outcome_is_open() -> None:
    case = await doubted(recovery=[REVERSAL], reversals=[HANG_UP] * 9, keeps_account=True)
    keys, store, clock = case.world.recovery_keys, case.world.store, case.world.clock
    (epoch,) = await store.read(lambda books: books.accounts_kept())
    await clock.advance(3 * limits.EPOCH_MS)
    assert [] == keys.destroy_unused(clock.now(), await store.read(lambda books: books.accounts_kept()))
    await case.tell(APPROVED)
    await store.transact(
        lambda books: settle_by_hand(books, case.payment_id, Known.REVERSED, "asked the bank", clock.now())
    )
    assert [epoch] == keys.destroy_unused(clock.now(), await store.read(lambda books: books.accounts_kept()))


async def test_a_back_end_may_tell_the_outcome_by_itself() -> None:
    case = await doubted(recovery=[INQUIRY], findings=[PENDING] * 9)
    assert [False, True, False, False] == [
        await case.tell(finding) for finding in (PENDING, DECLINED, DECLINED, APPROVED)
    ]
    assert (PaymentState.DECLINED, "51") == ((p := await case.payment()).state, p.response_code)
    await case.pass_time(400_000, rounds=3)
    assert 1 == len(case.connector.inquiries)


async def test_an_outcome_told_before_the_answer_counts_and_the_answer_changes_nothing() -> None:
    case = await joined(HANG)

    async def told_first(_: object) -> Answer:
        assert True is await case.tell(DECLINED)
        return Answer(verdict=Verdict.APPROVED, code="00")

    case.connector._script[:] = [told_first]
    await carry(case.world.platform, case.payment_id)
    assert PaymentState.DECLINED is await case.state()


async def test_a_late_approval_after_a_reversal_was_recorded_never_shows_as_paid() -> None:
    case = await doubted(recovery=[REVERSAL], reversals=[HANG_UP])
    assert False is await case.tell(APPROVED)
    await case.pass_time(400_000)
    assert PaymentState.REVERSED is await case.state()
    assert False is await case.tell(APPROVED)


@pytest.mark.parametrize(("n", "back_end"), [(2, "10000001"), (1, "10000002"), (3, "10000001")])
async def test_an_outcome_told_for_another_request_or_by_another_back_end_is_refused(n: int, back_end: str) -> None:
    case = await doubted(recovery=[INQUIRY], findings=[PENDING])
    with pytest.raises(NotFound):
        await case.tell(APPROVED, n, back_end)
    with pytest.raises(NotFound):
        await case.world.store.transact(lambda books: notified(books, "10000001", "odd", APPROVED, Millis(1)))
    assert PaymentState.INQUIRY is await case.state()


@pytest.mark.parametrize(
    ("known", "after"),
    [
        (Known.APPROVED, PaymentState.APPROVED),
        (Known.DECLINED, PaymentState.DECLINED),
        (Known.REVERSED, PaymentState.REVERSED),
    ],
)
async def test_a_person_settles_what_no_machine_could_and_only_once(known: Known, after: PaymentState) -> None:
    case = await doubted()
    store, at = case.world.store, case.world.clock.now()
    await store.transact(lambda books: settle_by_hand(books, case.payment_id, known, "asked the bank", at))
    assert (after, "asked the bank") == ((p := await case.payment()).state, p.reason)
    with pytest.raises(AlreadyFinal):
        await store.transact(lambda books: settle_by_hand(books, case.payment_id, Known.APPROVED, "again", at))
    with pytest.raises(NotFound):
        await store.transact(lambda books: settle_by_hand(books, "pay_none", Known.APPROVED, "none", at))


async def test_no_outcome_is_settled_by_hand_while_it_is_not_in_doubt() -> None:
    case = await joined()
    with pytest.raises(AlreadyFinal):
        await case.world.store.transact(
            lambda books: settle_by_hand(books, case.payment_id, Known.APPROVED, "hasty", Millis(1))
        )


class SlowConnector(ScriptedConnector):
    """Answer the first inquiry only when the test says so."""

    def __init__(self, *script: Step, **how: object) -> None:
        super().__init__(*script, **how)  # type: ignore[arg-type]  # the keywords of ScriptedConnector
        self.first: asyncio.Future[Finding] = asyncio.get_running_loop().create_future()

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:
        if self.inquiries:
            return await super().inquire(original, ids)
        self.inquiries.append(original)
        return await self.first


async def overtaken() -> tuple[Case, SlowConnector, asyncio.Task[None]]:
    """Leave an inquiry without an answer until another one was asked and went on to a reversal that is under way."""
    case = await joined()
    slow = SlowConnector(DOUBT, recovery=frozenset({INQUIRY, REVERSAL}), findings=[NOT_FOUND], reversals=[HANG_UP])
    case.world.connectors.by_institution["10000001"] = case.connector = slow
    first = asyncio.create_task(carry(case.world.platform, case.payment_id))
    while not slow.inquiries:  # noqa: ASYNC110  # a scripted connector has no event to wait for
        await asyncio.sleep(0)
    await case.pass_time(LEASE_MS)
    assert (2, 1) == (len(slow.inquiries), len(slow.reversed))
    return case, slow, first


@pytest.mark.parametrize("finding", [APPROVED, DECLINED, PENDING, NOT_FOUND], ids=lambda finding: finding.known)
async def test_an_inquiry_answered_after_a_reversal_was_recorded_changes_nothing(finding: Finding) -> None:
    case, slow, first = await overtaken()
    slow.first.set_result(finding)
    await first
    assert PaymentState.INQUIRY is await case.state()
    await case.pass_time(400_000)
    assert PaymentState.REVERSED is await case.state()
    assert 2 == len(slow.reversed)


async def test_an_inquiry_that_gives_up_after_a_reversal_was_recorded_does_not_end_the_reversal() -> None:
    case, slow, first = await overtaken()
    slow.first.set_exception(KeyUnknown("gone"))
    await first
    assert PaymentState.INQUIRY is await case.state()
    await case.pass_time(400_000)
    assert PaymentState.REVERSED is await case.state()


async def test_what_another_caller_has_sent_since_it_was_listed_is_not_sent_again() -> None:
    case = await doubted(recovery=[REVERSAL], reversals=[HANG_UP] * 9)
    await case.world.clock.advance(2_000)
    store, now = case.world.store, case.world.clock.now()
    (listed,) = await store.read(lambda books: books.due_intents(now, 9))
    assert await store.read(lambda books: case_of(books, listed)) is not None
    await doubts.pursue_due(case.world.platform)
    assert await store.read(lambda books: case_of(books, listed)) is None


async def test_an_approval_by_hand_waits_for_the_end_of_a_reversal() -> None:
    case = await doubted(recovery=[REVERSAL], reversals=[HANG_UP, ReversalRefused("settled already")])
    store, at = case.world.store, case.world.clock.now()

    async def settle(known: Known) -> None:
        await store.transact(lambda books: settle_by_hand(books, case.payment_id, known, "asked the bank", at))

    with pytest.raises(Conflict):
        await settle(Known.APPROVED)
    assert PaymentState.INQUIRY is await case.state()
    await case.pass_time(2_000)
    assert PaymentState.MANUAL is await case.state()
    await settle(Known.APPROVED)
    assert PaymentState.APPROVED is await case.state()


async def test_doubts_about_a_back_end_whose_connector_is_gone_wait_their_time_and_go_to_a_person() -> None:
    case = await doubted(recovery=[INQUIRY, REVERSAL], findings=[PENDING])
    other = await doubted(recovery=[INQUIRY], findings=[HANG_UP])
    case.world.connectors.by_institution.clear()
    await case.pass_time(400_000, rounds=9)
    tries = (await case.intents())[1].tries
    assert (PaymentState.INQUIRY, True) == (await case.state(), 1 < tries <= 10)
    await case.pass_time(2 * round(BACKOFF_MAX_S) * 1_000, rounds=limits.RECOVERY_LIFE_MS // 600_000)
    assert (PaymentState.MANUAL, "not_told_in_time") == ((p := await case.payment()).state, p.reason)
    assert PaymentState.INQUIRY is await other.state()


async def test_a_doubt_after_a_crash_is_settled_when_its_connector_comes_back() -> None:
    case = await joined(HANG, recovery=[REVERSAL])
    task = asyncio.create_task(carry(case.world.platform, case.payment_id))
    while not case.connector.instructions:  # noqa: ASYNC110  # as above
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await case.world.crash()
    case.world.connectors.by_institution.clear()
    await case.pass_time(400_000, rounds=3)
    assert PaymentState.INQUIRY is await case.state()
    case.world.connectors.by_institution["10000001"] = case.connector
    await case.pass_time(400_000)
    assert PaymentState.REVERSED is await case.state()


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        ([INQUIRY], [REVERSAL], PaymentState.REVERSED),
        ([INQUIRY], [], PaymentState.MANUAL),
        ([REVERSAL], [INQUIRY], PaymentState.MANUAL),
    ],
)
async def test_a_connector_set_up_anew_is_asked_only_for_what_it_can_do(
    before: list[Recovery], after: list[Recovery], ends: PaymentState
) -> None:
    case = await doubted(recovery=before, findings=[HANG_UP], reversals=[HANG_UP])
    inquiries = len(case.connector.inquiries)
    case.connector.recovery = frozenset(after)
    await case.pass_time(2_000, rounds=2)
    assert (ends, inquiries) == (await case.state(), len(case.connector.inquiries))


async def test_a_doubt_is_recorded_also_when_no_trace_number_is_left_for_its_inquiry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tallystick.testing.memory_intents.STAN_MAX", 1)
    case = await doubted(recovery=[REVERSAL])
    assert PaymentState.UNKNOWN is await case.state()
    await case.pass_time(400_000)
    assert PaymentState.UNKNOWN is await case.state()
    await case.pass_time(3_600_000)
    assert PaymentState.REVERSED is await case.state()
