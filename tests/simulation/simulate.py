"""Run seeds by command (`make simulate SEEDS=1000 FROM=0`); a seed that fails says how to replay it."""

import argparse
import hashlib
import multiprocessing
import sys
import time
from collections import Counter

from sim_run import Report, simulate
from sim_world import FAULTS

EVERY = 1_000  # seeds between two lines that say how far it is


def main() -> int:
    """Run seeds and print what they reached; 1 when an oracle found something."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=100, help="how many seeds")
    options.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    options.add_argument("--jobs", type=int, default=1, help="how many processes share them")
    options.add_argument("--trace", action="store_true", help="print all that happens in each seed")
    options.add_argument("--digest", action="store_true", help="print one hash over all traces, and nothing else")
    options.add_argument("--keep-going", action="store_true", help="go on after a seed that failed")
    chosen = options.parse_args()
    began, seen, failed, digest = time.monotonic(), Counter[str](), 0, hashlib.sha256()
    with multiprocessing.get_context("spawn").Pool(chosen.jobs) as pool:
        seeds = range(chosen.first, chosen.first + chosen.seeds)
        for done, report in enumerate(pool.imap(simulate, seeds) if chosen.jobs > 1 else map(simulate, seeds), 1):
            seen += report.seen
            digest.update(report.digest.encode())
            failed += bool(report.findings)
            tell(report, trace=chosen.trace)
            if report.findings and not chosen.keep_going:
                break
            if not done % EVERY:
                say(f"{done} seeds in {time.monotonic() - began:.0f} s, {failed} failed")
    if chosen.digest:
        say(digest.hexdigest())
    else:
        summarise(seen)
    return 1 if failed else 0


def tell(report: Report, *, trace: bool) -> None:
    """Print what was wrong with a seed, with its trace if that is wanted."""
    for event in report.trace if trace else ():
        say("  ".join(str(each) for each in event))
    if report.findings:
        say(f"seed {report.seed} failed; to see it: make simulate FROM={report.seed} SEEDS=1 ARGS=--trace")
    for oracle, finding in report.findings:
        say(f"  {oracle}: {finding}")


def summarise(seen: Counter[str]) -> None:
    """Print how often everything was reached, and the faults that never were."""
    for name, count in sorted(seen.items()):
        say(f"{count:9d}  {name}")
    for name in sorted(set(FAULTS) - set(seen)):
        say(f"    never  {name}")


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
