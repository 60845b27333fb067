"""Real processes are killed under load, at random: nothing acknowledged is lost, no payment is authorised twice."""

import asyncio
import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from kills import processes
from kills.judge import DOUBLED, LOST, STRANGE, UNTRUE, Fault, Told, judge
from kills.run import Evidence, run
from kills.world import NODE

from tallystick.assembly.facts import PaymentState

pytestmark = pytest.mark.e2e

CYCLES = 20
SEED = 20_261_129


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Run the cycles once for all tests that look at them."""
    return asyncio.run(run(tmp_path_factory.mktemp("kills"), cycles=CYCLES, seed=SEED, rate=12.0, say=say))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def judged(evidence: Evidence) -> list[Fault]:
    return judge(evidence.told, evidence.records, evidence.stored)


def approved(evidence: Evidence) -> Told:
    """Return some payment that was told approved."""
    return next(each for each in evidence.told if set(each.outcomes.values()) == {PaymentState.APPROVED})


def test_no_kill_loses_or_doubles_a_payment_or_leaves_anything_behind(evidence: Evidence) -> None:
    sys.stdout.write(f"kills: {evidence.summary()}\n")
    assert [] == evidence.faults
    assert CYCLES == sum(evidence.kills.values())
    assert {NODE, "PIN process", "ISO 8583 back end", "REST back end", "pull back end"} <= evidence.kills.keys()
    assert {"by_phone", "created", "account", "login", "pulled"} == {each.kind for each in evidence.told}


# The judge sees what is planted


def test_the_judge_sees_an_authorisation_that_is_effective_twice(evidence: Evidence) -> None:
    forged, amount = copy.deepcopy(evidence), approved(evidence).amount
    book, entry = next((b, e) for b in forged.records for e in b if e.get("amount") == amount and e["effective"])
    book.append(dict(entry))
    assert {DOUBLED, UNTRUE} == {fault.kind for fault in judged(forged)}
    book[-1:] = [{"at": 0, "kind": "reversal", "payment_key": "another", "effective": False, "undone": True}]
    assert [] == judged(forged)


def test_the_judge_sees_an_approval_that_the_back_end_does_not_know(evidence: Evidence) -> None:
    forged, amount = copy.deepcopy(evidence), approved(evidence).amount
    forged.records = [[entry for entry in book if entry.get("amount") != amount] for book in forged.records]
    assert [UNTRUE] == [fault.kind for fault in judged(forged)]


def test_the_judge_sees_a_payment_that_is_gone_or_did_not_end(evidence: Evidence) -> None:
    forged, told = copy.deepcopy(evidence), approved(evidence)
    (stored,) = forged.stored.pop(told.amount)
    assert [LOST] == [fault.kind for fault in judged(forged)]
    forged.stored[told.amount] = [replace(stored, state=PaymentState.JOINED)]
    assert {LOST, UNTRUE} == {fault.kind for fault in judged(forged)}
    forged.stored[told.amount] = [replace(stored, parts=1)]
    assert [STRANGE] == [fault.kind for fault in judged(forged)]


async def test_a_process_that_outlives_its_parent_is_seen() -> None:
    waiting = [sys.executable, "-c", "input(print(flush=True))"]
    orphan = await asyncio.create_subprocess_exec(*waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert orphan.stdout is not None
    await orphan.stdout.readline()
    assert 1 == len(await processes.survivors([orphan.pid], within_s=0))
    await orphan.communicate(b"\n")
    assert [] == await processes.survivors([orphan.pid], within_s=0)


@pytest.mark.parametrize(
    ("bug", "kind", "settle_s"), [("acknowledge-early", LOST, 2.0), ("resend-unknown", DOUBLED, 7.0)]
)
async def test_a_platform_with_a_planted_bug_is_caught(tmp_path: Path, bug: str, kind: str, settle_s: float) -> None:
    program = ("kills.broken", bug)
    found = await run(
        tmp_path, cycles=1, seed=1, rate=15.0, kinds=[NODE], program=program, settle_s=settle_s, examine=False
    )
    assert kind in {fault.kind for fault in found.faults}
