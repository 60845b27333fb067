"""Attachments, receipts and refunds in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

import msgspec

from tallystick.adapters.store.sqlite_book import SqliteBook, to_json
from tallystick.adapters.store.sqlite_payments import COLUMNS, from_row
from tallystick.assembly.model import Attachment, Listed, Receipt, Refund, Wanted
from tallystick.runtime import Millis

METADATA = msgspec.json.Decoder(dict[str, str])

ATTACH = "INSERT INTO attachment (payment_id, metadata, return_url) VALUES (?, ?, ?)"
ATTACHED = "SELECT metadata, return_url FROM attachment WHERE payment_id = ?"
OF_OWNER = f"""
    SELECT seq, {COLUMNS} FROM payment
    WHERE owner = ?1 AND (?2 IS NULL OR seq < ?2) AND (?3 IS NULL OR state = ?3)
      AND (?4 IS NULL OR opened_at >= ?4) AND (?5 IS NULL OR opened_at < ?5)
    ORDER BY seq DESC LIMIT ?6
"""
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
        """List an owner's payments, newest first."""
        state = None if wanted.state is None else wanted.state.value
        asked = (wanted.owner, wanted.before, state, wanted.since, wanted.until, limit)
        return [Listed(seq=row[0], payment=from_row(row[1:])) for row in self._db.execute(OF_OWNER, asked)]

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
