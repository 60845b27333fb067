"""The outbox of notices."""

import pytest
from msgspec.structs import replace

from tallystick.errors import StoreFailed
from tallystick.runtime import Millis
from tallystick.testing.desk import BreakingStore, VaultDesk
from tallystick.testing.inbox import RecordingCarrier
from tallystick.vault.model import Medium, Notice
from tallystick.vault.notices import ATTEMPTS_MAX, DELAY_MAX_MS, DELAY_MIN_MS, Message, Round, seal_notice, send_due

MESSAGE = Message(address="+4915112345678", subject="A subject", text="A text with a number 12345678")


@pytest.fixture
def desk() -> VaultDesk:
    return VaultDesk()


async def put(desk: VaultDesk, medium: Medium = Medium.SMS) -> Notice:
    notice = seal_notice(desk.keyring, desk.randomness, medium, MESSAGE, desk.clock.now())
    await desk.store.transact(lambda book: book.add_notice(notice))
    return notice


async def waiting(desk: VaultDesk) -> list[Notice]:
    far = Millis(desk.clock.now() + 10 * DELAY_MAX_MS)
    return await desk.store.transact(lambda book: book.due_notices(far, 100))


async def go(desk: VaultDesk, carrier: RecordingCarrier, limit: int = 10) -> Round:
    return await send_due(desk.store, desk.keyring, {Medium.SMS: carrier}, desk.clock, limit)


async def test_a_notice_is_sent_once_and_erased(desk: VaultDesk) -> None:
    notice = await put(desk)
    carrier = RecordingCarrier()
    for sent in (1, 0):
        assert await go(desk, carrier) == Round(sent=sent, delayed=0, given_up=0)
    assert carrier.sent == [(notice.id, MESSAGE.address, MESSAGE.subject, MESSAGE.text)]
    assert await waiting(desk) == []


async def test_address_and_text_are_sealed_while_they_wait(desk: VaultDesk) -> None:
    notice = await put(desk)
    assert b"12345678" not in notice.sealed


async def test_failures_are_retried_after_delays_that_double_up_to_a_bound(desk: VaultDesk) -> None:
    await put(desk)
    carrier = RecordingCarrier(failures=ATTEMPTS_MAX - 1)
    delays = []
    while (await go(desk, carrier)).delayed:
        (notice,) = await waiting(desk)
        delays.append(notice.due_at - desk.clock.now())
        desk.clock.time = notice.due_at
    assert delays[:3] == [DELAY_MIN_MS, 2 * DELAY_MIN_MS, 4 * DELAY_MIN_MS]
    assert delays[-1] == DELAY_MAX_MS
    assert len(carrier.sent) == 1


async def test_after_the_last_attempt_a_notice_is_given_up(desk: VaultDesk) -> None:
    await put(desk)
    carrier = RecordingCarrier(failures=ATTEMPTS_MAX)
    rounds = []
    for _ in range(ATTEMPTS_MAX):
        rounds.append(await go(desk, carrier))
        desk.clock.pass_by(DELAY_MAX_MS)
    assert rounds[-1] == Round(sent=0, delayed=0, given_up=1)
    assert sum(each.delayed for each in rounds) == ATTEMPTS_MAX - 1
    assert await waiting(desk) == []


async def test_a_medium_without_a_carrier_waits_and_the_others_go_out(desk: VaultDesk) -> None:
    await put(desk, Medium.EMAIL)
    await put(desk, Medium.SMS)
    assert await go(desk, RecordingCarrier()) == Round(sent=1, delayed=1, given_up=0)


async def test_an_address_that_does_not_exist_and_a_damaged_notice_are_given_up_at_once(desk: VaultDesk) -> None:
    await put(desk)
    damaged = seal_notice(desk.keyring, desk.randomness, Medium.SMS, MESSAGE, desk.clock.now())
    await desk.store.transact(lambda book: book.add_notice(replace(damaged, id="ntc_other")))
    carrier = RecordingCarrier()
    carrier.gone.add(MESSAGE.address)
    assert await go(desk, carrier) == Round(sent=0, delayed=0, given_up=2)


async def test_a_crash_after_the_hand_over_sends_again_under_the_same_reference(desk: VaultDesk) -> None:
    notice = await put(desk)
    carrier = RecordingCarrier()
    whole, desk.store = desk.store, BreakingStore(desk.store, 1, late=False)
    with pytest.raises(StoreFailed):
        await go(desk, carrier)
    desk.store = whole
    await go(desk, carrier)
    assert [sent.reference for sent in carrier.sent] == [notice.id, notice.id]


async def test_no_more_than_the_limit_are_sent(desk: VaultDesk) -> None:
    for _ in range(3):
        await put(desk)
    assert (await go(desk, RecordingCarrier(), 2)).sent == 2
    assert len(await waiting(desk)) == 1
