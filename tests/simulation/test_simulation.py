"""A whole platform in one process, with faults at every await and every write: the claims over many seeds."""

import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from sim_oracles import MOVES
from sim_run import simulate
from sim_world import FAULTS

HERE = Path(__file__).parent
SEEDS = 2_000
SLICE = 50  # seeds that one process takes at a time
ALIKE = 25  # seeds that are run again


def run_slice(first: int) -> tuple[Counter[str], list[str]]:
    """Run a slice of seeds in a process of its own; returns what they reached and what was wrong."""
    seen, wrong = Counter[str](), []
    for seed in range(first, first + SLICE):
        report = simulate(seed)
        seen += report.seen
        wrong += [f"make simulate FROM={seed} SEEDS=1 ARGS=--trace: {found}" for found in report.findings]
    return seen, wrong


def never(reached: Iterable[str]) -> set[str]:
    """Return what a run of many seeds should have reached and did not."""
    states = {f"payment {state}" for moves in MOVES.values() for state in moves}
    return (set(FAULTS) | states) - set(reached)


def test_whatever_goes_wrong_every_claim_holds_and_everything_goes_wrong() -> None:
    """Every oracle of `sim_oracles` holds for each seed; a fault or state that no seed reaches tests nothing."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawning) as pool:
        slices = list(pool.map(run_slice, range(0, SEEDS, SLICE)))
    seen = sum((each for each, _ in slices), Counter[str]())
    assert [] == [wrong for _, each in slices for wrong in each]
    assert set() == never(seen)
    assert {"node is killed"} == never(set(seen) - {"node is killed"})


def test_the_same_seed_gives_the_same_run() -> None:
    assert all(simulate(seed).digest == simulate(seed).digest for seed in range(ALIKE))
    assert len({simulate(seed).digest for seed in range(ALIKE)}) == ALIKE


def test_the_same_seed_gives_the_same_run_whatever_the_order_of_sets() -> None:
    command = [sys.executable, str(HERE / "simulate.py"), "--seeds", str(ALIKE), "--digest"]
    runs = [
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, check=True, text=True)  # noqa: S603 - our own command
        for salt in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.strip()
