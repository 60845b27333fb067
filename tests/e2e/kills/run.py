"""Cycles of load, kill, restart; then the settling, and the evidence for the judge."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kills import processes
from kills.judge import Fault, Stored, Told, judge
from kills.payers import Payers
from kills.world import NODE, PASSWORD, Shape, World, world
from tallystick.cli.demo import back_ends
from tallystick.testing.sandbox.record import Entry

CALM_S: Final = (0.2, 1.0)  # s of undisturbed load in a cycle, at least and at most
ANSWER_WITHIN_S: Final = 30.0  # s in which a part must be accepted after a kill
SETTLE_S: Final = 180.0  # s in which each payment must end after the last restart
CANARIES: Final = {
    "card": back_ends.UNIONPAY_CARD,
    "PIN block": f"16{back_ends.PIN}",
    "account": back_ends.REST_ACCOUNT,
    "fetched account": back_ends.PULL_ACCOUNT,
    "account secret": back_ends.ACCOUNT_SECRET,
    "password": PASSWORD,
}
ONE_NODE: Final = Shape()
COMMAND: Final = (sys.executable, "-m", "tallystick.cli.main")

Say = Callable[[str], None]


@dataclass
class Evidence:
    """What a run leaves: for the judge, and for people.

    After the kill of a node, `recovery_ms` is the time to the next accepted part, at whichever node, `ready_ms` that
    until it serves again itself.
    """

    seed: int
    told: list[Told]
    records: list[list[Entry]]
    stored: dict[int, list[Stored]]
    kills: Counter[str] = field(default_factory=Counter)
    recovery_ms: list[float] = field(default_factory=list)
    ready_ms: list[float] = field(default_factory=list)
    repeats: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    orphans: list[int] = field(default_factory=list)
    held_up: int = 0
    seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "payments": len(self.told),
            "parts_acknowledged": sum(len(each.parts) for each in self.told),
            "kinds": Counter(each.kind for each in self.told),
            "outcomes": Counter(word for each in self.told for word in set(each.outcomes.values())),
            "cycles": sum(self.kills.values()),
            "kills": self.kills,
            "repeats": self.repeats,
            "held_up": self.held_up,
            "recovery_ms": _spread(self.recovery_ms),
            "ready_ms": _spread(self.ready_ms),
            "faults": [f"{fault.kind} {fault.amount}: {fault.text}" for fault in self.faults],
        }


def _spread(values: Sequence[float]) -> dict[str, int]:
    ordered = sorted(values)
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0} if ordered else {}
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * place))]) for name, place in places.items()}


async def run(
    home: Path,
    *,
    cycles: int,
    seed: int,
    rate: float,
    kinds: Sequence[str] = (),
    shape: Shape = ONE_NODE,
    program: tuple[str, ...] = ("tallystick.cli.main",),
    settle_s: float = SETTLE_S,
    examine: bool = True,
    enough: asyncio.Event | None = None,
    say: Say = lambda _: None,
) -> Evidence:
    """Kill a random process `cycles` times under load, only of these `kinds` where some are given; then judge.

    `program` is the platform; its payments have `settle_s` to end after the last restart. `examine` lets its own
    commands verify the audit chain and look for secrets. Once `enough` is set no more is killed.
    """
    enough = enough or asyncio.Event()
    began, choice = time.monotonic(), random.Random(seed)  # noqa: S311 - a seed makes a run repeatable
    async with world(home, shape, program) as made:
        payers = Payers(made, random.Random(choice.random()), rate)  # noqa: S311 - as above
        evidence = Evidence(seed, payers.told, [], {}, repeats=payers.repeats)
        try:
            say(f"furnished after {time.monotonic() - began:.0f} s")
            await payers.enrol()
            paying = asyncio.create_task(payers.run())
            for number in range(1, cycles + 1):
                if enough.is_set():
                    break
                say(f"cycle {number}: {await _cycle(made, payers, choice, evidence, kinds)}")
            await asyncio.sleep(CALM_S[1])
            say(f"settling, after {time.monotonic() - began:.0f} s")
            await payers.settle(settle_s)
            await paying
            left = await processes.survivors(evidence.orphans)
            evidence.faults += [_strange(f"outlived its parent: {line}") for line in left]
        finally:
            await payers.close()
        say(f"judging, after {time.monotonic() - began:.0f} s")
        await made.stop()
        evidence.records, evidence.stored = made.records(), await made.stored()
        evidence.faults += judge(evidence.told, evidence.records, evidence.stored)
        evidence.faults += _examined(made) if examine else []
    left = await processes.survivors(processes.of(made.data) + processes.of(home / "back-ends"))
    evidence.faults += [_strange(f"still runs: {line}") for line in left]
    evidence.held_up, evidence.seconds = payers.held_up, time.monotonic() - began
    return evidence


async def _cycle(made: World, payers: Payers, choice: random.Random, evidence: Evidence, kinds: Sequence[str]) -> str:
    """Kill and start again; tells what happened."""
    calm_s = choice.uniform(*CALM_S)
    await asyncio.sleep(calm_s)
    victim = made.victim(choice, evidence.kills, kinds)
    killed = time.monotonic()
    await victim.kill()
    evidence.kills[victim.kind] += 1
    evidence.orphans += victim.pids
    if victim.again is not None:
        await victim.again()
        if victim.kind == NODE:
            evidence.ready_ms.append((time.monotonic() - killed) * 1000)
    taken_s = await _accepted(payers, killed)
    if taken_s is None:
        evidence.faults.append(_strange(f"no part was accepted after {victim.kind} was killed"))
        return f"no part was accepted after {victim.kind} was killed"
    if victim.kind == NODE:
        evidence.recovery_ms.append(taken_s * 1000)
    return f"{victim.kind} killed after {calm_s:.3f} s of calm; a part accepted after {taken_s:.3f} s"


async def _accepted(payers: Payers, since: float) -> float | None:
    """Wait for the first part that was sent and accepted after a moment; returns the seconds, None if none was."""
    while time.monotonic() < since + ANSWER_WITHIN_S:
        answered = [end for begun, end in payers.answers[-100:] if begun >= since]
        if answered:
            return min(answered) - since
        await asyncio.sleep(0.01)
    return None


def _examined(made: World) -> list[Fault]:
    """Let the product's own commands say whether the audit chain is whole and no secret of an ended payment is left."""
    canaries = made.home / "canaries.json"
    canaries.touch(0o600)
    canaries.write_text(json.dumps(CANARIES))
    logs = [argument for log in made.home.glob("*.log") for argument in ("--also", str(log))]
    faults = []
    for arguments in (("audit", "verify"), ("prove-erasure", "--canaries", str(canaries), *logs)):
        done = subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, "--data", str(made.data), *arguments, "--json"],
            env={**os.environ, **made.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            faults.append(_strange(f"{arguments[0]}: {done.stdout[-2000:]} {done.stderr[-500:]}"))
    return faults


def _strange(text: str) -> Fault:
    return Fault("strange", 0, text)
