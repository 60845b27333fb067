"""A table in memory whose changes can be undone."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

Journal = list[Callable[[], None]]
"""How to undo what a transaction did, in the order it was done."""


class Table(Generic[K, V]):
    """Hold frozen rows by key, in order of their first writing; every change is noted in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._rows: dict[K, V] = {}
        self._journal = journal

    def get(self, key: K) -> V | None:
        """Find a row."""
        return self._rows.get(key)

    def rows(self) -> list[V]:
        """List all rows."""
        return list(self._rows.values())

    def items(self) -> list[tuple[K, V]]:
        """List all keys and rows."""
        return list(self._rows.items())

    def put(self, key: K, row: V) -> None:
        """Write or replace a row."""
        if key in self._rows:
            self._undo_by_writing(key)
        else:
            self._journal.append(lambda: self._rows.__delitem__(key))
        self._rows[key] = row

    def drop(self, key: K) -> None:
        """Delete a row where there is one; undone, it comes back as the last."""
        if key in self._rows:
            self._undo_by_writing(key)
            del self._rows[key]

    def _undo_by_writing(self, key: K) -> None:
        before = self._rows[key]
        self._journal.append(lambda: self._rows.update({key: before}))


class MemoryBook:
    """Base of the books in memory; each makes its tables on the journal of their store."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
