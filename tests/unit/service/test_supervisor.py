"""The supervisor: processes start, die, roll and drain in the right order, whatever they do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tallystick.errors import Misconfigured
from tallystick.service.supervisor import (
    END_MAX_S,
    HUNG_LOOKS,
    LOOK_EVERY_S,
    REST_FIRST_S,
    REST_MAX_S,
    SETTLED_MS,
    Process,
    Supervisor,
    rest_s,
)
from tallystick.testing.clock import VirtualClock

STEP_MS = 100  # ms
BREATHS = 20  # turns of the event loop after which nothing more happens by itself


class FakeProcess:
    """A process that does what it is told at once, unless it is made stubborn."""

    def __init__(self, house: "House", seat: int, number: int) -> None:
        self._house = house
        self.name = f"{seat}.{number}"
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.begun = asyncio.Event()
        self.fails = self.hung = False

    async def ready(self) -> None:
        await self.begun.wait()
        if self.fails:
            raise Misconfigured("it ended before it served; see its log")
        self._house.note(f"{self.name} ready")

    async def ended(self) -> int:
        return await asyncio.shield(self._code)

    async def ask(self, path: str) -> bytes | None:
        assert "/livez" == path
        return None if self.hung else b"{}"

    def drain(self) -> None:
        self._house.note(f"{self.name} drain")
        if not self._house.stubborn:
            self.die(0)

    def leave(self) -> None:
        self._house.note(f"{self.name} leave")
        if not self._house.stubborn:
            self.die(0)

    def kill(self) -> None:
        self._house.note(f"{self.name} kill")
        self.die(-9)

    def die(self, code: int) -> None:
        if not self._code.done():
            self._code.set_result(code)


@dataclass
class House:
    """Who launches fakes, and what happened to them in order."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    notes: list[str] = field(default_factory=list)
    made: dict[str, FakeProcess] = field(default_factory=dict)
    slow: bool = False
    failing: bool = False
    stubborn: bool = False

    def note(self, text: str) -> None:
        self.notes.append(text)

    def taken(self) -> list[str]:
        """Return what happened since it was last asked for."""
        told, self.notes = self.notes, []
        return told

    async def launch(self, seat: int) -> Process:
        process = FakeProcess(self, seat, 1 + sum(name.startswith(f"{seat}.") for name in self.made))
        self.made[process.name] = process
        process.fails = self.failing
        if not self.slow:
            process.begun.set()
        return process


async def breathe() -> None:
    for _ in range(BREATHS):
        await asyncio.sleep(0)


async def pass_s(house: House, seconds: float) -> None:
    left = round(seconds * 1000)
    while left > 0:
        await breathe()  # whoever is about to sleep sleeps before the time goes on
        await house.clock.advance(min(left, STEP_MS))
        left -= STEP_MS
    await breathe()


@pytest.fixture
async def house() -> House:
    return House()


@pytest.fixture
async def supervisor(house: House) -> AsyncIterator[Supervisor]:
    made = Supervisor(house.launch, 2, house.clock)
    yield made
    house.stubborn = False
    await made.stop(asyncio.Event())


async def started(supervisor: Supervisor, house: House) -> None:
    await supervisor.start()
    assert ["1.1 ready", "2.1 ready"] == house.taken()


async def test_the_first_is_ready_before_the_others_begin(supervisor: Supervisor, house: House) -> None:
    house.slow = True
    starting = asyncio.create_task(supervisor.start())
    await breathe()
    assert ["1.1"] == list(house.made)
    house.made["1.1"].begun.set()
    await breathe()
    assert ["1.1", "2.1"] == list(house.made)
    assert not starting.done()
    house.made["2.1"].begun.set()
    await starting


@pytest.mark.parametrize("failing", ["1.1", "2.1"])
async def test_a_start_that_fails_leaves_nobody_running(house: House, failing: str) -> None:
    house.slow = True
    starting = asyncio.create_task(Supervisor(house.launch, 2, house.clock).start())
    for name in ("1.1", "2.1"):
        await breathe()
        if name in house.made:
            house.made[name].fails = name == failing
            house.made[name].begun.set()
    with pytest.raises(Misconfigured, match=f"worker {failing[0]} does not start: it ended before it served"):
        await starting
    assert all([await process.ended() == -9 for process in house.made.values()])


async def test_one_that_ended_by_itself_starts_again_after_a_rest_and_the_other_is_left_alone(
    supervisor: Supervisor, house: House
) -> None:
    await started(supervisor, house)
    house.made["2.1"].die(-11)
    await pass_s(house, REST_FIRST_S - 0.01)
    assert [] == house.taken()
    await pass_s(house, 0.02)
    assert ["2.2 ready"] == house.taken()
    assert [0, 1] == [seat.restarts for seat in supervisor.seats]


async def test_rests_grow_with_each_failure_to_a_bound_and_one_that_lived_long_begins_anew(
    supervisor: Supervisor, house: House
) -> None:
    assert [0.2, 0.4, 0.8] == [rest_s(failures) for failures in (1, 2, 3)]
    assert REST_MAX_S == rest_s(50)
    await started(supervisor, house)
    house.failing = True
    house.made["1.1"].die(1)
    await pass_s(house, 0.2 + 0.4 + 0.8 + 0.1)
    assert 3 == sum(note.endswith("kill") for note in house.taken()), "each start that fails doubles the rest"
    house.failing = False
    await pass_s(house, 1.6)
    assert ["1.5 ready"] == house.taken()
    await pass_s(house, SETTLED_MS / 1000)
    house.made["1.5"].die(1)
    await pass_s(house, REST_FIRST_S)
    assert ["1.6 ready"] == house.taken()


async def test_one_that_answers_no_more_is_killed_and_replaced_and_one_that_answers_again_in_time_is_not(
    supervisor: Supervisor, house: House
) -> None:
    await started(supervisor, house)
    house.made["1.1"].hung = house.made["2.1"].hung = True
    await pass_s(house, LOOK_EVERY_S * (HUNG_LOOKS - 1))
    house.made["2.1"].hung = False
    assert [] == house.taken()
    await pass_s(house, LOOK_EVERY_S)
    assert ["1.1 kill"] == house.taken()
    await pass_s(house, LOOK_EVERY_S * HUNG_LOOKS)
    assert ["1.2 ready"] == house.taken()


async def test_a_roll_replaces_one_after_the_other_and_each_leaves_only_when_its_successor_is_ready(
    supervisor: Supervisor, house: House
) -> None:
    await started(supervisor, house)
    supervisor.roll()
    await breathe()
    assert ["1.2 ready", "1.1 leave", "2.2 ready", "2.1 leave"] == house.taken()
    await pass_s(house, REST_MAX_S)
    assert [] == house.taken(), "who left because it was told to is not started again"


async def test_a_roll_waits_until_one_has_ended_before_it_goes_on_and_kills_what_takes_too_long(
    supervisor: Supervisor, house: House
) -> None:
    await started(supervisor, house)
    house.stubborn = True
    supervisor.roll()
    await pass_s(house, END_MAX_S - 1)
    assert ["1.2 ready", "1.1 leave"] == house.taken()
    await pass_s(house, 2)
    assert ["1.1 kill", "2.2 ready", "2.1 leave"] == house.taken()


async def test_a_release_that_does_not_start_ends_the_roll_and_nobody_that_serves(
    supervisor: Supervisor, house: House
) -> None:
    await started(supervisor, house)
    house.failing = True
    supervisor.roll()
    await breathe()
    assert ["1.2 kill"] == house.taken()
    house.failing = False
    supervisor.roll()
    await breathe()
    assert ["1.3 ready", "1.1 leave", "2.2 ready", "2.1 leave"] == house.taken()


async def test_one_that_dies_while_its_successor_starts_is_not_started_twice(
    supervisor: Supervisor, house: House
) -> None:
    await started(supervisor, house)
    house.slow = True
    supervisor.roll()
    await breathe()
    house.made["1.1"].die(-9)
    await pass_s(house, REST_FIRST_S)
    house.slow = False
    house.made["1.2"].begun.set()
    await pass_s(house, REST_MAX_S)
    assert ["1.2 ready", "1.1 leave", "2.2 ready", "2.1 leave"] == house.taken()
    assert {"1.1", "1.2", "2.1", "2.2"} == house.made.keys()


async def test_a_stop_drains_all_at_once_and_says_whether_each_ended_in_good_order(
    supervisor: Supervisor, house: House
) -> None:
    await started(supervisor, house)
    assert await supervisor.stop(asyncio.Event())
    assert {"1.1 drain", "2.1 drain"} == set(house.taken())
    assert supervisor.stopping


async def test_a_second_signal_lets_them_leave_and_what_never_ends_is_killed(
    supervisor: Supervisor, house: House
) -> None:
    await started(supervisor, house)
    house.stubborn = True
    hurry = asyncio.Event()
    stopping = asyncio.create_task(supervisor.stop(hurry))
    await breathe()
    assert {"1.1 drain", "2.1 drain"} == set(house.taken())
    hurry.set()
    await breathe()
    assert {"1.1 leave", "2.1 leave"} == set(house.taken())
    await pass_s(house, END_MAX_S)
    assert {"1.1 kill", "2.1 kill"} == set(house.taken())
    assert not await stopping


async def test_a_stop_in_the_middle_of_a_roll_ends_the_one_that_starts_too(
    supervisor: Supervisor, house: House
) -> None:
    await started(supervisor, house)
    house.slow = True
    supervisor.roll()
    await breathe()
    assert await supervisor.stop(asyncio.Event())
    assert -9 == await house.made["1.2"].ended()
    assert {"1.2 kill", "1.1 drain", "2.1 drain"} == set(house.taken())
