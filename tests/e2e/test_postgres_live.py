"""A platform that really serves on PostgreSQL: it pays, outlives the server's crash, and knows what it needs."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from databases import PostgresDatabase
from live_platform import Live, a_payment, live_platform

from tallystick.assembly.facts import PaymentState
from tallystick.testing.postgres_server import PostgresServer, postgres_server

pytestmark = pytest.mark.e2e

SETTINGS = '[store]\nkind = "postgres"\n'
PAYMENTS = 12
CHECKED = ("store", "store schema", "store integrity", "clock and records", "password parameters")


@pytest.fixture
async def live(tmp_path: Path, postgres: PostgresDatabase) -> AsyncIterator[Live]:
    environ = {"TALLYSTICK_STORE__DSN": postgres.settings.dsn}
    async with live_platform(tmp_path, settings=SETTINGS, environ=environ) as running:
        yield running


def run(live: Live, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "tallystick.cli.main", "--data", str(live.data), *words],
        env=dict(live.environ),
        capture_output=True,
        text=True,
        check=False,
    )


async def test_payments_are_approved_and_the_chain_of_the_database_holds(
    live: Live, postgres: PostgresDatabase
) -> None:
    parts = await asyncio.gather(*(live.pay(30_000 + number) for number in range(PAYMENTS)))
    assert ["approved"] * PAYMENTS == [await live.outcome(part) for part in parts]
    assert [[True]] * PAYMENTS == [live.asked(30_000 + number) for number in range(PAYMENTS)]
    assert [(PAYMENTS,)] == postgres.rows("SELECT count(*) FROM payment WHERE state = 'approved'")
    assert [(0,)] == postgres.rows("SELECT count(*) FROM part WHERE sealed IS NOT NULL")

    verified = await asyncio.to_thread(run, live, "audit", "verify", "--json")
    assert 0 == verified.returncode, verified.stderr
    assert not (live.data / "store.db").exists()


async def test_the_doctor_knows_the_settings_and_the_schema_of_the_database(live: Live) -> None:
    found = json.loads((await asyncio.to_thread(run, live, "doctor", "--json")).stdout)
    told = {each["check"]: each for each in found["findings"]}

    assert ["ok"] * 5 == [told[each]["result"] for each in CHECKED], [told[each] for each in CHECKED]
    assert "fsync is off" in told["store settings"]["seen"], "the server of tests forgets on purpose"


@pytest.fixture
async def lasting(tmp_path: Path) -> AsyncIterator[tuple[Live, PostgresServer]]:
    """Serve on a database whose commits wait for the disk, and which may be killed."""
    with postgres_server() as server:
        database = PostgresDatabase(server.dsn)
        database.close()
        environ = {"TALLYSTICK_STORE__DSN": server.dsn}
        async with live_platform(tmp_path, settings=SETTINGS, environ=environ) as running:
            yield running, server


async def test_what_was_acknowledged_before_the_database_is_killed_is_paid_once_after_it_is_back(
    lasting: tuple[Live, PostgresServer],
) -> None:
    live, server = lasting
    first, second = a_payment(40_000)
    await live.client("pc").send_part(first)
    await live.pay(40_001)

    server.stop(signal.SIGKILL)
    refused = await asyncio.gather(live.client("phone").send_part(second), return_exceptions=True)
    assert isinstance(refused[0], Exception), "nothing is acknowledged without the database"
    server.start()

    part = (await live.client("phone").send_part(second)).part
    assert "approved" == await live.outcome(part)
    assert [True] == live.asked(40_000)
    found = await live.settled()
    assert [40_000, 40_001] == sorted(found)
    assert {1} == {live.effective(amount) for amount in found if found[amount][0][0].state is PaymentState.APPROVED}
