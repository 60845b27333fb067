"""Fill a SQLite store with years of finished payments, or many open ones, without living each of them.

The rows are copies of a real payment's, with ids and digests of their own spread evenly over all values: so they are
written in the order of every index, which is fast, while new payments fall between them, where the time in their ids
says, which is what an index of that size costs. The audit chain grows by as many entries as a payment leaves; its
hashes are random, for nothing here verifies the chain.
"""

import sqlite3
from pathlib import Path
from typing import Final

BATCH: Final = 100_000  # payments of one transaction
ENTRIES: Final = 4  # audit entries of a payment: two parts, one send, one outcome
SPAN: Final = 2**48  # ids are spread over so many values; the rest of an id is random

_TEMPLATE: Final = "SELECT id FROM payment WHERE state = 'approved' ORDER BY seq DESC LIMIT 1"
_NUMBERS: Final = "WITH RECURSIVE n(i) AS (SELECT :low UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :high)"
_ID: Final = "printf('%012x%020x', i * :step, :fill)"

# What differs from the real row stands here; every other column is copied.
_FINISHED: Final = {
    "payment": {"id": f"'pay_' || {_ID}", "element_digest": "randomblob(37)"},
    "part": {"id": f"'part_' || {_ID} || t.half", "payment_id": f"'pay_' || {_ID}"},
    "intent": {"payment_id": f"'pay_' || {_ID}", "key": f"'req_' || {_ID} || '_1'", "n": "1"},
    "event": {"payment_id": f"'pay_' || {_ID}"},
}
_OPEN: Final = {
    "payment": {
        "id": f"'pay_' || {_ID}",
        "element_digest": f"CAST({_ID} AS BLOB)",
        "state": "'half'",
        "fate": "NULL",
        "back_end": "NULL",
        "response_code": "NULL",
        "expires_at": ":expires",
    },
    "part": {
        "id": f"'part_' || {_ID} || t.half",
        "payment_id": f"'pay_' || {_ID}",
        "sealed": "randomblob(300)",
        "received_at": ":expires",
    },
}


def columns(db: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns of a table that a copy gives; `seq` comes by itself."""
    return [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})") if name != "seq"]


def copies(db: sqlite3.Connection, table: str, changed: dict[str, str], source: str) -> str:
    """Return the statement that writes copies of the template's rows of a table."""
    names = columns(db, table)
    values = ", ".join(changed.get(name, f"t.{name}") for name in names)
    return f"INSERT INTO {table} ({', '.join(names)}) {_NUMBERS} SELECT {values} FROM n, ({source}) AS t"  # noqa: S608


def sources(parts: int) -> dict[str, str]:
    """Return where the template's rows of each table are."""
    half = "(SELECT count(*) FROM part AS o WHERE o.payment_id = part.payment_id AND o.seq < part.seq)"
    return {
        "payment": "SELECT * FROM payment WHERE id = :template",
        "part": f"SELECT *, {half} AS half FROM part WHERE payment_id = :template ORDER BY seq LIMIT {parts}",  # noqa: S608
        "intent": "SELECT * FROM intent WHERE payment_id = :template ORDER BY n DESC LIMIT 1",
        "event": "SELECT * FROM event WHERE payment_id = :template LIMIT 1",
    }


def fill(path: Path, finished: int, opened: int, expires: int) -> None:
    """Add so many finished payments and so many open ones of one part each to the store at `path`.

    One payment must have ended there. `expires` is when the open ones end, in ms: far enough that no sweep does it now.
    """
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -262144")
    db.execute("PRAGMA foreign_keys = OFF")
    (template,) = db.execute(_TEMPLATE).fetchone()
    for count, changes, parts in ((finished, _FINISHED, 2), (opened, _OPEN, 1)):
        step = SPAN // max(count, 1)
        (there,) = db.execute("SELECT max(seq) FROM payment").fetchone()
        for low in range(0, count, BATCH):
            given = {"low": low, "high": min(low + BATCH, count), "step": step, "fill": there}
            db.execute("BEGIN")
            for table, changed in changes.items():
                statement = copies(db, table, changed, sources(parts)[table])
                named = {**given, "template": template, "expires": expires}
                db.execute(statement, named)
            entries(db, min(BATCH, count - low) * (ENTRIES if parts > 1 else 1))
            db.execute("UPDATE announced SET seq = (SELECT max(seq) FROM event)")
            db.execute("COMMIT")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def entries(db: sqlite3.Connection, count: int) -> None:
    """Let the audit chain grow by `count` entries as long as the last one."""
    seq, body = db.execute("SELECT seq, body FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    db.execute(
        f"INSERT INTO audit (seq, body, hash) {_NUMBERS} SELECT i, :body, randomblob(32) FROM n",  # noqa: S608
        {"low": seq + 1, "high": seq + 1 + count, "body": body},
    )
