"""Attachments, receipts, refunds and lists of payments in memory."""

from msgspec.structs import replace

from tallystick.assembly.model import Attachment, Listed, Receipt, Refund, Wanted
from tallystick.outcomes.model import Event
from tallystick.runtime import Millis
from tallystick.testing.memory_payments import MemoryPayments
from tallystick.testing.memory_table import Journal, Table


class MemoryMerchants(MemoryPayments):
    """Implement `assembly.ports.MerchantBook`, and the events of one owner."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._attachments: Table[str, Attachment] = Table(journal)
        self._receipts: Table[str, Receipt] = Table(journal)
        self._refunds: Table[str, Refund] = Table(journal)

    async def attach(self, attachment: Attachment) -> None:
        """Keep what belongs to a payment just added."""
        self._attachments.put(attachment.payment_id, attachment)

    async def attachment(self, payment_id: str) -> Attachment | None:
        """Find what was attached to a payment."""
        return self._attachments.get(payment_id)

    async def payments_of(self, wanted: Wanted, limit: int) -> list[Listed]:
        """List an owner's payments, newest first by when they were opened, then by `seq`."""
        rows = [Listed(seq=seq, payment=each) for seq, each in enumerate(self._payments.rows(), 1)]
        listed = sorted(rows, key=_place, reverse=True)
        before = next((_place(each) for each in rows if each.seq == wanted.before), None)
        return [each for each in listed if _is_wanted(each, wanted, before)][:limit]

    async def events_of(self, owner: str, seq: int, limit: int) -> list[Event]:
        """List the events of an owner's payments with a higher `seq`, in order."""
        mine = {payment.id for payment in self._payments.rows() if payment.owner == owner}
        return [each for each in self._events.rows() if each.seq > seq and each.payment_id in mine][:limit]

    async def hasten(self, payment_id: str, expires_at: Millis) -> bool:
        """Move the end of a payment without a fate to an earlier time; True if there was one to move."""
        payment = self._payments.get(payment_id)
        if payment is None or payment.fate is not None or payment.expires_at <= expires_at:
            return False
        self._payments.put(payment_id, replace(payment, expires_at=expires_at))
        return True

    async def add_receipt(self, receipt: Receipt) -> None:
        """Keep the receipt of a part just filed."""
        self._receipts.put(receipt.part_id, receipt)

    async def receipts(self, payment_id: str) -> list[Receipt]:
        """List the receipts of a payment's parts, in order of arrival."""
        return [receipt for receipt in self._receipts.rows() if receipt.payment_id == payment_id]

    async def add_refund(self, refund: Refund) -> None:
        """Record a refund."""
        self._refunds.put(refund.id, refund)

    async def refunds(self, payment_id: str) -> list[Refund]:
        """List the refunds of a payment, oldest first."""
        return [refund for refund in self._refunds.rows() if refund.payment_id == payment_id]


def _place(listed: Listed) -> tuple[int, int]:
    return listed.payment.opened_at, listed.seq


def _is_wanted(listed: Listed, wanted: Wanted, before: tuple[int, int] | None) -> bool:
    payment = listed.payment
    return (
        payment.owner == wanted.owner
        and (before is None or _place(listed) < before)
        and (wanted.state is None or payment.state is wanted.state)
        and (wanted.since is None or payment.opened_at >= wanted.since)
        and (wanted.until is None or payment.opened_at < wanted.until)
    )
