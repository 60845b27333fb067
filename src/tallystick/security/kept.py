"""What the store keeps under long-lived keys: the kinds of rows, which purpose each value is under, and where it lives.

Some kinds are sealed anew after a rotation (`RENEWED`); the others live minutes to weeks and end by themselves. Either
way a key is destroyed only when no row that still counts names it. A row that is over may stay, as what happened: it
opens nothing, and its key need not be kept for it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from tallystick.crypto.binding import bind
from tallystick.crypto.versioned import version_of
from tallystick.runtime import Millis
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import seal, unseal


class Kept(StrEnum):
    """A kind of row that names key versions."""

    CHANNEL = "channel"
    CONNECTOR = "connector"
    ENDPOINT = "webhook endpoint"
    PAYER = "payer"
    NOTICE = "notice"
    PULL = "pull delivery"
    PAYMENT = "waiting payment"
    ORDER = "created order"
    CLAIM = "issued element"
    ENROLMENT = "enrolment"
    API_KEY = "API key"
    LINK = "page link"
    PROPOSAL = "proposal"
    LIMITS = "rate limits"
    ANSWER = "kept answer"


USES: Final[Mapping[Kept, tuple[Purpose, ...]]] = {
    Kept.CHANNEL: (Purpose.AT_REST, Purpose.AT_REST),
    Kept.CONNECTOR: (Purpose.AT_REST,),
    Kept.ENDPOINT: (Purpose.AT_REST,),
    Kept.PAYER: (Purpose.VAULT, Purpose.VAULT, Purpose.VAULT, Purpose.BLIND_INDEX),
    Kept.NOTICE: (Purpose.VAULT,),
    Kept.PULL: (Purpose.AT_REST,),
    Kept.PAYMENT: (Purpose.BLIND_INDEX,),
    Kept.ORDER: (Purpose.ACCESS,),
    Kept.CLAIM: (Purpose.BLIND_INDEX,),
    Kept.ENROLMENT: (Purpose.BLIND_INDEX,),
    Kept.LINK: (Purpose.AT_REST, Purpose.AT_REST),
    Kept.API_KEY: (Purpose.ACCESS, Purpose.ACCESS),
    Kept.PROPOSAL: (Purpose.ACCESS,),
    Kept.LIMITS: (Purpose.ACCESS,),
    Kept.ANSWER: (Purpose.AT_REST,),
}
"""The purposes of a row's values, in the order of `KeptRow.values`."""

RENEWED: Final = (Kept.CHANNEL, Kept.CONNECTOR, Kept.ENDPOINT, Kept.PAYER)
"""The kinds that outlive a key and are sealed anew."""

_LABELS: Final = {Kept.CHANNEL: "sender-key", Kept.CONNECTOR: "connector", Kept.ENDPOINT: "webhook-secrets"}


class KeptRow(Struct, frozen=True, kw_only=True):
    """The values of one row that name key versions; None where one is not there."""

    id: str
    values: tuple[bytes | None, ...]


class KeptCount(Struct, frozen=True, kw_only=True):
    """How many values of one kind and place name a version; 0 for what names none."""

    kind: Kept
    place: int
    version: int
    count: int


class Rewrap(Struct, frozen=True, kw_only=True):
    """How far one kind was sealed anew under `target`, the versions that were active when it began.

    Rows are taken in the order of their ids; `after` is the last one done. `damaged` rows did not open and stay.
    """

    kind: Kept
    target: str
    after: str = ""
    looked: int = 0
    changed: int = 0
    damaged: int = 0
    started_at: Millis
    finished_at: Millis | None = None


class KeptBook(Protocol):
    """Rows of every kind by the versions they name, inside one transaction."""

    async def kept_rows(self, kind: Kept, after: str, limit: int) -> list[KeptRow]:
        """List rows of a renewed kind whose id is greater than `after`, in the order of ids."""
        ...

    async def put_kept(self, kind: Kept, row: KeptRow) -> None:
        """Replace the values of a row of a renewed kind."""
        ...

    async def kept_counts(self, kind: Kept, now: Millis) -> list[KeptCount]:
        """Count the values of a kind by place and version, but for rows that are over; reads the whole table."""
        ...

    async def rewrap(self, kind: Kept) -> Rewrap | None:
        """Return how far a kind was sealed anew, None when it never was."""
        ...

    async def note_rewrap(self, rewrap: Rewrap) -> None:
        """Record how far a kind is."""
        ...


def place(kind: Kept, row_id: str) -> bytes:
    """Return the context that the sealed values of a row are tied to."""
    return bind(_LABELS[kind], row_id)


def is_current(keyring: Keyring, kind: Kept, row: KeptRow) -> bool:
    """Tell whether all values of a row are under the active keys; raises EnvelopeUnopenable for one that names none."""
    return all(
        value is None or version_of(value) == keyring.active(purpose).version
        for purpose, value in zip(USES[kind], row.values, strict=True)
    )


def reseal(keyring: Keyring, kind: Kept, row: KeptRow) -> KeptRow:
    """Return the row sealed under the active keys; raises EnvelopeUnopenable when a value is damaged."""
    context = place(kind, row.id)
    values = tuple(
        seal(keyring, purpose, unseal(keyring, purpose, value, context), context) if value is not None else None
        for purpose, value in zip(USES[kind], row.values, strict=True)
    )
    return KeptRow(id=row.id, values=values)
