"""Several real processes on one data directory: they pay together, and take over what one that is killed leaves."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from live_platform import SLOW, Live, a_payment, live_platform, until

from tallystick.assembly.facts import PaymentState
from tallystick.cli.demo.processes import Child
from tallystick.delivery.model import IntentKind, NodeKind
from tallystick.routing.model import Status
from tallystick.sdk.client import TallystickClient

pytestmark = pytest.mark.e2e


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with live_platform(tmp_path, delay_s=1.5) as running:
        yield running


def child(live: Live, *command: str) -> Child:
    """Return a further process on the same data."""
    return Child(command[0], ["tallystick.cli.main", "--data", str(live.data), *command], live.home / "other.log")


async def kinds(live: Live) -> list[NodeKind]:
    async with live.office() as desk:
        return sorted(node.kind for node in await desk.store.read(lambda books: books.nodes()))


async def say(live: Live, status: Status) -> None:
    async with live.office() as desk:
        await desk.store.transact(lambda books: books.put_status(live.bank.id, status))


async def test_the_parts_of_a_payment_meet_whichever_processes_take_them(live: Live) -> None:
    other = child(live, "serve")
    await other.start()
    try:
        assert [NodeKind.SERVE, NodeKind.SERVE] == await kinds(live)
        first, second = a_payment(20_000)
        await live.client("pc").send_part(first)
        profile = replace(live.profiles["phone"], base_url=f"https://localhost:{other.port}")
        there = TallystickClient.connect(profile)
        try:
            part = (await there.send_part(second)).part
        finally:
            await there.close()
        assert "approved" == await live.outcome(part)
        assert [True] == live.asked(20_000)
    finally:
        await other.stop()
    assert [NodeKind.SERVE] == await kinds(live)


async def test_what_a_killed_process_had_at_the_bank_is_settled_by_a_worker_and_never_sent_again(live: Live) -> None:
    worker = child(live, "worker")
    await worker.start()
    try:
        assert [NodeKind.SERVE, NodeKind.WORKER] == await kinds(live)
        amount = 30_000 + SLOW
        await live.pay(amount)
        await until(lambda: bool(live.asked(amount)))
        await live.kill()
        ((payment, intents),) = (await live.settled())[amount]
    finally:
        await worker.stop()
    assert PaymentState.REVERSED is payment.state
    assert 1 == sum(intent.kind is IntentKind.AUTHORISATION for intent in intents)
    assert ([True], 0) == (live.asked(amount), live.effective(amount))
    assert [] == await kinds(live)


async def test_payments_under_way_are_left_to_a_process_that_lives(live: Live) -> None:
    """Another process that starts, and sweeps, takes nothing from one that waits for the bank's late answer."""
    amount = 40_000 + SLOW
    part = await live.pay(amount)
    await until(lambda: bool(live.asked(amount)))
    worker = child(live, "worker")
    await worker.start()
    try:
        await asyncio.sleep(0.6)  # more than one round of its sweep
        assert "approved" == await live.outcome(part)
    finally:
        await worker.stop()
    ((_, intents),) = (await live.payments())[amount]
    assert [IntentKind.AUTHORISATION] == [intent.kind for intent in intents]


async def test_a_worker_delivers_what_joined_at_a_process_without_timers_that_died(live: Live) -> None:
    await live.child.stop()
    serving = child(live, "serve", "--no-timers")
    await serving.start()
    live.child.port = serving.port
    await say(live, Status.SUSPENDED)
    await live.pay(50_000)
    await serving.kill()
    await say(live, Status.ACTIVE)
    worker = child(live, "worker")
    await worker.start()
    try:
        ((payment, _),) = (await live.settled())[50_000]
    finally:
        await worker.stop()
    assert PaymentState.APPROVED is payment.state
    assert [True] == live.asked(50_000)
