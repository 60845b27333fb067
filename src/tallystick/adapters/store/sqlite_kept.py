"""Rows by the key versions they name, in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from base64 import b64decode
from typing import Final, NamedTuple

from tallystick.adapters.store.rows.kept import rewrap_from_row, rewrap_to_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.channels.model import ProposalState
from tallystick.channels.proposals import LIFE_MS
from tallystick.crypto.versioned import HEADER, version_of
from tallystick.errors import EnvelopeUnopenable
from tallystick.runtime import Millis
from tallystick.security.idempotency import lasting_version
from tallystick.security.kept import Kept, KeptCount, KeptRow, Rewrap


class _Where(NamedTuple):
    """Where a kind is: its table, its values' columns in the order of `USES`, what finds a row, which rows count."""

    table: str
    columns: tuple[str, ...]
    id: str = "id"
    counts: str = "1"


OPEN: Final = f"""
    json_extract(CAST(record AS TEXT), '$.state') = '{ProposalState.OPEN.value}'
    AND json_extract(CAST(record AS TEXT), '$.at') > :now - {LIFE_MS}
"""

WHERE: Final = {
    Kept.CHANNEL: _Where("channel", ("sealed_key", "earlier_key")),
    Kept.CONNECTOR: _Where("connector", ("sealed",), id="institution"),
    Kept.ENDPOINT: _Where("webhook_endpoint", ("sealed",)),
    Kept.PAYER: _Where("payer", ("verifier", "wrapped_key", "sealed_contact", "name_digest")),
    Kept.NOTICE: _Where("notice", ("sealed",)),
    Kept.PULL: _Where("pull", ("body",)),
    Kept.PAYMENT: _Where("payment", ("element_digest",), counts="fate IS NULL"),
    Kept.ORDER: _Where("payment", ("order_mac",), counts="state IN ('open', 'half', 'joined')"),
    Kept.CLAIM: _Where("claim", ("digest",), id="seq"),
    Kept.ENROLMENT: _Where("enrolment", ("digest",)),
    Kept.LINK: _Where("capability", ("sealed_key", "session_key")),
    Kept.API_KEY: _Where("api_key", ("digest", "mac"), counts="revoked_at IS NULL AND expires_at > :now"),
    Kept.PROPOSAL: _Where("proposal", ("mac",), counts=OPEN),
    Kept.LIMITS: _Where("limit_rules", ("record",)),
    Kept.ANSWER: _Where("answer", ("fingerprint",), counts="until > :now"),
}

MAC_IN_RECORD: Final = """
    SELECT json_extract(CAST(record AS TEXT), '$.mac'), count(*) FROM limit_rules WHERE true GROUP BY 1
"""
ANSWERS: Final = """
    SELECT CAST(substr(fingerprint, 1, instr(fingerprint, x'2e') - 1) AS BLOB), count(*)
    FROM answer WHERE until > :now GROUP BY 1 ORDER BY 1
"""
CACHED: Final = frozenset({Kept.CHANNEL, Kept.CONNECTOR})

REWRAP_COLUMNS: Final = "kind, target, after, looked, changed, damaged, started_at, finished_at"
FIND_REWRAP: Final = f"SELECT {REWRAP_COLUMNS} FROM rewrap WHERE kind = ?"
PUT_REWRAP: Final = f"INSERT OR REPLACE INTO rewrap ({REWRAP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteKept(SqliteBook):
    """Implement `security.kept.KeptBook`."""

    async def kept_rows(self, kind: Kept, after: str, limit: int) -> list[KeptRow]:
        """List rows of a renewed kind whose id is greater than `after`, in the order of ids."""
        at = WHERE[kind]
        asked = f"SELECT {at.id}, {', '.join(at.columns)} FROM {at.table} WHERE {at.id} > ? ORDER BY {at.id} LIMIT ?"
        return [KeptRow(id=row_id, values=tuple(values)) for row_id, *values in self._db.execute(asked, (after, limit))]

    async def put_kept(self, kind: Kept, row: KeptRow) -> None:
        """Replace the values of a row of a renewed kind."""
        if kind in CACHED:
            self._cache.changed()
        at = WHERE[kind]
        changed = f"UPDATE {at.table} SET {', '.join(f'{column} = ?' for column in at.columns)} WHERE {at.id} = ?"
        self._db.execute(changed, (*row.values, row.id))

    async def kept_counts(self, kind: Kept, now: Millis) -> list[KeptCount]:
        """Count the values of a kind by place and version, but for rows that are over; reads the whole table."""
        if kind is Kept.ANSWER:
            return self._answers(now)
        at, found = WHERE[kind], []
        for place, column in enumerate(at.columns):
            head = f"substr({column}, 1, {HEADER.size})"
            asked = (
                f"SELECT {head}, count(*) FROM {at.table} WHERE {column} IS NOT NULL AND {at.counts} GROUP BY {head}"
            )
            if kind is Kept.LIMITS:
                asked = MAC_IN_RECORD
            for header, count in self._db.execute(asked, {"now": now}):
                found.append(KeptCount(kind=kind, place=place, version=_version(header), count=count))
        return found

    def _answers(self, now: Millis) -> list[KeptCount]:
        heads = ((lasting_version(head), count) for head, count in self._db.execute(ANSWERS, {"now": now}))
        return [
            KeptCount(kind=Kept.ANSWER, place=0, version=version, count=count)
            for version, count in heads
            if version is not None
        ]

    async def rewrap(self, kind: Kept) -> Rewrap | None:
        """Return how far a kind was sealed anew, None when it never was."""
        row = self._db.execute(FIND_REWRAP, (kind.value,)).fetchone()
        return None if row is None else rewrap_from_row(kind, row[1:])

    async def note_rewrap(self, rewrap: Rewrap) -> None:
        """Record how far a kind is."""
        self._db.execute(PUT_REWRAP, rewrap_to_row(rewrap))


def _version(header: bytes | str) -> int:
    try:
        return version_of(b64decode(header) if isinstance(header, str) else header)
    except EnvelopeUnopenable:
        return 0
