"""Run one seed from its beginning until the world is at rest, and report what it reached and what was wrong."""

import asyncio
import logging
import random
from collections import Counter
from dataclasses import dataclass
from typing import Final

from sim_people import Cast
from sim_record import Record
from sim_rest import ALL_ROWS, RESTING
from sim_world import World

from tallystick import limits
from tallystick.assembly.facts import PaymentState
from tallystick.delivery.model import Known
from tallystick.delivery.resolve import settle_by_hand
from tallystick.outcomes.model import WebhookState
from tallystick.sweep import renew_numbers, rotate_keys
from tallystick.testing.simulation.faults import choices
from tallystick.testing.simulation.loop import NothingLeft, run
from tallystick.testing.simulation.node import of_node

STORIES_MAX: Final = 5  # payments of one run
NODES_MAX: Final = 3  # nodes of one run
LOOKS_MAX: Final = 400  # looks at a world that should come to rest
LOOK_MAX_S: Final = 1_800.0  # s between two of them at most
PEOPLE_S: Final = 7_200.0  # s after which people who still wait go home


@dataclass(frozen=True)
class Report:
    """What one seed gave: `findings` are oracles with what broke them, `digest` is the hash of its trace."""

    seed: int
    findings: list[tuple[str, str]]
    seen: Counter[str]
    digest: str
    trace: list[tuple[object, ...]]
    seconds: float


class _Log(logging.Handler):
    """Keep what the platform logs."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


def simulate(seed: int) -> Report:
    """Run one seed."""
    record = Record()
    world = World(seed, record)
    world.loop.set_task_factory(of_node)
    log, handler = logging.getLogger("tallystick"), _Log(record.logged)
    before, propagates = log.handlers[:], log.propagate
    log.handlers, log.propagate = [handler], False
    try:
        run(_live(world, choices(seed, "size")), world.loop)
    except NothingLeft as stuck:
        world.judge.findings.append(("the_world_goes_on", str(stuck)))
    finally:
        log.handlers, log.propagate = before, propagates
    faults = world.faults
    return Report(seed, world.judge.findings, faults.seen, faults.digest, faults.trace, world.loop.time())


async def _live(world: World, size: random.Random) -> None:
    await world.set_up()
    cast = Cast(world, size.randint(1, STORIES_MAX))
    await cast.enrol()
    world.start(size.choice((1, 1, 2, NODES_MAX)))
    await asyncio.wait([asyncio.ensure_future(cast.play())], timeout=PEOPLE_S)
    world.heal()
    await _rest(world)
    await _ask_staff(world)
    world.stop()
    await asyncio.sleep((limits.EPOCH_KEPT_MS + limits.EPOCH_MS + 2 * world.skew_ms) / 1000)
    world.start(1)
    await _rest(world)
    process = world.any_process()
    assert process is not None
    await process.node.spawn(renew_numbers(process.platform))
    await process.node.spawn(rotate_keys(process.platform))
    world.judge.rested()


async def _ask_staff(world: World) -> None:
    """Let a person settle what no node could, by what the back end's books say."""
    for payment in world.look(lambda books: books.payments_in(PaymentState.MANUAL, ALL_ROWS)):
        effective = sum(bank.effective(payment.id) for bank in world.banks.values())
        known = Known.APPROVED if effective else Known.DECLINED
        await world.store.transact(
            lambda books, one=payment.id, told=known: settle_by_hand(books, one, told, "by staff", world.now())
        )
        world.committed()
        world.faults.note("person settled a payment", payment.id, known)


async def _rest(world: World) -> None:
    """Let time pass until nothing is left to do; the oracles say what that is when it never comes."""
    pause = 2.0
    for _ in range(LOOKS_MAX):
        if _at_rest(world):
            return
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LOOK_MAX_S)


def _at_rest(world: World) -> bool:
    if world.notices or world.under_way or world.any_process() is None:
        return False
    payments = world.look(lambda books: books.recent_payments(ALL_ROWS))
    waiting = world.books._in_state(WebhookState.WAITING)
    return not waiting and not world.books._notices.rows() and all(each.state in RESTING for each in payments)
