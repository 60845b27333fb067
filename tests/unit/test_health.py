"""Live status with hysteresis: two failures take a back end out, three successes after a rest bring it back."""

import pytest

from tallystick.delivery.books import Books
from tallystick.errors import NotSent
from tallystick.health import DOWN_AFTER, FLAPS_MS, REST_MAX_MS, REST_MS, UP_AFTER, Health, Pulse
from tallystick.routing.model import Status
from tallystick.runtime import Millis
from tallystick.testing.connector import ScriptedConnector
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform

EVERY_MS = 5_000  # between two looks, as the sweep does


class World:
    """A platform with one bank and its health."""

    def __init__(self, made: MemoryPlatform, connector: ScriptedConnector) -> None:
        self.made, self.connector = made, connector
        self.health = Health(made.store, made.connectors, made.clock)

    async def watch(self, *, answers: bool, times: int = 1) -> list[Status]:
        self.connector.echo_error = None if answers else NotSent("no connection")
        seen = []
        for _ in range(times):
            await self.health.watch()
            seen.append(await self.status())
            await self.made.clock.advance(EVERY_MS)
        return seen

    async def status(self) -> Status:
        (back_end,) = (await self.made.store.read(lambda books: books.routing_table())).back_ends
        return back_end.status

    async def say(self, status: Status) -> None:
        await self.made.store.transact(lambda books: books.put_status("10000001", status))

    async def go_down(self) -> None:
        assert Status.DOWN is (await self.watch(answers=False, times=DOWN_AFTER))[-1]


@pytest.fixture
async def world() -> World:
    made = await memory_platform()
    return World(made, await made.back_end(bank()))


async def test_one_failure_is_no_reason_and_two_in_a_row_are(world: World) -> None:
    assert [Status.ACTIVE] == await world.watch(answers=False)
    assert [Status.ACTIVE] == await world.watch(answers=True)
    assert [Status.ACTIVE, Status.DOWN] == await world.watch(answers=False, times=2)


async def test_a_back_end_comes_back_after_three_answers_in_a_row(world: World) -> None:
    await world.go_down()
    await world.watch(answers=True, times=UP_AFTER - 1)
    await world.watch(answers=False)
    expected = [Status.DOWN] * (UP_AFTER - 1) + [Status.ACTIVE]
    assert expected == await world.watch(answers=True, times=UP_AFTER)


async def test_a_back_end_rests_however_soon_it_answers_again(world: World) -> None:
    await world.go_down()
    await world.health.watch()
    for _ in range(10 * UP_AFTER):
        world.health.report("10000001", ok=True)
    world.connector.echo_error = None
    began = world.made.clock.now() - EVERY_MS
    while await world.status() is Status.DOWN:
        await world.made.clock.advance(1_000)
        await world.health.watch()
    assert REST_MS <= world.made.clock.now() - began < REST_MS + EVERY_MS


async def test_failing_deliveries_take_a_back_end_out_though_it_answers_echoes(world: World) -> None:
    await world.watch(answers=True)
    for _ in range(DOWN_AFTER):
        world.health.report("10000001", ok=False)
    assert [Status.DOWN] == await world.watch(answers=True)


async def test_deliveries_that_succeed_keep_a_back_end_that_misses_echoes(world: World) -> None:
    for _ in range(2 * DOWN_AFTER):
        assert [Status.ACTIVE] == await world.watch(answers=False)
        world.health.report("10000001", ok=True)


async def test_a_report_on_a_back_end_that_is_not_watched_changes_nothing(world: World) -> None:
    for _ in range(DOWN_AFTER):
        world.health.report("99999999", ok=False)
    assert [Status.ACTIVE] == await world.watch(answers=True)


@pytest.mark.parametrize("word", [Status.DRAINING, Status.SUSPENDED])
async def test_the_operators_word_stays_and_no_echo_is_sent(world: World, word: Status) -> None:
    await world.say(word)
    assert [word] * 4 == await world.watch(answers=False, times=4)
    assert [word] * 4 == await world.watch(answers=True, times=4)
    assert 0 == world.connector.echoes


@pytest.mark.parametrize("word", [Status.DRAINING, Status.SUSPENDED])
async def test_a_word_said_while_the_echo_is_under_way_is_not_overwritten(world: World, word: Status) -> None:
    await world.watch(answers=False)

    class Speaks(ScriptedConnector):
        async def echo(self) -> None:
            await world.say(word)
            raise NotSent("no connection")

    world.made.connectors.by_institution["10000001"] = Speaks()
    await world.health.watch()
    assert word is await world.status()


async def test_an_operator_who_says_active_begins_anew(world: World) -> None:
    await world.go_down()
    await world.say(Status.ACTIVE)
    assert [Status.ACTIVE, Status.DOWN] == await world.watch(answers=False, times=2)


async def test_a_restart_believes_the_table_and_lets_a_back_end_rest(world: World) -> None:
    await world.go_down()
    world.health = Health(world.made.store, world.made.connectors, world.made.clock)
    seen = await world.watch(answers=True, times=UP_AFTER)
    assert [Status.DOWN] * (UP_AFTER - 1) + [Status.ACTIVE] == seen


async def test_whatever_keeps_an_echo_from_a_back_end_counts_and_stops_no_other_one(world: World) -> None:
    other = await world.made.back_end(bank("10000002"))

    class Broken(ScriptedConnector):
        async def echo(self) -> None:
            raise RuntimeError("CANARY")

    world.made.connectors.by_institution["10000001"] = Broken()
    for _ in range(DOWN_AFTER):
        await world.health.watch()
    table = await world.made.store.read(lambda books: books.routing_table())
    assert [Status.DOWN, Status.ACTIVE] == [back_end.status for back_end in table.back_ends]
    assert DOWN_AFTER == other.echoes


async def test_health_never_makes_a_version_of_the_table(world: World) -> None:
    async def version(books: Books) -> int:
        return (await books.routing_table()).version

    before = await world.made.store.read(version)
    await world.go_down()
    await world.watch(answers=True, times=UP_AFTER)
    assert Status.ACTIVE is await world.status()
    assert before == await world.made.store.read(version)


def test_each_time_down_within_the_hour_doubles_the_rest_up_to_a_bound() -> None:
    pulse, now, rests = Pulse(word=Status.ACTIVE, told=Status.ACTIVE), 0, []
    for _ in range(8):
        pulse.word = Status.ACTIVE
        pulse.go_down(Millis(now))
        rests.append(pulse.rests_until - now)
        now += 1_000
    doubled = [REST_MS, 2 * REST_MS, 4 * REST_MS, 8 * REST_MS, 16 * REST_MS]
    assert [*doubled, REST_MAX_MS, REST_MAX_MS, REST_MAX_MS] == rests


def test_a_quiet_hour_is_forgiven() -> None:
    pulse = Pulse(word=Status.ACTIVE, told=Status.ACTIVE)
    pulse.go_down(Millis(0))
    pulse.go_down(Millis(FLAPS_MS))
    assert FLAPS_MS + REST_MS == pulse.rests_until


def test_a_clock_that_is_set_back_makes_no_rest_longer() -> None:
    pulse = Pulse(word=Status.ACTIVE, told=Status.ACTIVE)
    pulse.go_down(Millis(2 * FLAPS_MS))
    for _ in range(UP_AFTER):
        pulse.succeed(Millis(FLAPS_MS))
    assert Status.ACTIVE is pulse.word
