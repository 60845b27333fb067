"""The statements, read from `sql/queries/*.sql`: each file is one book's, each statement in it has a name.

    -- name: find_payment (locked)
    SELECT … FROM payment WHERE id = $1

`(locked)` says that a transaction which may write reads the row FOR NO KEY UPDATE: whoever decides something about an
aggregate holds its root until the decision is durable, and foreign keys to it do not wait for that. `(taken)` says the
same of a list that works share out among themselves: rows that another transaction holds are left out.
"""

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Final, NamedTuple

from tallystick.errors import Misconfigured

PACKAGE: Final = "tallystick.adapters.store.postgres"

_HEADER: Final = re.compile(r"^-- name: (?P<name>[a-z_]+)( \((?P<how>locked|taken)\))?$", re.MULTILINE)
_LOCKS: Final = {"locked": "FOR NO KEY UPDATE", "taken": "FOR NO KEY UPDATE SKIP LOCKED"}
_PARAMETER: Final = re.compile(r"\$(\d+)")


class Statement(NamedTuple):
    """A statement under the name it is prepared as; `formats` says for each parameter that it is binary."""

    name: bytes
    text: bytes
    formats: tuple[int, ...]


class Query(NamedTuple):
    """A statement for reading, and the one of a transaction that may write: the same, or with its rows locked."""

    read: Statement
    write: Statement


def load() -> Mapping[str, Query]:
    """Read all statements; raises Misconfigured when two have one name."""
    found: dict[str, Query] = {}
    folder = resources.files(PACKAGE) / "sql" / "queries"
    for script in sorted(folder.iterdir(), key=lambda file: file.name):
        for name, query in parse(script.read_text(encoding="utf-8")):
            if name in found:
                raise Misconfigured(f"two statements are named {name}")
            found[name] = query
    return found


def parse(script: str) -> Iterator[tuple[str, Query]]:
    """Read the statements of one file."""
    headers = [*_HEADER.finditer(script)]
    ends = [header.start() for header in headers[1:]] + [len(script)]
    for header, end in zip(headers, ends, strict=True):
        name, text = header["name"], script[header.end() : end].strip()
        read = statement(name, text)
        lock = _LOCKS.get(header["how"] or "")
        write = statement(f"{name}_{header['how']}", f"{text}\n{lock}") if lock is not None else read
        yield name, Query(read, write)


def statement(name: str, text: str) -> Statement:
    """Make one statement; its parameters are numbered from 1 without a gap."""
    count = max((int(number) for number in _PARAMETER.findall(text)), default=0)
    return Statement(name.encode(), text.encode(), (1,) * count)


BEGIN: Final = statement("begin", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
COMMIT: Final = statement("commit", "COMMIT")
ROLLBACK: Final = statement("rollback", "ROLLBACK")
