"""What does a durable transaction cost in the embedded store, and do disk and memory stay flat?

Run `python -m bench.store [payments]`: one process, a real file. "part" is the transaction of an accepted part (nonce,
answer looked up and kept, element looked up, payment or part written); "payment" is the whole life of one: two parts,
join, intent, outcome, erasure. CPU time leaves out the wait for the disk. Writes bench/results/store.json.
"""

import asyncio
import hashlib
import json
import os
import platform
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tallystick.adapters.store.sqlite import SqliteBooks, SqliteStore
from tallystick.assembly.facts import ElementKind, Fate, Order, PaymentState
from tallystick.assembly.model import Element, Part, Payment
from tallystick.delivery.model import Intent, IntentState, MessageIds
from tallystick.runtime import Millis
from tallystick.security.model import StoredAnswer

RESULT = Path(__file__).parent / "results" / "store.json"
PARTS = 4_096
PAYMENTS = 20_000
CONCURRENCY = (1, 8, 64, 256)
ROUNDS = 5
SEALED = os.urandom(300)
ANSWER = StoredAnswer(fingerprint=os.urandom(48), body=os.urandom(150))
ORDER = Order(payee="Bookshop", amount=1999, currency="CNY", reference="order 7")
NOW = Millis(1_750_000_000_000)
LATER = Millis(NOW + 600_000)

Work = Callable[[SqliteBooks], Awaitable[Any]]


def name(prefix: str, *of: int) -> str:
    """Return an id as random as a real one, for random ids are what an index has to bear."""
    return f"{prefix}_{hashlib.sha256(repr((prefix, of)).encode()).hexdigest()[:26]}"


def size(path: Path) -> int:
    return path.stat().st_size


def make_payment(i: int) -> Payment:
    element = Element(kind=ElementKind.PHONE, digest=hashlib.sha256(i.to_bytes(8)).digest())
    return Payment(
        id=name("pay", i),
        policy="card",
        element=element,
        claimed=True,
        opened_at=NOW,
        expires_at=LATER,
        updated_at=NOW,
    )


def make_part(i: int, half: int) -> Part:
    return Part(
        id=name("part", i, half),
        payment_id=name("pay", i),
        channel_id=f"ch_{half}",
        certificate="c" * 64,
        fields=frozenset({"pin"} if half else {"pan", "expiry"}),
        received_at=NOW,
        epoch="epoch_1",
        sealed=SEALED,
    )


def file_part(i: int, half: int) -> Work:
    """Return the transaction of part `half` (0 or 1) of payment `i`, with the statements that assembly makes."""
    payment, part, nonce = make_payment(i), make_part(i, half), name("nonce", i, half)

    async def work(books: SqliteBooks) -> None:
        await books.remember_nonce(part.channel_id, nonce, LATER)
        assert await books.stored_answer(part.channel_id, nonce) is None
        if await books.open_payment(payment.element, "card") is None:
            await books.add_payment(payment)
        await books.part_facts(payment.id)
        await books.add_part(part)
        await books.note_part(payment.id, order=ORDER, contested=False, expires_at=LATER)
        if half:
            assert await books.decide_fate(payment.id, Fate.JOINED, NOW)
        await books.keep_answer(part.channel_id, nonce, ANSWER, LATER)

    return work


async def live(store: SqliteStore, i: int) -> None:
    """Live the whole life of payment `i`, with the transactions the path makes."""
    payment_id = name("pay", i)
    await store.transact(file_part(i, 0))
    await store.transact(file_part(i, 1))
    assert len(await store.transact(lambda books: books.sealed_parts(payment_id))) == 2

    async def intend(books: SqliteBooks) -> None:
        joined, delivering = PaymentState.JOINED, PaymentState.DELIVERING
        assert await books.advance(payment_id, expected=joined, state=delivering, at=NOW, back_end="12345678")
        await books.intents(payment_id)
        stan = await books.next_stan("12345678", str(i // 900_000))
        ids = MessageIds(stan=f"{stan:06d}", rrn="612300000001", key=name("req", i), at=NOW)
        await books.add_intent(
            Intent(payment_id=payment_id, n=1, back_end="12345678", ids=ids, table_version=1, digest=bytes(32))
        )

    async def settle(books: SqliteBooks) -> None:
        assert await books.settle_intent(payment_id, 1, state=IntentState.APPROVED, code="00", at=NOW)
        delivering, approved = PaymentState.DELIVERING, PaymentState.APPROVED
        await books.advance(payment_id, expected=delivering, state=approved, at=NOW, response_code="00")
        await books.erase_parts(payment_id)

    await store.transact(intend)
    await store.transact(settle)


async def spread(count: int, concurrency: int, act: Callable[[int], Awaitable[Any]]) -> list[float]:
    """Run `act` on 0 to `count` by `concurrency` workers; return the seconds each took."""
    numbers, took = iter(range(count)), []

    async def worker() -> None:
        for i in numbers:
            began = time.perf_counter()
            await act(i)
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return took


async def parts_cpu(path: Path, half: int) -> float:
    """Return the CPU microseconds of one part's transaction in full batches: the median of several rounds."""
    store = SqliteStore(path)
    rounds = []
    for r in range(ROUNDS):
        first = r * PARTS
        if half:
            await spread(PARTS, 256, lambda i, first=first: store.transact(file_part(first + i, 0)))
        works = [file_part(first + i, half) for i in range(PARTS)]
        began = time.process_time()
        await spread(PARTS, 256, lambda i, works=works: store.transact(works[i]))
        rounds.append((time.process_time() - began) / PARTS * 1e6)
    await store.aclose()
    return round(statistics.median(rounds), 1)


async def acknowledged(path: Path, concurrency: int) -> dict[str, float]:
    """Return durable parts a second and how long a caller waits for one."""
    store = SqliteStore(path)
    count = min(PARTS, 500 * concurrency)
    began, cpu = time.perf_counter(), time.process_time()
    took = sorted(await spread(count, concurrency, lambda i: store.transact(file_part(i, 0))))
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    await store.aclose()
    return {
        "parts_per_s": round(count / wall),
        "cpu_us": round(cpu / count * 1e6, 1),
        "p50_ms": round(took[count // 2] * 1e3, 2),
        "p99_ms": round(took[count * 99 // 100] * 1e3, 2),
    }


async def flat(path: Path, payments: int) -> dict[str, Any]:
    """Live many whole payments with purges in between; watch the log, the memory and the database grow or not."""
    store, step = SqliteStore(path), payments // 4
    log, sizes = path.with_name(path.name + "-wal"), []
    began, cpu = time.perf_counter(), time.process_time()
    for quarter in range(4):
        await spread(step, 64, lambda i, quarter=quarter: live(store, quarter * step + i))
        while await store.transact(lambda books: books.purge_replay(LATER, 500)):
            pass
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sizes.append({"log_kib": size(log) // 1024, "memory_kib": memory})
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert await store.checkpoint()
    kept = size(path)
    await store.aclose()
    return {
        "payments": step * 4,
        "payments_per_s": round(step * 4 / wall),
        "cpu_us_per_payment": round(cpu / (step * 4) * 1e6),
        "bytes_kept_per_payment": kept // (step * 4),
        "log_kib": [row["log_kib"] for row in sizes],
        "memory_kib": [row["memory_kib"] for row in sizes],
    }


async def measure(directory: Path, payments: int) -> dict[str, Any]:
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "first_part_cpu_us": await parts_cpu(directory / "first.db", 0),
        "joining_part_cpu_us": await parts_cpu(directory / "second.db", 1),
        "by_concurrency": {str(n): await acknowledged(directory / f"{n}.db", n) for n in CONCURRENCY},
        "flat": await flat(directory / "flat.db", payments),
    }


def main() -> None:
    payments = int(sys.argv[1]) if len(sys.argv) > 1 else PAYMENTS
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        figures = asyncio.run(measure(Path(directory), payments))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
