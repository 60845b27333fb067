"""What this stage needs of a store."""

from typing import Protocol

from tallystick.assembly.facts import Fate, Order, PaymentState
from tallystick.assembly.model import (
    Attachment,
    Claim,
    Element,
    Listed,
    Part,
    PartFacts,
    Payment,
    Receipt,
    Refund,
    Wanted,
)
from tallystick.runtime import Millis
from tallystick.wire.receipt import PartProof


class PaymentBook(Protocol):
    """Payments and their parts, inside one transaction."""

    async def payment(self, payment_id: str) -> Payment | None:
        """Find a payment by id."""
        ...

    async def open_payment(self, element: Element, policy: str) -> Payment | None:
        """Find the payment without a fate that waits under one of this element's digests and this policy."""
        ...

    async def add_payment(self, payment: Payment) -> None:
        """Add a payment; raises AlreadyExists when another without a fate has the same element digest and policy."""
        ...

    async def note_part(self, payment_id: str, *, order: Order | None, contested: bool, expires_at: Millis) -> None:
        """Record that a part was filed: state HALF (when OPEN), the order, the contest and the new expiry."""
        ...

    async def decide_fate(self, payment_id: str, fate: Fate, at: Millis) -> bool:
        """Write the fate and its state (JOINED, CANCELLED, EXPIRED) if there is none yet; True for the one winner.

        CANCELLED and EXPIRED are logged as events, as `advance` does.
        """
        ...

    async def advance(
        self,
        payment_id: str,
        *,
        expected: PaymentState,
        state: PaymentState,
        at: Millis,
        back_end: str | None = None,
        response_code: str | None = None,
        reason: str | None = None,
    ) -> bool:
        """Move a joined payment from `expected` to `state` by compare-and-set, overwriting the texts; True if moved.

        The store itself logs every move into another of `TOLD_STATES` as an event (`outcomes.model.Event`), in the
        same transaction: no verb can forget those who wait.
        """
        ...

    async def add_part(self, part: Part) -> None:
        """File a part."""
        ...

    async def part(self, part_id: str) -> PartFacts | None:
        """Find a part by id, without its content; also after its content was erased."""
        ...

    async def part_facts(self, payment_id: str) -> list[PartFacts]:
        """List the parts of a payment without their content, in order of arrival."""
        ...

    async def sealed_parts(self, payment_id: str) -> list[Part]:
        """List the parts of a payment whose content is still there, in order of arrival."""
        ...

    async def mark_rivals(self, payment_id: str, rivals: frozenset[str]) -> None:
        """Make exactly these part ids the rivals of their payment."""
        ...

    async def drop_part(self, part_id: str) -> None:
        """Erase the content of a part that lost a quarantine and take its fields away; its facts stay."""
        ...

    async def erase_parts(self, payment_id: str) -> None:
        """Erase the content of every part of a payment; their facts stay."""
        ...

    async def expired_payments(self, now: Millis, limit: int) -> list[str]:
        """List payments without a fate whose `expires_at` is not after `now`, oldest first."""
        ...

    async def claim_joined(self, before: Millis, now: Millis, limit: int) -> list[Payment]:
        """Take the JOINED payments longest untouched, if nobody touched them since `before`; each is now touched.

        Of many who ask at once, one gets a payment; until it rested again, no other one does.
        """
        ...

    async def payments_in(self, state: PaymentState, limit: int) -> list[Payment]:
        """List payments in one state, longest unchanged first: who touches what it lists gets to all in turn."""
        ...

    async def recent_payments(self, limit: int) -> list[Payment]:
        """List the newest payments, newest first."""
        ...


class ClaimBook(Protocol):
    """Elements that somebody issued: codes, dynamic numbers, back ends' values."""

    async def claim(self, element: Element, now: Millis) -> Claim | None:
        """Find what an issued element stands for while it is valid, by any of its digests; none is a phone number."""
        ...

    async def issue_claim(self, element: Element, claim: Claim, *, valid_from: Millis, valid_until: Millis) -> None:
        """Record an issued element; raises AlreadyExists while the same element is valid for something else."""
        ...

    async def shorten_claims(self, user_id: str, institution: str, until: Millis) -> None:
        """End the validity of a user's earlier dynamic numbers at `until`, where they would be valid longer."""
        ...

    async def purge_claims(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` claims that ended before `now`; returns how many."""
        ...


class ReceiptSigner(Protocol):
    """Signs receipts so that a third party can verify them."""

    def sign(self, proof: PartProof) -> str:
        """Return the receipt as a compact JWS."""
        ...


class MerchantBook(Protocol):
    """What merchants attach to payments, ask of them, and get for their parts."""

    async def attach(self, attachment: Attachment) -> None:
        """Keep what belongs to a payment just added."""
        ...

    async def attachment(self, payment_id: str) -> Attachment | None:
        """Find what was attached to a payment."""
        ...

    async def payments_of(self, wanted: Wanted, limit: int) -> list[Listed]:
        """List an owner's payments, newest first by when they were opened, then by `seq`."""
        ...

    async def hasten(self, payment_id: str, expires_at: Millis) -> bool:
        """Move the end of a payment without a fate to an earlier time; True if there was one to move."""
        ...

    async def add_receipt(self, receipt: Receipt) -> None:
        """Keep the receipt of a part just filed."""
        ...

    async def receipts(self, payment_id: str) -> list[Receipt]:
        """List the receipts of a payment's parts, in order of arrival."""
        ...

    async def add_refund(self, refund: Refund) -> None:
        """Record a refund."""
        ...

    async def refunds(self, payment_id: str) -> list[Refund]:
        """List the refunds of a payment, oldest first."""
        ...
