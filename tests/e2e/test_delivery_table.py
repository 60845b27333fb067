"""The delivery promise, cell by cell: each kind of back end under each answer it can give and each crash we can have.

All cells of a back end run at the same time against one sandbox process, which keeps its own record; each cell is then
judged by a test of its own.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from certified import Certified
from doubt_world import INSTITUTION, Sent, ShiftedClock, joined
from msgspec.structs import replace
from table_kinds import AMOUNTS, KINDS, Kind, connector, place_of

from tallystick.assembly.facts import PaymentState
from tallystick.cli.demo.processes import Child
from tallystick.delivery.model import Answer, Instruction
from tallystick.delivery.ports import Connector
from tallystick.errors import OutcomeUnknown
from tallystick.testing.sandbox import record
from tallystick.testing.sandbox.record import Entry, effective

pytestmark = pytest.mark.e2e

APPROVED, DECLINED = PaymentState.APPROVED, PaymentState.DECLINED
REVERSED, MANUAL = PaymentState.REVERSED, PaymentState.MANUAL
CONDITIONS: dict[str, set[PaymentState]] = {
    "approve": {APPROVED},
    "decline": {DECLINED},
    "timeout": {APPROVED, REVERSED},
    "late": {APPROVED, REVERSED},
    "duplicate": {APPROVED},
    "wrong MAC": {APPROVED, REVERSED},
    "cut before send": {APPROVED, REVERSED},
    "cut after send": {APPROVED, REVERSED},
    "crash before intent": {APPROVED},
    "crash after intent": {REVERSED},
    "crash after send": {APPROVED, REVERSED},
    "crash before outcome": {APPROVED, REVERSED},
    "crash before recovery": {APPROVED, REVERSED},
    "crash in recovery": {APPROVED, REVERSED},
    "crash before recovered": {APPROVED, REVERSED},
}
"""What may happen to a payment, and the states in which it may end."""

FIRST_AMOUNT = 10_000  # minor units; each cell has an amount of its own, so that the record tells them apart
HALF_HOUR_MS = 30 * 60_000
HOUR_MS = 2 * HALF_HOUR_MS

Table = dict[tuple[str, str], Sent]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Run every cell of every kind."""
    directory = tmp_path_factory.mktemp("table")

    async def run() -> Table:
        certified = Certified.create(directory, INSTITUTION)
        return {key: sent for kind in KINDS for key, sent in (await _rows(kind, certified, directory)).items()}

    return asyncio.run(run())


async def _rows(
    kind: Kind, certified: Certified, directory: Path, conditions: Sequence[str] = tuple(CONDITIONS)
) -> Table:
    home = directory / kind.name
    home.mkdir(mode=0o700)
    pair = kind.pair(place_of(certified, home))
    config = {**pair.config, "record": str(home / "record.jsonl")}
    (home / "config.json").write_bytes(msgspec.json.encode(config))
    sandbox = Child(kind.name, [pair.module, "--config", str(home / "config.json")], home / "log.txt")
    port = await sandbox.start()

    def connect(clock: ShiftedClock) -> Connector:
        return kind.wrap(connector(pair, port, certified, clock))

    try:
        cells = [_cell(kind, connect, home, number, condition) for number, condition in enumerate(conditions)]
        sent = await asyncio.gather(*cells)
    finally:
        await sandbox.stop()
    # Read once more when all is over: what came late counts too.
    ended = [Sent(one.payment, _recorded(home, number, conditions[number])) for number, one in enumerate(sent)]
    return {(kind.name, condition): one for condition, one in zip(conditions, ended, strict=True)}


async def _cell(
    kind: Kind, connect: Callable[[ShiftedClock], Connector], home: Path, number: int, condition: str
) -> Sent:
    crash = condition.removeprefix("crash ") if condition.startswith("crash ") else None
    async with joined(
        home,
        number,
        kind.fields,
        kind.policy,
        _amount(number, condition),
        ahead_ms=_to_half_past() if kind.shiftable else 0,
        connect=connect,
        recorded=lambda: _recorded(home, number, condition),
    ) as case:
        return await case.run(crash)


def _amount(number: int, condition: str) -> int:
    return FIRST_AMOUNT * (number + 1) + AMOUNTS.get(condition, 0)


def _recorded(home: Path, number: int, condition: str) -> list[Entry]:
    path, amount = home / "record.jsonl", _amount(number, condition)
    return [entry for entry in record.read(path) if entry.get("amount") == amount] if path.exists() else []


def _to_half_past() -> int:
    """Trace numbers start anew with each hour: no run crosses one."""
    return (HALF_HOUR_MS - time.time_ns() // 1_000_000) % HOUR_MS


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_whatever_happens_a_payment_is_effective_at_most_once_and_ends_in_one_state(
    table: Table, kind: str, condition: str
) -> None:
    sent = table[kind, condition]
    state = sent.payment.state
    assert state in CONDITIONS[condition], sent.entries
    assert _right(sent), sent.entries


def test_the_table_shows_a_connector_that_sends_again(tmp_path: Path) -> None:
    """Planted: what got no answer is sent anew under other identifiers, which the platform knows nothing of."""

    class Resending:
        def __init__(self, inner: Connector) -> None:
            self.recovery, self.keeps_account = inner.recovery, inner.keeps_account
            self.inquire, self.reverse, self.aclose = inner.inquire, inner.reverse, inner.aclose
            self._inner = inner

        async def deliver(self, instruction: Instruction) -> Answer:
            try:
                return await self._inner.deliver(instruction)
            except OutcomeUnknown:
                ids = replace(instruction.ids, stan="999999", rrn="999999999999")
                return await self._inner.deliver(replace(instruction, ids=ids))

    iso8583 = KINDS[0]
    planted = dataclasses.replace(iso8583, wrap=Resending)

    async def run() -> Sent:
        certified = Certified.create(tmp_path, INSTITUTION)
        return (await _rows(planted, certified, tmp_path, ["timeout"]))[iso8583.name, "timeout"]

    sent = asyncio.run(run())
    assert (0, 1) == (_right(sent), effective(sent.entries))


def _right(sent: Sent) -> int:
    """Say whether the record agrees with the state: as many effects as the payer was told."""
    return int((1 if sent.payment.state is APPROVED else 0) == effective(sent.entries))
