"""Rows that every part needs and only an operator changes, kept by each node and never used when they are old.

Every change of such a row moves `settings_version` in its own transaction. A transaction that used kept rows asks for
that number, with a statement that shares a round trip; where it differs from the one they were kept under, the store
forgets them all and runs the work again. So a kept row is used only if it was the committed one while the work ran.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from tallystick.channels.model import Channel, PinKey
from tallystick.routing.model import RoutingTable

TRACE_DAYS_MAX: Final = 1_000  # back ends and hours whose numbers are held ready; those of the oldest are given up

TraceDay = tuple[str, str]
"""A back end and an hour, within which no trace number comes twice."""


class Cache:
    """What one node keeps; `traces` are numbers that only this node gives out, and are never old."""

    def __init__(self) -> None:
        self.traces: dict[TraceDay, deque[int]] = {}
        self.channels: dict[str, Channel] = {}
        self.connectors: dict[str, bytes] = {}
        self.pin_keys: dict[str, list[PinKey]] = {}
        self.table: RoutingTable | None = None
        self.version = 0

    def stock(self, day: TraceDay, numbers: Iterable[int]) -> None:
        """Take up trace numbers that are set apart for this node."""
        while day not in self.traces and len(self.traces) >= TRACE_DAYS_MAX:
            del self.traces[next(iter(self.traces))]
        self.traces.setdefault(day, deque()).extend(numbers)

    def forget(self, version: int) -> None:
        """Forget everything; what is kept from now on is that of `version`."""
        self.channels.clear()
        self.connectors.clear()
        self.pin_keys.clear()
        self.table = None
        self.version = version
