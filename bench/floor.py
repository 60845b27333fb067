"""The floor: the work of one payment that nobody can leave out, measured with bare library calls on one core.

Per payment: 2 HPKE opens, 2 MACs and 1 delivery exchange (CPU time), the durable rows in group commits (elapsed time:
the one core waits for the disk); the 2 echoes are measured on the real listener (bench/__main__.py). Runs as a process
of its own on the server's core, while the load generator's core is kept busy as it is during the payments: two cores of
a virtual machine may share one real core.
"""

import argparse
import asyncio
import hashlib
import hmac
import itertools
import json
import os
import secrets
import sqlite3
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from tallystick.crypto import tls

ROWS_PER_PAYMENT = 9  # 1 payment, 2 parts, 2 nonces, 2 kept answers, 1 intent, 1 trace number
COMMIT_OF = 32  # rows in one group commit
ROUNDS = 5
MESSAGES = 300
CORE = 0


def least_us(work: Callable[[], None], count: int, clock: Callable[[], int] = time.process_time_ns) -> float:
    """Return the least time of several rounds, in microseconds per call; CPU time unless another clock is given."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = clock()
        for _ in range(count):
            work()
        best = min(best, (clock() - began) / count / 1000)
    return best


def hpke_open_us(body_size: int) -> float:
    """Open hybrid envelopes, each another one, with the bare library."""
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    key = MLKEM768X25519PrivateKey(mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate())
    info = secrets.token_bytes(150)
    messages = [suite.encrypt(secrets.token_bytes(body_size), key.public_key(), info) for _ in range(MESSAGES)]
    waiting = itertools.cycle(messages)
    return least_us(lambda: suite.decrypt(next(waiting), key, info), MESSAGES)


def mac_us(body_size: int) -> float:
    """Digest one body and MAC one signature base."""
    key, body, base = secrets.token_bytes(32), secrets.token_bytes(body_size), secrets.token_bytes(400)

    def work() -> None:
        hashlib.sha256(body).digest()
        hmac.digest(key, base, "sha256")

    return least_us(work, 5_000)


def rows_us(directory: Path) -> tuple[float, float]:
    """Insert the rows of one payment, durably, in group commits; elapsed time, as the loop waits, and CPU time."""
    database = sqlite3.connect(directory / "floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE row (id TEXT PRIMARY KEY, state TEXT, at INTEGER, sealed BLOB) WITHOUT ROWID")
    sealed = secrets.token_bytes(250)

    def work() -> None:
        database.execute("BEGIN IMMEDIATE")
        for _ in range(COMMIT_OF):
            database.execute("INSERT INTO row VALUES (?, ?, ?, ?)", (secrets.token_hex(16), "half", 1, sealed))
        database.execute("COMMIT")

    elapsed, cpu = least_us(work, 100, time.perf_counter_ns), least_us(work, 100)
    database.close()
    return elapsed / COMMIT_OF * ROWS_PER_PAYMENT, cpu / COMMIT_OF * ROWS_PER_PAYMENT


async def exchange_us(context: ssl.SSLContext, port: int, count: int = 1_000) -> float:
    """Write one frame of 200 bytes and read one back over an open TLS connection; our side's CPU time per exchange."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    frame = secrets.token_bytes(200)
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for _ in range(count):
            writer.write(frame)
            await reader.readexactly(len(frame))
        best = min(best, (time.process_time_ns() - began) / count / 1000)
    writer.close()
    return best


async def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser()
    for name in ("ca", "certificate", "key", "folder"):
        parser.add_argument(name, type=Path)
    for name in ("port", "body_size"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    os.sched_setaffinity(0, {CORE})
    context = tls.client_context(given.ca, given.certificate, given.key)
    elapsed, cpu = rows_us(given.folder)
    parts = {
        "hpke_open_x2": 2 * hpke_open_us(300),
        "mac_x2": 2 * mac_us(given.body_size),
        f"durable_rows_x{ROWS_PER_PAYMENT}": elapsed,
        "delivery_exchange_x1": await exchange_us(context, given.port),
    }
    rounded = {name: round(value, 1) for name, value in parts.items()}
    print(json.dumps({"parts": rounded, "rows_cpu_us": round(cpu, 1)}))


if __name__ == "__main__":
    uvloop.run(main())
