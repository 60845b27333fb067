"""Compare ways to talk to PostgreSQL: one durable transaction of the shape of "file a part", eight statements.

    python -m bench.postgres

Processor time is that of this process, the node: the server's own is not in it. Three rounds, in turn, since the
machine is not ours alone; the least of each is kept, for noise only adds.
"""

import asyncio
import json
import os
import platform
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
import psycopg
import uvloop

from tallystick.adapters.store.postgres.link import Link
from tallystick.adapters.store.postgres.statements import BEGIN, statement
from tallystick.testing.postgres_server import postgres_server

RESULT: Final = Path(__file__).parent / "results" / "postgres.json"
COUNT: Final = 3_000  # transactions of one round
ROUNDS: Final = 3
CONNECTIONS: Final = 8
CALLERS: Final = 16
PAYMENTS: Final = 2_000  # rows to find

SCHEMA: Final = """
    CREATE TABLE nonce (sender text, nonce text, until bigint, PRIMARY KEY (sender, nonce));
    CREATE TABLE answer (sender text, key text, fingerprint bytea, body bytea, PRIMARY KEY (sender, key));
    CREATE TABLE payment (id text PRIMARY KEY, digest bytea, policy text, state text, fate text, expires_at bigint);
    CREATE TABLE part (payment_id text, id text, channel text, fields text, rival boolean, sealed bytea,
      PRIMARY KEY (payment_id, id));
    CREATE TABLE journal (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, page bytea);
"""
STATEMENTS: Final = {
    "nonce": "INSERT INTO nonce VALUES ($1, $2, $3)",
    "answer": "SELECT fingerprint, body FROM answer WHERE sender = $1 AND key = $2",
    "find": "SELECT id, digest, policy, state, fate, expires_at FROM payment WHERE id = $1 FOR UPDATE",
    "parts": "SELECT payment_id, id, channel, fields, rival, sealed FROM part WHERE payment_id = $1",
    "add": "INSERT INTO part VALUES ($1, $2, $3, $4, $5, $6)",
    "note": "UPDATE payment SET state = $1, expires_at = $2 WHERE id = $3 AND fate IS NULL",
    "keep": "INSERT INTO answer VALUES ($1, $2, $3, $4)",
    "log": "INSERT INTO journal (page) VALUES ($1)",
}
READS: Final = {"answer", "find", "parts"}
PERCENT: Final = {name: re.sub(r"\$\d", "%s", text) for name, text in STATEMENTS.items()}
PREPARED: Final = {name: statement(name, text) for name, text in STATEMENTS.items()}

Transaction = Callable[[Any, list[tuple[str, tuple[Any, ...]]]], Awaitable[None]]


def steps(payment: str) -> list[tuple[str, tuple[Any, ...]]]:
    fresh, body = secrets.token_hex(16), b"x" * 300
    return [
        ("nonce", ("ch", fresh, 1)),
        ("answer", ("ch", fresh)),
        ("find", (payment,)),
        ("parts", (payment,)),
        ("add", (payment, fresh, "ch", '["pan"]', False, body)),
        ("note", ("half", 9, payment)),
        ("keep", ("ch", fresh, b"f" * 32, body)),
        ("log", (body,)),
    ]


async def by_asyncpg(held: tuple[Any, dict[str, Any]], work: list[tuple[str, tuple[Any, ...]]]) -> None:
    connection, prepared = held
    async with connection.transaction():
        for name, values in work:
            await prepared[name].fetch(*values)


async def by_psycopg(connection: Any, work: list[tuple[str, tuple[Any, ...]]]) -> None:
    await connection.execute("BEGIN")
    for name, values in work:
        cursor = await connection.execute(PERCENT[name], values, prepare=True, binary=True)
        if name in READS:
            await cursor.fetchall()
    await connection.execute("COMMIT")


async def by_psycopg_pipeline(connection: Any, work: list[tuple[str, tuple[Any, ...]]]) -> None:
    async with connection.pipeline():
        await by_psycopg(connection, work)


async def by_link(link: Link, work: list[tuple[str, tuple[Any, ...]]]) -> None:
    link.send(BEGIN)
    for name, values in work:
        link.send(PREPARED[name], values)
        if name in READS:
            (await link.answer()).rows()
    await link.commit()


async def measure(
    make: Callable[[], Awaitable[Any]], transaction: Transaction, payments: list[str]
) -> dict[str, float]:
    free: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await make())
    todo = iter(range(COUNT))

    async def call() -> None:
        for _ in todo:
            held = await free.get()
            await transaction(held, steps(secrets.choice(payments)))
            free.put_nowait(held)

    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - began
    return {"cpu_us": round(cpu / COUNT * 1e6), "transactions_per_s": round(COUNT / elapsed)}


async def compare(dsn: str, folder: str) -> dict[str, dict[str, float]]:
    async def plain() -> Any:
        return await psycopg.AsyncConnection.connect(dsn, autocommit=True)

    async def prepared() -> Any:
        connection = await asyncpg.connect(host=folder, user="postgres", database="postgres")
        return connection, {name: await connection.prepare(text) for name, text in STATEMENTS.items()}

    async def link() -> Link:
        return Link(await plain(), 30.0)

    payments = [secrets.token_hex(16) for _ in range(PAYMENTS)]
    connection = await plain()
    await connection.execute(SCHEMA)
    async with connection.cursor() as cursor:
        insert = "INSERT INTO payment VALUES (%s, 'digest', 'card', 'half', NULL, 1)"
        await cursor.executemany(insert, [(payment,) for payment in payments])
    ways: dict[str, tuple[Callable[[], Awaitable[Any]], Transaction]] = {
        "asyncpg": (prepared, by_asyncpg),
        "psycopg": (plain, by_psycopg),
        "psycopg, pipeline": (plain, by_psycopg_pipeline),
        "psycopg.pq, pipeline": (link, by_link),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (make, transaction) in ways.items():
            found[name].append(await measure(make, transaction, payments))
            print(name, found[name][-1])
    return {name: min(rounds, key=lambda each: each["cpu_us"]) for name, rounds in found.items()}


def main() -> None:
    with postgres_server() as server:
        ways = uvloop.run(compare(server.dsn, str(server.folder)))
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} shared cores, Python {platform.python_version()}",
        "statements": len(STATEMENTS),
        "connections": CONNECTIONS,
        "ways": ways,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
