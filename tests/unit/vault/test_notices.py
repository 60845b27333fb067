"""The outbox of notices."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tallystick.errors import StoreFailed
from tallystick.testing.clock import VirtualClock
from tallystick.testing.desk import BreakingStore, VaultDesk
from tallystick.testing.inbox import RecordingCarrier, waiting_notices
from tallystick.vault.model import Medium, Notice
from tallystick.vault.notices import (
    AHEAD_MS,
    ATTEMPTS_MAX,
    DELAY_MAX_MS,
    DELAY_MIN_MS,
    HELD_MS,
    PER_SECOND,
    SEND_MAX_MS,
    Message,
    Round,
    seal_notice,
    send_due,
)

MESSAGE = Message(address="+4915112345678", subject="A subject", text="A text with a number 12345678")


@pytest.fixture
def desk() -> VaultDesk:
    return VaultDesk()


async def put(desk: VaultDesk, medium: Medium = Medium.SMS) -> Notice:
    notice = seal_notice(desk.keyring, desk.randomness, medium, MESSAGE, desk.clock.now())
    await desk.store.transact(lambda book: book.add_notice(notice))
    return notice


async def waiting(desk: VaultDesk) -> list[Notice]:
    return await waiting_notices(desk.store)


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
    whole, desk.store = desk.store, BreakingStore(desk.store, 2, late=False)
    with pytest.raises(StoreFailed):
        await go(desk, carrier)
    desk.store = whole
    await go(desk, carrier)
    assert len(carrier.sent) == 1
    desk.clock.pass_by(HELD_MS)
    await go(desk, carrier)
    assert [sent.reference for sent in carrier.sent] == [notice.id, notice.id]


async def test_no_more_than_the_limit_are_sent(desk: VaultDesk) -> None:
    for _ in range(3):
        await put(desk)
    assert (await go(desk, RecordingCarrier(), 2)).sent == 2
    assert len(await waiting(desk)) == 1


class TimingCarrier:
    """Note when each message was handed over; each hand-over takes `takes` ms."""

    def __init__(self, clock: VirtualClock, takes: int) -> None:
        self._clock = clock
        self._takes = takes
        self.at: list[int] = []

    async def send(self, reference: str, address: str, subject: str, text: str) -> None:  # the port's
        self.at.append(self._clock.now())
        await self._clock.sleep(self._takes / 1_000)


class SlowStore:
    """A store in which every transaction lets `ms` go by once it is durable."""

    def __init__(self, desk: VaultDesk, ms: int) -> None:
        self._desk = desk
        self._ms = ms

    async def transact(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        result = await self._desk.store.transact(work)
        self._desk.clock.pass_by(self._ms)
        return result


async def rounds(desk: VaultDesk, clock: VirtualClock, carrier: TimingCarrier, per_second: int, senders: int) -> None:
    """Let several processes send for five seconds, each as its sweep does."""

    async def process() -> None:
        while True:
            pace = {Medium.SMS: per_second}
            done = await send_due(desk.store, desk.keyring, {Medium.SMS: carrier}, clock, 200, per_second=pace)
            await clock.sleep(0.001 if done.sent else AHEAD_MS / 1_000)

    tasks = [asyncio.create_task(process()) for _ in range(senders)]
    for _ in range(1_000):
        await clock.advance(5)
        for _ in range(5):
            await asyncio.sleep(0)  # whoever woke goes on until it sleeps again
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(("per_second", "senders"), [(1, 3), (40, 1), (40, 3)])
async def test_all_processes_together_send_no_faster_than_the_provider_takes_it(
    desk: VaultDesk, per_second: int, senders: int
) -> None:
    clock = VirtualClock(desk.clock.now())
    for _ in range(300):
        await put(desk)
    carrier = TimingCarrier(clock, takes=20)
    await rounds(desk, clock, carrier, per_second, senders)
    busiest = max(sum(begin <= at < begin + 1_000 for at in carrier.at) for begin in carrier.at)
    assert busiest <= per_second + 1  # a send that woke a step late is near the one behind it
    assert len(carrier.at) >= 5 * per_second * 0.9


async def test_processes_at_once_send_no_notice_twice(desk: VaultDesk) -> None:
    for _ in range(12):
        await put(desk)
    carrier = RecordingCarrier()
    await asyncio.gather(*(go(desk, carrier, 5) for _ in range(4)))
    assert 12 == len({sent.reference for sent in carrier.sent}) == len(carrier.sent)


async def test_a_notice_whose_turn_came_too_late_is_left_to_the_next_round(desk: VaultDesk) -> None:
    await put(desk)
    carrier = RecordingCarrier()
    slow = SlowStore(desk, HELD_MS - SEND_MAX_MS + 1)
    assert Round(sent=0, delayed=0, given_up=0) == await send_due(
        slow, desk.keyring, {Medium.SMS: carrier}, desk.clock, 10
    )
    assert carrier.sent == []
    desk.clock.pass_by(HELD_MS)
    assert 1 == (await go(desk, carrier)).sent


async def test_a_booked_provider_takes_nothing_more_until_its_time_comes(desk: VaultDesk) -> None:
    await put(desk)
    await desk.store.transact(lambda book: book.book_pace(Medium.SMS, desk.clock.now(), AHEAD_MS))
    assert 0 == (await go(desk, RecordingCarrier())).sent
    desk.clock.pass_by(1_000 // PER_SECOND)
    assert 1 == (await go(desk, RecordingCarrier())).sent
