"""Rows by the key versions they name, in PostgreSQL."""

from base64 import b64decode
from typing import Final

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.kept import rewrap_from_row, rewrap_to_row
from tallystick.channels.model import ProposalState
from tallystick.channels.proposals import LIFE_MS
from tallystick.crypto.versioned import version_of
from tallystick.errors import EnvelopeUnopenable
from tallystick.runtime import Millis
from tallystick.security.idempotency import lasting_version
from tallystick.security.kept import Kept, KeptCount, KeptRow, Rewrap

CACHED: Final = frozenset({Kept.CHANNEL, Kept.CONNECTOR})
ENDING: Final = frozenset({Kept.API_KEY, Kept.ANSWER})
"""Kinds whose rows count until a time that stands in them."""


class PostgresKept(PostgresBook):
    """Implement `security.kept.KeptBook`."""

    async def kept_rows(self, kind: Kept, after: str, limit: int) -> list[KeptRow]:
        """List rows of a renewed kind whose id is greater than `after`, in the order of ids."""
        rows = await self._rows(f"kept_{_word(kind)}", after, limit)
        return [KeptRow(id=row_id, values=tuple(values)) for row_id, *values in rows]

    async def put_kept(self, kind: Kept, row: KeptRow) -> None:
        """Replace the values of a row of a renewed kind."""
        if kind in CACHED:
            self._leave_cache()
        await self._change(f"put_kept_{_word(kind)}", *row.values, row.id)

    async def kept_counts(self, kind: Kept, now: Millis) -> list[KeptCount]:
        """Count the values of a kind by place and version, but for rows that are over; reads the whole table."""
        query, found = f"count_{_word(kind)}", list[tuple[int, int, int]]()
        match kind:
            case Kept.ANSWER:
                heads = [(lasting_version(head), count) for head, count in await self._rows(query, now)]
                found = [(0, version, count) for version, count in heads if version is not None]
            case Kept.LIMITS:
                found = [(0, _version(b64decode(mac)), count) for mac, count in await self._rows(query)]
            case Kept.PROPOSAL:
                rows = await self._rows(query, ProposalState.OPEN.value, now - LIFE_MS)
                found = [(place, _version(header), count) for place, header, count in rows]
            case _:
                rows = await (self._rows(query, now) if kind in ENDING else self._rows(query))
                found = [(place, _version(header), count) for place, header, count in rows]
        return [
            KeptCount(kind=kind, place=place, version=version, count=count) for place, version, count in sorted(found)
        ]

    async def rewrap(self, kind: Kept) -> Rewrap | None:
        """Return how far a kind was sealed anew, None when it never was."""
        row = await self._row("rewrap", kind.value)
        return None if row is None else rewrap_from_row(kind, row)

    async def note_rewrap(self, rewrap: Rewrap) -> None:
        """Record how far a kind is."""
        await self._change("note_rewrap", *rewrap_to_row(rewrap))


def _word(kind: Kept) -> str:
    """Return how a kind's statements are named."""
    return kind.value.lower().replace(" ", "_")


def _version(header: bytes) -> int:
    try:
        return version_of(header)
    except EnvelopeUnopenable:
        return 0
