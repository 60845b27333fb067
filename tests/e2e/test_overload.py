"""A real process with small bounds under several times what it can carry: refused before acceptance, never lost."""

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from live_platform import SLOW, Live, a_payment, live_platform
from test_enrolment import free_port

from tallystick.assembly.facts import PaymentState
from tallystick.sdk import retry
from tallystick.sdk.client import TIMEOUT_S
from tallystick.sdk.errors import PlatformProblem
from tallystick.wire.part import PartContent

pytestmark = pytest.mark.e2e

PLACES = 8  # parts and payments that the process takes at a time
DELAY_S = 0.4  # s the bank takes: so PLACES / DELAY_S payments a second are the most
PAYMENTS = 60
PAUSE_S = 0.15  # s a refused sender rests here; the platform asks for a second
MEDIAN_MAX_S = 3.0  # s an accepted part takes, on a machine that others use as well
GROWTH_MAX = 48 * 1024 * 1024  # bytes


@dataclass
class Crowd:
    """What senders were told: each refusal, and how long each accepted part took."""

    refusals: list[PlatformProblem] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)


@pytest.fixture
async def probes(monkeypatch: pytest.MonkeyPatch) -> str:
    port = free_port()
    monkeypatch.setenv("TALLYSTICK_METRICS__PORT", str(port))
    return f"http://127.0.0.1:{port}"


@pytest.fixture
async def live(tmp_path: Path, probes: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    monkeypatch.setattr(retry, "ATTEMPTS_MAX", 1)  # each refusal is seen here
    settings = f"[serve]\npayments_max = {PLACES}\nrequests_max = 64\n"
    async with live_platform(tmp_path, delay_s=DELAY_S, settings=settings) as running:
        yield running


async def insist(live: Live, crowd: Crowd, channel: str, part: PartContent, key: str) -> None:
    """Send one part until it is taken."""
    while True:
        began = time.monotonic()
        try:
            receipt = await live.client(channel).send_part(part, idempotency_key=key)
        except PlatformProblem as refusal:
            crowd.refusals.append(refusal)
            await asyncio.sleep(PAUSE_S)
        else:
            crowd.took.append(time.monotonic() - began)
            crowd.parts.append(receipt.part)
            return


async def pay(live: Live, crowd: Crowd, amount: int) -> None:
    for channel, part in zip(("pc", "phone"), a_payment(amount), strict=True):
        await insist(live, crowd, channel, part, f"{channel}-{amount}")


async def watch(probes: str, told: Counter[str], over: asyncio.Event) -> None:
    async with httpx2.AsyncClient(trust_env=False, base_url=probes) as http:
        while not over.is_set():
            answer = (await http.get("/readyz")).json()
            told[" ".join(answer.get("faults", ["ready"]))] += 1
            await asyncio.sleep(0.02)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def test_what_is_too_much_is_refused_before_acceptance_and_what_was_accepted_ends(
    live: Live, probes: str
) -> None:
    assert "approved" == await live.outcome(await live.pay(100))
    before, crowd, told, over = resident(live.pid), Crowd(), Counter[str](), asyncio.Event()
    amounts = [10_000 * each + SLOW for each in range(1, PAYMENTS + 1)]
    watching = asyncio.create_task(watch(probes, told, over))
    await asyncio.gather(*(pay(live, crowd, amount) for amount in amounts))
    over.set()
    await watching

    assert {"unavailable"} == {refusal.code for refusal in crowd.refusals}
    assert {503} == {refusal.status for refusal in crowd.refusals}
    assert all(refusal.retry_after == 1 for refusal in crowd.refusals)
    assert told["overloaded"], "a balancer was told"

    found = await live.settled()
    assert sorted([100, *amounts]) == sorted(found)
    for amount in amounts:
        ((payment, _),) = found[amount]
        assert (PaymentState.APPROVED, [True], 1) == (payment.state, live.asked(amount), live.effective(amount))
    assert {"approved"} == {await live.outcome(part, channel) for part, channel in await owned(live, crowd)}

    assert statistics.median(crowd.took) < MEDIAN_MAX_S
    assert max(crowd.took) < TIMEOUT_S, "no sender of an accepted part would have given up"
    assert resident(live.pid) - before < GROWTH_MAX
    async with httpx2.AsyncClient(trust_env=False, base_url=probes) as http:
        assert {"ready": True} == (await http.get("/readyz")).json()
    assert "approved" == await live.outcome(await live.pay(200))


async def owned(live: Live, crowd: Crowd) -> list[tuple[str, str]]:
    """Return some accepted parts with the channel that may ask for each."""
    found = []
    for part in crowd.parts[:: max(1, len(crowd.parts) // 20)]:
        try:
            await live.client("pc").part_status(part)
            found.append((part, "pc"))
        except PlatformProblem:
            found.append((part, "phone"))
    return found


async def test_a_process_that_drains_says_so_before_it_takes_no_more(
    tmp_path: Path, probes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "ATTEMPTS_MAX", 1)
    async with live_platform(tmp_path, settings="[serve]\nshed_delay_s = 60\n") as live:
        await live.pay(100)
        live.signal()
        async with httpx2.AsyncClient(trust_env=False, base_url=probes) as http:
            async with asyncio.timeout(20):
                while (answer := await http.get("/readyz")).status_code == 200:
                    pass
            assert ["draining"] == json.loads(answer.content)["faults"]
            assert "approved" == await live.outcome(await live.pay(200)), "it serves on meanwhile"
        live.signal()  # a second one cuts the time short
        assert 0 == await live.ended()
