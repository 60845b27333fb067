"""Attachments, receipts and refunds in PostgreSQL."""

from typing import Final

import msgspec

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.payments import from_row
from tallystick.adapters.store.rows.texts import to_json
from tallystick.assembly.facts import FINAL_STATES, PaymentState
from tallystick.assembly.model import Attachment, Listed, Receipt, Refund, Wanted
from tallystick.outcomes.model import WAITING_STATES
from tallystick.runtime import Millis

METADATA: Final = msgspec.json.Decoder(dict[str, str])
OF_OWNER: Final = {
    **dict.fromkeys((PaymentState.OPEN, PaymentState.HALF), "waiting_payments_of"),
    **dict.fromkeys(WAITING_STATES, "moving_payments_of"),
    **dict.fromkeys(FINAL_STATES, "ended_payments_of"),
    PaymentState.APPROVED: "approved_payments_of",
}


class PostgresMerchants(PostgresBook):
    """Implement `assembly.ports.MerchantBook`."""

    async def attach(self, attachment: Attachment) -> None:
        """Keep what belongs to a payment just added."""
        self._put("attach", attachment.payment_id, to_json(attachment.metadata), attachment.return_url)

    async def attachment(self, payment_id: str) -> Attachment | None:
        """Find what was attached to a payment."""
        row = await self._row("attachment", payment_id)
        if row is None:
            return None
        return Attachment(payment_id=payment_id, metadata=METADATA.decode(row[0]), return_url=row[1])

    async def payments_of(self, wanted: Wanted, limit: int) -> list[Listed]:
        """List an owner's payments, newest first by when they were opened, then by `seq`."""
        asked = (wanted.owner, wanted.before, wanted.since, wanted.until, limit)
        if wanted.state is None:
            rows = await self._rows("payments_of", *asked)
        else:
            rows = await self._rows(OF_OWNER[wanted.state], *asked, wanted.state.value)
        return [Listed(seq=row[0], payment=from_row(row[1:])) for row in rows]

    async def hasten(self, payment_id: str, expires_at: Millis) -> bool:
        """Move the end of a payment without a fate to an earlier time; True if there was one to move."""
        return await self._change("hasten", payment_id, expires_at) == 1

    async def add_receipt(self, receipt: Receipt) -> None:
        """Keep the receipt of a part just filed."""
        self._put("add_receipt", receipt.part_id, receipt.payment_id, receipt.token)

    async def receipts(self, payment_id: str) -> list[Receipt]:
        """List the receipts of a payment's parts, in order of arrival."""
        rows = await self._rows("receipts", payment_id)
        return [Receipt(part_id=part_id, payment_id=payment_id, token=token) for part_id, token in rows]

    async def add_refund(self, refund: Refund) -> None:
        """Record a refund."""
        self._put("add_refund", *(getattr(refund, name) for name in Refund.__struct_fields__))

    async def refunds(self, payment_id: str) -> list[Refund]:
        """List the refunds of a payment, oldest first."""
        names = Refund.__struct_fields__
        return [Refund(**dict(zip(names, row, strict=True))) for row in await self._rows("refunds", payment_id)]
