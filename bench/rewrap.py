"""How fast is everything stored sealed anew after a rotation?

Run `python -m bench.rewrap [payers]`: one process, a real file. Payers are registered (their passwords stretched by one
hash, for Argon2id is not what is measured), vault and blind-index key are rotated, and every record, three sealed
values and an index entry, is made anew in batches, each of them durable. Half of the batches are done by another object
on the same file, as a process started after a crash would. Then the old keys are destroyed and a sample of payers logs
in. Writes bench/results/rewrap.json.
"""

import asyncio
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tallystick import rewrap
from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.cli.key_desk import BATCH
from tallystick.runtime import SystemClock, SystemRandomness
from tallystick.secret import Secret
from tallystick.security.kept import Kept
from tallystick.security.ports import Purpose
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.quick_stretcher import QuickStretcher
from tallystick.vault import users
from tallystick.vault.model import Contact

RESULT = Path(__file__).parent / "results" / "rewrap.json"
PAYERS = 1_000_000
AT_ONCE = 2_000  # registrations under way while the store is filled
SAMPLE = 200  # payers who log in afterwards
PASSWORD = Secret("bench-bamboo-kettle")
ROTATED = (Purpose.VAULT, Purpose.BLIND_INDEX)


def size(path: Path) -> int:
    return path.stat().st_size


async def fill(store: SqliteStore, keyring: MemoryKeyring, payers: int) -> None:
    stretcher, clock, randomness = QuickStretcher(), SystemClock(), SystemRandomness()
    for begin in range(0, payers, AT_ONCE):
        await asyncio.gather(
            *(
                users.register(
                    store,
                    keyring,
                    stretcher,
                    clock,
                    randomness,
                    username=f"payer-{number}",
                    password=PASSWORD,
                    contact=Contact(phone="+8613800138000"),
                )
                for number in range(begin, min(begin + AT_ONCE, payers))
            )
        )


async def renew(path: Path, keyring: MemoryKeyring, payers: int) -> tuple[float, float]:
    """Seal everything anew; return wall and processor seconds."""
    clock, wall, cpu = SystemClock(), time.perf_counter(), time.process_time()
    store = SqliteStore(path)
    for _ in range(payers // BATCH // 2):
        await rewrap.step(store, keyring, clock, BATCH)
    await store.aclose()
    store = SqliteStore(path)
    while await rewrap.step(store, keyring, clock, BATCH) is not None:
        pass
    await store.aclose()
    return time.perf_counter() - wall, time.process_time() - cpu


async def check(path: Path, keyring: MemoryKeyring, payers: int) -> None:
    """Show that nothing was lost: no record names an older key, and payers log in without it."""
    store = SqliteStore(path)
    done = await store.read(lambda books: books.rewrap(Kept.PAYER))
    assert done is not None
    assert (payers, payers, 0) == (done.looked, done.changed, done.damaged)
    assert await rewrap.outdated(store, keyring) == []
    for purpose in ROTATED:
        keyring.destroy(purpose, 1)
    for number in range(0, payers, max(payers // SAMPLE, 1)):
        await users.verify(
            store, keyring, QuickStretcher(), SystemClock(), username=f"payer-{number}", password=PASSWORD
        )
    await store.aclose()


async def measure(path: Path, payers: int) -> dict[str, Any]:
    keyring, store = MemoryKeyring(), SqliteStore(path)
    began = time.perf_counter()
    await fill(store, keyring, payers)
    await store.aclose()
    filled = time.perf_counter() - began
    for purpose in ROTATED:
        keyring.rotate(purpose)
    load = os.getloadavg()[0]
    wall, cpu = await renew(path, keyring, payers)
    await check(path, keyring, payers)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "load_average_before": round(load, 1),
        "payers": payers,
        "records_per_batch": BATCH,
        "filled_s": round(filled, 1),
        "sealed_anew_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "records_per_s": round(payers / wall),
        "cpu_us_per_record": round(cpu / payers * 1e6, 1),
        "bytes_in_file_per_record": size(path) // payers,
    }


def main() -> None:
    payers = int(sys.argv[1]) if len(sys.argv) > 1 else PAYERS
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        figures = asyncio.run(measure(Path(directory) / "store.db", payers))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
