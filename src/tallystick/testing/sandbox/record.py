"""What a sandbox back end was asked and what it did: in memory, and as JSON lines for other processes and tests.

The file is also the back end's books: one that was killed reads it when it starts again, and knows all it ever decided.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

PRIVATE: Final = 0o600

Entry = Mapping[str, str | int | bool | None]
"""One request and its effect. `kind` says what was asked, `effective` whether it moved money, `undone` whether it took
back what an earlier one had moved; no value is a whole card number or a PIN.
"""


class Record:
    """Keep every request in order of arrival.

    `entries` grows with every request: a sandbox lives as long as one test or one benchmark. With a `path`, each entry
    is in the file when `append` returns (one write of one line), so that a process killed later leaves all of them, and
    begins with them when it is started again. A line that the kill tore was told to nobody, and is cut off.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._file: int | None = None
        if path is not None:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE)
            self.entries = read(path)
            os.truncate(self._file, path.read_bytes().rfind(b"\n") + 1)

    def append(self, entry: Entry) -> None:
        """Add an entry; the caller has masked it."""
        self.entries.append(entry)
        if self._file is not None:
            os.write(self._file, msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        """Close the file; `entries` stay."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def effective(entries: Iterable[Entry]) -> int:
    """Count the authorisations that have an effect: those that moved money less those that were undone."""
    return sum((entry.get("effective") is True) - (entry.get("undone") is True) for entry in entries)


def read(path: Path) -> list[Entry]:
    """Return the entries of a file; a last line that is still being written is left out."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=dict[str, str | int | bool | None]) for line in lines]
