"""`make bench`: each part writes bench/results/<part>.json and can be asked for alone.

The server runs on core 0; load generator and back end share core 1, and their CPU time does not count. CPU times are
what the kernel accounts to the server and its helper processes, so that a noisy neighbour shifts them less than it
shifts rates and waits. bench/README.md says how to read the results.
"""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from bench.capacity import open_loop
from bench.efficiency import efficiency
from bench.growth import growth
from bench.login import logins
from bench.memory import memory
from bench.processes import LOAD_CORE, circumstances
from bench.results import write
from bench.workers import workers

MILLION = 1_000_000

Part = Callable[[argparse.Namespace], Awaitable[dict[str, Any]]]

PARTS: dict[str, Part] = {
    "efficiency": lambda given: efficiency(given.payments, store=given.store, profiled=not given.quick),
    "open_loop": lambda given: open_loop(given.seconds, store=given.store),
    "workers": lambda given: workers(given.payments // 2, store=given.store),
    "login": lambda given: logins(given.payments // 4, store=given.store),
    "memory": lambda given: memory(given.open, store=given.store),
    "growth": lambda given: growth(given.finished, given.open_beside, given.payments // 2),
}
FILES = {"efficiency": "latest"}
ON_POSTGRES = ("efficiency", "open_loop", "workers")  # parts that `--all` measures with that store as well


async def run(given: argparse.Namespace) -> int:
    """Run the parts one after the other; each writes its result at once, and one that fails stops no other."""
    failed = 0
    for name, store in given.runs:
        given.store = store
        began = time.monotonic()
        print(f"-- {name}, {given.store}", flush=True)
        around = circumstances()
        try:
            measured = await PARTS[name](given)
        except Exception:  # noqa: BLE001 - said below, and in the exit code
            traceback.print_exc()
            failed += 1
            continue
        result = {**around, "store": given.store, **measured, "took_s": round(time.monotonic() - began)}
        file = FILES.get(name, name) + ("" if given.store == "sqlite" else f"-{given.store}")
        write(file, result)
        print({key: value for key, value in result.items() if key != "profile"}, flush=True)
    return failed


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; efficiency when none is given"
    )
    parser.add_argument("--all", action="store_true", help="every part")
    parser.add_argument("--all-quick", action="store_true", help="every part with small numbers: under 12 minutes")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--payments", type=int, default=3_000, help="of a run at full load")
    parser.add_argument("--seconds", type=float, default=60, help="of each open-loop run")
    parser.add_argument("--finished", default=f"0,{MILLION},{10 * MILLION}", help="payments in the store, for growth")
    parser.add_argument("--open-beside", type=int, default=MILLION, help="open payments beside the most finished ones")
    parser.add_argument("--open", type=int, default=40_000, help="open payments, for memory")
    given = parser.parse_args()
    given.quick = given.all_quick
    if given.all_quick:
        given.payments, given.seconds, given.open = 2_000, 25, 16_000
        given.finished, given.open_beside = f"0,{MILLION}", MILLION // 10
    given.finished = [int(size) for size in given.finished.split(",")]
    given.parts = list(PARTS) if given.all or given.all_quick else given.parts or ["efficiency"]
    given.runs = [(part, given.store) for part in given.parts]
    if given.all or given.all_quick:
        given.runs += [(part, "postgres") for part in ON_POSTGRES if given.store != "postgres"]
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return given


def main() -> None:
    """Run what the command line asks for."""
    given = arguments()
    os.sched_setaffinity(0, {LOAD_CORE})
    sys.exit(uvloop.run(run(given)))


if __name__ == "__main__":
    main()
