"""What an operator's checks ask of a store's rows, in words that every database understands."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol

from tallystick.assembly.facts import FINAL_STATES
from tallystick.runtime import Millis

NEWEST: Final = (
    "SELECT max(at) FROM (SELECT at FROM event ORDER BY seq DESC LIMIT 1) AS newest",
    "SELECT max(at) FROM (SELECT updated_at AS at FROM payment ORDER BY seq DESC LIMIT 1) AS newest",
    "SELECT max(received_at) FROM (SELECT received_at FROM part ORDER BY seq DESC LIMIT 1) AS newest",
    "SELECT max(created_at) FROM channel",
    "SELECT max(at) FROM route_version",
)

SEALED_NOW: Final = """
    SELECT p.id, t.sealed, p.state FROM part t JOIN payment p ON p.id = t.payment_id WHERE t.sealed IS NOT NULL
    UNION ALL
    SELECT p.id, i.account, p.state FROM intent i JOIN payment p ON p.id = i.payment_id WHERE i.account IS NOT NULL
"""

# What ended has no content any more; when it ended is when its payment was last changed.
HELD: Final = """
    SELECT t.id AS part, p.id, p.policy, t.channel_id, t.fields, t.received_at,
        CASE WHEN t.sealed IS NULL THEN p.updated_at END, t.epoch
    FROM part t JOIN payment p ON p.id = t.payment_id
    UNION ALL
    SELECT NULL, p.id, p.policy, '', '["pan"]', i.at, NULL, i.epoch
    FROM intent i JOIN payment p ON p.id = i.payment_id WHERE i.account IS NOT NULL
"""

PAYERS: Final = "SELECT count(DISTINCT user_id) FROM credential"
PASSWORDS: Final = "SELECT kdf, count(*) FROM payer GROUP BY kdf"


class HeldRow(NamedTuple):
    """A part, or a card number kept for a reversal (`part` None): when it was sealed, and when it was erased."""

    part: str | None
    payment: str
    policy: str
    channel: str
    fields: str
    since: int
    until: int | None
    epoch: str


class SealedNow(NamedTuple):
    """A sealed part or card number that a row holds, its payment, and whether that has ended."""

    id: str
    sealed: bytes
    ended: bool


class Examined(Protocol):
    """A store to look at; every method may raise its database's own error, which who opened it translates."""

    def unsafe_settings(self) -> list[str]:
        """Name each setting on which durability rests that is not in effect, with its value."""
        ...

    def damage(self) -> str | None:
        """Say what is damaged first, without quoting a row, or None; False alarms are worse than a second look."""
        ...

    def rows(self, query: str) -> Iterable[tuple[Any, ...]]:
        """Answer a query of this module."""
        ...

    def newest(self) -> Millis:
        """Return the time of the newest row; 0 for an empty store."""
        return Millis(max(at or 0 for query in NEWEST for (at,) in self.rows(query)))

    def sealed_now(self) -> list[SealedNow]:
        """List what of payers' credentials is kept in rows, sealed."""
        return [SealedNow(id_, bytes(sealed), state in FINAL_STATES) for id_, sealed, state in self.rows(SEALED_NOW)]

    def held(self) -> list[HeldRow]:
        """List every part there ever was, and the card numbers kept now, without content."""
        return [HeldRow(*row) for row in self.rows(HELD)]

    def payers(self) -> int:
        """Count the payers who left a credential."""
        return sum(count for (count,) in self.rows(PAYERS))

    def passwords_not_under(self, parameters: str) -> int:
        """Count the payers whose password is stretched with other parameters than these."""
        return sum(count for kdf, count in self.rows(PASSWORDS) if kdf != parameters)
