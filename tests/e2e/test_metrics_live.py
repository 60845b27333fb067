"""A platform's metrics are scraped while it takes payments."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from live_platform import CARD, PIN, Live, live_platform

from tallystick import config
from tallystick.bootstrap.layout import create
from tallystick.bootstrap.serving import serving
from tallystick.errors import Misconfigured
from tallystick.sdk.errors import PlatformProblem
from tallystick.security.lifetimes import CRYPTOPERIOD_DAYS
from tallystick.security.ports import Purpose
from tallystick.wire.metrics import MEDIA_TYPE, METRICS

pytestmark = pytest.mark.e2e

LINE = re.compile(r'tallystick_[a-z_]+(?:\{[a-z_]+="(?:[^"\\]|\\.)*"(?:,[a-z_]+="(?:[^"\\]|\\.)*")*\})? -?[0-9.e+-]+')
START_TIMEOUT_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    monkeypatch.setenv("TALLYSTICK_METRICS__PORT", str(free_port()))
    async with live_platform(tmp_path) as made:
        yield made


async def scrape() -> tuple[str, dict[str, float]]:
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{os.environ['TALLYSTICK_METRICS__PORT']}/metrics")
    assert (200, MEDIA_TYPE) == (answer.status_code, answer.headers["content-type"])
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert [] == [line for line in lines if not LINE.fullmatch(line)]
    return answer.text, {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_a_scrape_tells_of_keys_certificates_back_ends_and_payments(live: Live) -> None:
    before = (await scrape())[1]
    part = await live.pay(1_999)
    assert "approved" == await live.outcome(part)
    with pytest.raises(PlatformProblem):
        await live.client("pc").part_status("part_unknown")
    text, after = await scrape()

    assert [metric.name for metric in METRICS] == re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)
    vault = '{purpose="vault",version="1"}'
    assert CRYPTOPERIOD_DAYS[Purpose.VAULT] - after[f"tallystick_key_days_left{vault}"] in {0, 1}
    assert 29 < after['tallystick_certificate_days_left{certificate="platform"}'] <= 30
    assert 0 == after['tallystick_revocation_lists_missing{authority="own"}']
    assert 0 == after['tallystick_payments_waiting{state="manual"}']
    bank = live.bank.id
    assert 1 == after[f'tallystick_back_end_status{{back_end="{bank}",status="active"}}']
    assert 1 == after[f'tallystick_back_end_requests_total{{back_end="{bank}",result="answered"}}']
    approved = f'tallystick_payment_outcomes_total{{state="approved",back_end="{bank}"}}'
    assert (None, 1) == (before.get(approved), after[approved])
    assert 2 == after['tallystick_gateway_answers_total{address="POST /v1/parts",code="ok"}']
    assert 1 == after['tallystick_gateway_answers_total{address="GET /v1/parts/{id}",code="not_found"}']

    assert [] == [value for value in (CARD, PIN, part, "pay_", "part_", "ch_", "+86139") if value in text]
    assert approved in (await scrape())[1]
    assert 1 == (await scrape())[1][approved], "an outcome is counted once, however often it is scraped"


async def test_metrics_are_told_to_this_machine_only(tmp_path: Path) -> None:
    create(tmp_path / "data", "[gateway]\nport = 0\n")
    settings = config.parse('[gateway]\nport = 0\n[metrics]\nhost = "0.0.0.0"\nport = 0\n', {})
    with pytest.raises(Misconfigured, match="loopback"):
        async with asyncio.timeout(START_TIMEOUT_S), serving(tmp_path / "data", settings):
            pass
