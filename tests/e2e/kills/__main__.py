"""`make kill CYCLES=200`: print each kill as it happens, then the figures as JSON; exit code 1 when a promise broke."""

import argparse
import asyncio
import secrets
import signal
import sys
import tempfile
from pathlib import Path

import msgspec

from kills.run import Evidence, run
from kills.world import Shape


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="kills", description=__doc__)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="of an earlier run, to choose the same kills again")
    parser.add_argument("--rate", type=float, default=20.0, help="payments begun a second")
    parser.add_argument("--only", action="append", default=[], help="kill only processes of this kind")
    parser.add_argument("--nodes", type=int, default=1, help="processes `tallystick serve` on one store")
    parser.add_argument("--workers", type=int, default=1, help="workers of each node")
    parser.add_argument("--timers", type=int, default=0, help="processes `tallystick worker`")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server, which is killed as well")
    parser.add_argument("--folder", type=Path, help="work in this new folder, and keep it")
    given = parser.parse_args()
    seed = secrets.randbelow(2**32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        home = given.folder or Path(temporary)
        home.mkdir(exist_ok=True, parents=True)
        evidence = asyncio.run(kill(home, given, seed))
    print(msgspec.json.format(msgspec.json.encode(evidence.summary())).decode())
    sys.exit(1 if evidence.faults else 0)


async def kill(home: Path, given: argparse.Namespace, seed: int) -> Evidence:
    """Run; SIGINT or SIGTERM ends the killing early, and what there is is judged."""
    enough = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
    return await run(
        home,
        cycles=given.cycles,
        seed=seed,
        rate=given.rate,
        kinds=given.only,
        shape=Shape(given.nodes, given.workers, given.timers, given.postgres),
        enough=enough,
        say=lambda text: print(text, flush=True),
    )


if __name__ == "__main__":
    main()
