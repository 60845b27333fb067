"""Attachments, receipts and refunds in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

import msgspec

from tallystick.adapters.store.rows.payments import from_row
from tallystick.adapters.store.rows.texts import to_json
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.adapters.store.sqlite_payments import COLUMNS
from tallystick.assembly.facts import FINAL_STATES, PaymentState
from tallystick.assembly.model import Attachment, Listed, Receipt, Refund, Wanted
from tallystick.outcomes.model import WAITING_STATES
from tallystick.runtime import Millis

METADATA = msgspec.json.Decoder(dict[str, str])

ATTACH = "INSERT INTO attachment (payment_id, metadata, return_url) VALUES (?, ?, ?)"
ATTACHED = "SELECT metadata, return_url FROM attachment WHERE payment_id = ?"
# One text for each index, because SQLite takes a partial one only when the statement repeats the index's own condition;
# `+` keeps it from another one.
_LATEST = 2**63 - 1
_ENDED = "state IN ('declined', 'reversed', 'refused', 'undelivered', 'cancelled', 'expired')"
_CONDITIONS = {
    **dict.fromkeys((PaymentState.OPEN, PaymentState.HALF), "owner = ?1 AND state = ?3 AND fate IS NULL"),
    **{state: f"+owner = ?1 AND state = '{state.value}'" for state in WAITING_STATES},
    **dict.fromkeys(FINAL_STATES - {PaymentState.APPROVED}, f"owner = ?1 AND state = ?3 AND {_ENDED}"),
    PaymentState.APPROVED: "owner = ?1 AND state = ?3",
}
OF_OWNER = {
    state: f"""
    SELECT seq, {COLUMNS} FROM payment
    WHERE {_CONDITIONS.get(state, "owner = ?1 AND ?3 IS NULL")}
      AND opened_at >= coalesce(?4, 0) AND opened_at < coalesce(?5, {_LATEST})
      AND (opened_at, seq) < (
        coalesce((SELECT opened_at FROM payment WHERE seq = ?2), {_LATEST}), coalesce(?2, {_LATEST})
      )
    ORDER BY opened_at DESC, seq DESC LIMIT ?6
    """
    for state in (None, *PaymentState)
}
HASTEN = "UPDATE payment SET expires_at = ?2 WHERE id = ?1 AND fate IS NULL AND expires_at > ?2"
ADD_RECEIPT = "INSERT INTO receipt (part_id, payment_id, token) VALUES (?, ?, ?)"
RECEIPTS = "SELECT part_id, token FROM receipt WHERE payment_id = ? ORDER BY seq"
REFUND_COLUMNS = "id, payment_id, part_id, receipt, amount, reason, at"
ADD_REFUND = f"INSERT INTO refund ({REFUND_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
REFUNDS = f"SELECT {REFUND_COLUMNS} FROM refund WHERE payment_id = ? ORDER BY seq"


class SqliteMerchants(SqliteBook):
    """Implement `assembly.ports.MerchantBook`."""

    async def attach(self, attachment: Attachment) -> None:
        """Keep what belongs to a payment just added."""
        row = (attachment.payment_id, to_json(attachment.metadata), attachment.return_url)
        self._db.execute(ATTACH, row)

    async def attachment(self, payment_id: str) -> Attachment | None:
        """Find what was attached to a payment."""
        row = self._db.execute(ATTACHED, (payment_id,)).fetchone()
        if row is None:
            return None
        return Attachment(payment_id=payment_id, metadata=METADATA.decode(row[0]), return_url=row[1])

    async def payments_of(self, wanted: Wanted, limit: int) -> list[Listed]:
        """List an owner's payments, newest first by when they were opened, then by `seq`."""
        state = None if wanted.state is None else wanted.state.value
        asked = (wanted.owner, wanted.before, state, wanted.since, wanted.until, limit)
        return [
            Listed(seq=row[0], payment=from_row(row[1:])) for row in self._db.execute(OF_OWNER[wanted.state], asked)
        ]

    async def hasten(self, payment_id: str, expires_at: Millis) -> bool:
        """Move the end of a payment without a fate to an earlier time; True if there was one to move."""
        return self._db.execute(HASTEN, (payment_id, expires_at)).rowcount == 1

    async def add_receipt(self, receipt: Receipt) -> None:
        """Keep the receipt of a part just filed."""
        self._db.execute(ADD_RECEIPT, (receipt.part_id, receipt.payment_id, receipt.token))

    async def receipts(self, payment_id: str) -> list[Receipt]:
        """List the receipts of a payment's parts, in order of arrival."""
        rows = self._db.execute(RECEIPTS, (payment_id,))
        return [Receipt(part_id=part_id, payment_id=payment_id, token=token) for part_id, token in rows]

    async def add_refund(self, refund: Refund) -> None:
        """Record a refund."""
        self._db.execute(ADD_REFUND, tuple(getattr(refund, name) for name in Refund.__struct_fields__))

    async def refunds(self, payment_id: str) -> list[Refund]:
        """List the refunds of a payment, oldest first."""
        names = Refund.__struct_fields__
        return [Refund(**dict(zip(names, row, strict=True))) for row in self._db.execute(REFUNDS, (payment_id,))]
