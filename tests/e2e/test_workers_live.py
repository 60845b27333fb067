"""Several real processes serve one platform: replaced one by one, killed and drained while payments go on."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from live_platform import Live, a_payment, live_platform, until
from test_enrolment import free_port

from tallystick.assembly.facts import PaymentState

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

WORKERS = 2
SENDERS = 3
AMOUNTS = count(10_000, 10_000)
"""Each payment has its own, and none of them means anything to the sandbox."""
PROBES = free_port()
PAUSE_S = 0.05  # s a sender rests after a payment


@dataclass
class Load:
    """Senders who pay one payment after the other, until they are told to stop."""

    live: Live
    amounts: list[int] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    senders: list[asyncio.Task[None]] = field(default_factory=list)

    async def finish(self) -> None:
        """Let the payments that are being sent be the last ones."""
        self.over.set()
        await asyncio.gather(*self.senders)

    async def send(self) -> None:
        while not self.over.is_set():
            self.amounts.append(amount := next(AMOUNTS))
            try:
                await self.pay(amount)
            except Exception as failure:  # noqa: BLE001 - whatever a sender is told is what the test asks about
                self.failures.append(failure)
            await asyncio.sleep(PAUSE_S)

    async def pay(self, amount: int) -> None:
        for channel, part in zip(("pc", "phone"), a_payment(amount), strict=True):
            await self.live.client(channel).send_part(part, idempotency_key=f"{channel}-{amount}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    """Give one platform to all tests, since each start of three processes takes its time: amounts tell them apart."""
    settings = f"[metrics]\nport = {PROBES}\n"
    async with live_platform(tmp_path_factory.mktemp("workers"), workers=WORKERS, settings=settings) as running:
        yield running


@contextlib.asynccontextmanager
async def under_load(live: Live) -> AsyncIterator[Load]:
    made = Load(live)
    made.senders = [asyncio.create_task(made.send()) for _ in range(SENDERS)]
    try:
        yield made
    finally:
        await made.finish()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def passed(load: Load, payments: int) -> None:
    """Wait until so many more payments were begun."""
    goal = len(load.amounts) + payments
    await until(lambda: len(load.amounts) >= goal or bool(load.failures))


async def judge(live: Live, load: Load) -> None:
    """Show that nobody was refused, and that the bank was asked once for each payment and holds it for effective."""
    assert [] == load.failures, live.log
    found = await live.settled()
    for amount in load.amounts:
        ((payment, _),) = found[amount]
        assert (PaymentState.APPROVED, [True], 1) == (payment.state, live.asked(amount), live.effective(amount))


async def test_the_supervisor_tells_of_all_under_one_address(live: Live) -> None:
    async with httpx2.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{PROBES}") as http:
        assert {"ready": True} == (await http.get("/readyz")).json()
        told = (await http.get("/metrics")).text.splitlines()
    for worker in range(1, WORKERS + 1):
        assert f'tallystick_worker_up{{worker="{worker}"}} 1' in told
        assert f'tallystick_payments_waiting{{worker="{worker}",state="manual"}} 0' in told
    assert live.workers()


async def test_all_are_replaced_under_load_without_a_failed_payment(live: Live) -> None:
    old = set(live.workers())
    assert WORKERS == len(old)
    async with under_load(live) as load:
        await passed(load, 5)
        live.signal(signal.SIGHUP)
        await until(lambda: "all workers are replaced" in live.log)
        assert old.isdisjoint(live.workers())
        assert WORKERS == len(live.workers())
        await passed(load, 5)
    await judge(live, load)


async def test_one_that_is_killed_is_replaced_and_its_payments_end_once(live: Live) -> None:
    load = Load(live)
    amounts = [next(AMOUNTS) for _ in range(19)]
    sending = [asyncio.create_task(load.pay(amount)) for amount in amounts]
    await asyncio.sleep(0.05)
    killed = live.workers()[0]
    os.kill(killed, signal.SIGKILL)
    await asyncio.gather(*sending)
    await until(lambda: len(live.workers()) == WORKERS and killed not in live.workers())
    found = await live.settled()
    for amount in amounts:
        ((payment, _),) = found[amount]
        assert payment.state in {PaymentState.APPROVED, PaymentState.REVERSED}
        assert (1 if payment.state is PaymentState.APPROVED else 0) == live.effective(amount)
        assert len(live.asked(amount)) <= 1


async def test_a_drain_under_load_loses_nothing_that_was_accepted(live: Live) -> None:
    amounts = [next(AMOUNTS) for _ in range(19)]
    load = Load(live)
    await asyncio.gather(*(load.pay(amount) for amount in amounts))
    workers = live.workers()
    live.signal()
    assert 0 == await live.ended(), live.log
    assert [] == alive(workers)
    await live.start()
    load.amounts = amounts
    await judge(live, load)


async def test_workers_whose_supervisor_is_killed_leave_and_a_new_one_takes_their_address(live: Live) -> None:
    part = await live.pay(next(AMOUNTS))
    workers = live.workers()
    await live.kill()
    await until(lambda: not alive(workers))
    await live.start()
    assert "approved" == await live.outcome(part)
