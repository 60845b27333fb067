"""How long does the daily renewal of a million numbers take, and does everybody have exactly one after a kill?

Run `python -m bench.numbers [users] [sqlite|postgres]`. Users with a credential and a number of the day before are
written straight into the tables; what a renewal reads is real. Two processes renew side by side; one of them is killed
(SIGKILL) when a third is made, and another takes its place. Afterwards every user is looked at in the store: one number
valid from now on, the one before it for its overlap. Last, notices are handed over to a carrier that takes no time, at
full speed and at a pace. Adds to bench/results/numbers.json.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from msgspec.structs import replace

from tallystick.adapters.store.postgres.migrate import migrate
from tallystick.adapters.store.postgres.opening import Settings
from tallystick.adapters.store.postgres.store import PostgresStore
from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.crypto.binding import bind
from tallystick.limits import NUMBER_OVERLAP_MS
from tallystick.runtime import Millis, SystemClock, SystemRandomness
from tallystick.security.ports import Purpose
from tallystick.security.sealing import seal
from tallystick.testing.desk import BANK
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.postgres_server import postgres_server
from tallystick.vault import numbers, users
from tallystick.vault.model import Medium, Numbering
from tallystick.vault.notices import send_due
from tallystick.vault.periods import period_at

RESULT: Final = Path(__file__).parent / "results" / "numbers.json"
USERS: Final = 1_000_000
PER_TRANSACTION: Final = 20_000  # users written in one transaction while the store is filled
LOOKS: Final = 20  # times a query is timed; the median counts
LOOK_S: Final = 0.5  # s between two looks at how far a renewal is
PACE: Final = 200  # notices a second, where there is one
PACED_S: Final = 10.0  # s
NIGHT: Final = replace(BANK, renew_at="00:00", zone="UTC")
DAY_MS: Final = 86_400_000  # ms
VALID: Final = """
    SELECT n, COUNT(*) FROM (
      SELECT user_id, COUNT(*) AS n FROM claim WHERE valid_from <= {at} AND {at} < valid_until GROUP BY user_id
    ) AS each_user GROUP BY n
"""

Store = SqliteStore | PostgresStore


def opened(place: str) -> Store:
    """Open the store at a path, or of a connection string."""
    return PostgresStore(Settings(dsn=place)) if "=" in place else SqliteStore(Path(place))


def look(place: str, query: str) -> list[tuple[int, int]]:
    """Ask the database itself."""
    if "=" in place:
        with psycopg.connect(place) as connection:
            return connection.execute(query.encode()).fetchall()
    with contextlib.closing(sqlite3.connect(place)) as db:
        return db.execute(query).fetchall()


def size(place: str) -> int:
    """Return how much the database holds, in bytes."""
    if "=" in place:
        with psycopg.connect(place) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            return int(row[0]) if row else 0
    return Path(place).stat().st_size


def person(keyring: MemoryKeyring, n: int, yesterday: str, now: int) -> tuple[list[Any], ...]:
    """Make the rows of a user: what a renewal reads is real, the rest has the usual size. Half have a mail address."""
    name = hashlib.sha256(str(n).encode()).digest()
    user_id = f"usr_{name.hex()[:32]}"
    contact = {"name": f"payer-{n}", "phone": f"+49151{n:08d}", "email": f"u{n}@example.org" if n % 2 else None}
    sealed = seal(keyring, Purpose.VAULT, msgspec.json.encode(contact), bind(users.CONTACT, user_id))
    payer = [user_id, name, b"s" * 16, users.PARAMETERS, b"v" * 65, b"k" * 98, sealed, 1]
    digest = b"\x00" * 5 + hashlib.sha256(name).digest()
    claim = ["institution", digest, NIGHT.id, NIGHT.id, user_id, now - DAY_MS, now + DAY_MS]
    return payer, [NIGHT.id, user_id, b"c" * 120, 1], [NIGHT.id, user_id, yesterday], claim


def fill(place: str, count: int) -> None:
    """Write users with a credential for the bank straight into the tables."""
    tables = {
        "payer": "id, name_digest, salt, kdf, verifier, wrapped_key, sealed_contact, created_at",
        "credential": "institution, user_id, sealed, created_at",
        "numbered": "institution, user_id, period",
        "claim": "kind, digest, element_institution, institution, user_id, valid_from, valid_until",
    }
    keyring, now = MemoryKeyring(), SystemClock().now()
    yesterday = period_at(NIGHT, Millis(now - DAY_MS)).id
    for begin in range(0, count, PER_TRANSACTION):
        people = [person(keyring, n, yesterday, now) for n in range(begin, min(begin + PER_TRANSACTION, count))]
        rows = dict(zip(tables, zip(*people, strict=True), strict=True))
        if "=" in place:
            with psycopg.connect(place) as connection:
                for table, columns in tables.items():
                    with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
                        for row in rows[table]:
                            copy.write_row(row)
        else:
            with contextlib.closing(sqlite3.connect(place)) as db:
                db.execute("PRAGMA synchronous = OFF")
                db.execute("PRAGMA cache_size = -400000")
                for table, columns in tables.items():
                    marks = ", ".join("?" for _ in columns.split(","))
                    db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows[table])  # noqa: S608
                db.commit()


async def renew(place: str) -> None:
    """Make what is due, as one process, and say what it cost."""
    store, began = opened(place), time.perf_counter()
    made, more = 0, True
    async with store.clock.running() if isinstance(store, PostgresStore) else contextlib.nullcontext():
        while more:
            done = await numbers.renew(
                store, MemoryKeyring(), SystemClock(), SystemRandomness(), back_end=NIGHT, most=100_000
            )
            made, more = made + done.made, done.more
    await store.aclose()
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = {"made": made, "wall_s": time.perf_counter() - began, "cpu_s": used.ru_utime + used.ru_stime}
    print(json.dumps(cost))


def process(place: str) -> subprocess.Popen[str]:
    """Start a process that renews."""
    return subprocess.Popen(  # noqa: S603  # our own argument list
        [sys.executable, "-m", "bench.numbers", "--renew", place], stdout=subprocess.PIPE, text=True
    )


def cost_of(renewing: subprocess.Popen[str]) -> dict[str, float]:
    """Wait for a process and read what it cost."""
    told, _ = renewing.communicate()
    assert renewing.returncode == 0, "a renewal failed"
    cost: dict[str, float] = json.loads(told)
    return cost


async def night(store: Store, place: str, count: int) -> dict[str, Any]:
    """Let two processes make them side by side, kill one at a third, and let another take its place."""
    began = time.perf_counter()
    doomed, other = process(place), process(place)
    while (await progress(store)).made < count // 3:  # noqa: ASYNC110  # other processes set no event
        await asyncio.sleep(LOOK_S)
    doomed.kill()
    doomed.wait()
    at_kill, killed_at = (await progress(store)).made, time.perf_counter()
    third = process(place)
    costs = [await asyncio.to_thread(cost_of, each) for each in (other, third)]
    ended = time.perf_counter()
    assert await progress(store) == Numbering(made=count, left=0)
    now, later = SystemClock().now(), SystemClock().now() + NUMBER_OVERLAP_MS
    return {
        "wall_s": round(ended - began, 1),
        "numbers_per_s": round(count / (ended - began)),
        "made_at_kill": at_kill,
        "numbers_per_s_after_kill": round((count - at_kill) / (ended - killed_at)),
        "made_by_the_two_that_lived": [each["made"] for each in costs],
        "cpu_us_a_number": [round(each["cpu_s"] / each["made"] * 1e6) for each in costs if each["made"]],
        "users_with_this_many_valid_numbers": {
            "now": {str(n): users for n, users in look(place, VALID.format(at=now))},
            "after the overlap": {str(n): users for n, users in look(place, VALID.format(at=later))},
        },
    }


async def progress(store: Store) -> Numbering:
    """Count the night's numbers."""
    return await store.read(lambda books: numbers.progress(books, back_end=NIGHT, now=SystemClock().now()))


async def timed(store: Store, work: Any) -> float:
    """Return the median time of a work that reads, in ms."""
    took = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        await store.read(work)
        took.append(time.perf_counter() - began)
    return round(sorted(took)[LOOKS // 2] * 1_000, 3)


async def queries(store: Store) -> dict[str, float]:
    """Time what a round asks: who is due, and how many."""
    period = period_at(NIGHT, SystemClock().now()).id
    return {
        "a_batch_of_the_due_ms": await timed(
            store, lambda books: books.due_numbers(NIGHT.id, period, None, numbers.BATCH)
        ),
        "count_made_and_left_ms": await timed(store, lambda books: books.count_numbers(NIGHT.id, period)),
        "backlog_of_all_ms": await timed(store, lambda books: books.backlog()),
    }


class Taker:
    """A provider that takes every message at once."""

    async def send(self, reference: str, address: str, subject: str, text: str) -> None:  # the port's
        """Take it."""


async def notices(store: Store) -> dict[str, Any]:
    """Hand notices over for some seconds, at a pace that is never reached and at one that is."""
    found: dict[str, Any] = {}
    for name, pace in (("full_speed", 1_000_000), (f"at_{PACE}_a_second", PACE)):
        began, cpu, sent = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < PACED_S:
            rates = {Medium.SMS: pace, Medium.EMAIL: pace}
            carriers = {Medium.SMS: Taker(), Medium.EMAIL: Taker()}
            done = await send_due(store, MemoryKeyring(), carriers, SystemClock(), 200, per_second=rates)
            sent += done.sent
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        found[name] = {"notices_per_s": round(sent / wall), "cpu_us": round(used / max(sent, 1) * 1e6)}
    return found


async def measure(place: str, count: int, kind: str) -> dict[str, Any]:
    """Do all of it on one store."""
    store = opened(place)
    await progress(store)  # the file is made
    began, load = time.perf_counter(), os.getloadavg()[0]
    fill(place, count)
    filled = time.perf_counter() - began
    print(f"filled in {filled:.0f} s", flush=True)
    due = await queries(store)
    renewed = await night(store, place, count)
    print(renewed, flush=True)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "store": kind,
        "users": count,
        "load_average_before_and_after": [round(load, 1), round(os.getloadavg()[0], 1)],
        "two_processes_one_killed": renewed,
        "queries_when_all_are_due": due,
        "queries_when_none_is": await queries(store),
        "bytes_in_database_a_user": size(place) // count,
        "notices": await notices(store),
    }


@contextlib.asynccontextmanager
async def a_place(kind: str) -> AsyncIterator[str]:
    """Make an empty store on disk."""
    if kind == "postgres":
        with postgres_server() as server:
            migrate(server.dsn)
            yield server.dsn
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        yield str(Path(directory) / "store.db")


async def run(count: int, kind: str) -> None:
    """Measure one kind of store, and add it to the results."""
    async with a_place(kind) as place:
        figures = await measure(place, count, kind)
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    results[kind] = figures
    RESULT.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def main() -> None:
    """Measure, or be one of the processes that renew."""
    if sys.argv[1:2] == ["--renew"]:
        asyncio.run(renew(sys.argv[2]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else USERS
    asyncio.run(run(count, sys.argv[2] if len(sys.argv) > 2 else "sqlite"))  # the second argument


if __name__ == "__main__":
    main()
