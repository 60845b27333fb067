"""Rows by the key versions they name, in memory."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tallystick.assembly.facts import PaymentState
from tallystick.channels.access import is_current
from tallystick.channels.proposals import is_open
from tallystick.crypto.versioned import version_of
from tallystick.errors import EnvelopeUnopenable
from tallystick.runtime import Millis
from tallystick.security.idempotency import lasting_version
from tallystick.security.kept import Kept, KeptCount, KeptRow, Rewrap
from tallystick.testing.memory_access import MemoryApiKeys, MemoryProposals
from tallystick.testing.memory_books import MemoryChannels, MemoryConnectors, MemoryNotices, MemoryReplay, MemoryUsers
from tallystick.testing.memory_capabilities import MemoryCapabilities
from tallystick.testing.memory_enrolments import MemoryEnrolments
from tallystick.testing.memory_events import MemoryWebhooks
from tallystick.testing.memory_intents import MemoryIntents
from tallystick.testing.memory_limits import MemoryLimits
from tallystick.testing.memory_payments import MemoryClaims
from tallystick.testing.memory_pull import MemoryPulls
from tallystick.testing.memory_table import Journal, Table

MEMBERS = {
    Kept.CHANNEL: ("sealed_key", "earlier_key"),
    Kept.ENDPOINT: ("sealed",),
    Kept.PAYER: ("verifier", "wrapped_key", "sealed_contact", "name_digest"),
    Kept.NOTICE: ("sealed",),
    Kept.PULL: ("body",),
    Kept.ENROLMENT: ("digest",),
    Kept.LINK: ("sealed_key", "session_key"),
    Kept.API_KEY: ("digest", "mac"),
    Kept.PROPOSAL: ("mac",),
}

UNSENT = (PaymentState.OPEN, PaymentState.HALF, PaymentState.JOINED)


class MemoryKept(
    MemoryChannels,
    MemoryEnrolments,
    MemoryCapabilities,
    MemoryApiKeys,
    MemoryProposals,
    MemoryLimits,
    MemoryReplay,
    MemoryIntents,
    MemoryClaims,
    MemoryConnectors,
    MemoryUsers,
    MemoryNotices,
    MemoryPulls,
    MemoryWebhooks,
):
    """Implement `security.kept.KeptBook` over the other books' tables."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._rewraps: Table[Kept, Rewrap] = Table(journal)

    async def kept_rows(self, kind: Kept, after: str, limit: int) -> list[KeptRow]:
        """List rows of a renewed kind whose id is greater than `after`, in the order of ids."""
        return sorted((row for row in self._kept(kind) if row.id > after), key=lambda row: row.id)[:limit]

    async def put_kept(self, kind: Kept, row: KeptRow) -> None:
        """Replace the values of a row of a renewed kind."""
        if kind is Kept.CONNECTOR:
            self._settings.put(row.id, row.values[0] or b"")
            return
        table = self._table(kind)
        before = table.get(row.id)
        if before is not None:
            table.put(row.id, replace(before, **dict(zip(MEMBERS[kind], row.values, strict=True))))

    async def kept_counts(self, kind: Kept, now: Millis) -> list[KeptCount]:
        """Count the values of a kind by place and version, but for rows that are over."""
        if kind is Kept.ANSWER:
            kept = [lasting_version(answer.fingerprint) for answer, until in self._answers.rows() if until > now]
            found = Counter((0, version) for version in kept if version is not None)
        else:
            found = Counter(
                (place, _version(value))
                for row in self._kept(kind)
                if not self._is_over(kind, row.id, now)
                for place, value in enumerate(row.values)
                if value is not None
            )
        return [
            KeptCount(kind=kind, place=place, version=version, count=count)
            for (place, version), count in sorted(found.items())
        ]

    async def rewrap(self, kind: Kept) -> Rewrap | None:
        """Return how far a kind was sealed anew, None when it never was."""
        return self._rewraps.get(kind)

    async def note_rewrap(self, rewrap: Rewrap) -> None:
        """Record how far a kind is."""
        self._rewraps.put(rewrap.kind, rewrap)

    def _is_over(self, kind: Kept, row_id: str, now: Millis) -> bool:
        key, proposal = self._api_keys.get(row_id), self._proposals.get(row_id)
        if kind is Kept.API_KEY and key is not None:
            return not is_current(key, now)
        return kind is Kept.PROPOSAL and proposal is not None and not is_open(proposal, now)

    def _kept(self, kind: Kept) -> list[KeptRow]:
        match kind:
            case Kept.CONNECTOR:
                return [KeptRow(id=name, values=(sealed,)) for name, sealed in self._settings.items()]
            case Kept.PAYMENT:
                waiting = [payment for payment in self._payments.rows() if payment.fate is None]
                return [KeptRow(id=payment.id, values=(payment.element.digest,)) for payment in waiting]
            case Kept.ORDER:
                unsent = [payment for payment in self._payments.rows() if payment.state in UNSENT]
                return [KeptRow(id=payment.id, values=(payment.order_mac,)) for payment in unsent]
            case Kept.CLAIM:
                issued = [each for group in self._issued.rows() for each in group]
                return [KeptRow(id=str(n), values=(each.element.digest,)) for n, each in enumerate(issued)]
            case Kept.LIMITS:
                return [KeptRow(id="1", values=(rules.mac,)) for rules in self._limit_rules.rows()]
            case _:
                members = MEMBERS[kind]
                return [
                    KeptRow(id=row.id, values=tuple(getattr(row, member) for member in members))
                    if kind is not Kept.PULL
                    else KeptRow(id=row.key, values=(row.body,))
                    for row in self._table(kind).rows()
                ]

    def _table(self, kind: Kept) -> Table[str, Any]:
        tables: dict[Kept, Callable[[], Table[str, Any]]] = {
            Kept.CHANNEL: lambda: self._channels,
            Kept.ENDPOINT: lambda: self._endpoints,
            Kept.PAYER: lambda: self._users,
            Kept.NOTICE: lambda: self._notices,
            Kept.PULL: lambda: self._pulls,
            Kept.ENROLMENT: lambda: self._enrolments,
            Kept.LINK: lambda: self._capabilities,
            Kept.API_KEY: lambda: self._api_keys,
            Kept.PROPOSAL: lambda: self._proposals,
        }
        return tables[kind]()


def _version(value: bytes) -> int:
    try:
        return version_of(value)
    except EnvelopeUnopenable:
        return 0
