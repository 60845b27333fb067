"""Answer each part, and give one of a created payment its receipt: signed and kept when the part is filed."""

import msgspec
from msgspec import UNSET, UnsetType

from tallystick import limits
from tallystick.assembly.intake import write_order
from tallystick.assembly.model import PartFacts, Payment, Receipt
from tallystick.assembly.ports import MerchantBook, ReceiptSigner
from tallystick.wire.part import PartReceipt
from tallystick.wire.receipt import PartProof


async def give_receipt(
    book: MerchantBook, signer: ReceiptSigner | None, part: PartFacts, payment: Payment | None
) -> str | UnsetType:
    """Sign and keep what a part was bound to; alike for every part, whatever becomes of it.

    A part that was sealed for no created payment was bound to no text: it gets none.
    """
    if payment is None or payment.order is None or signer is None:
        return UNSET
    proof = PartProof(
        part=part.id,
        payment=payment.id,
        channel=part.channel_id,
        order=write_order(payment.order),
        fields=tuple(sorted(part.fields)),
        accepted_at=part.received_at,
    )
    token = signer.sign(proof)
    await book.add_receipt(Receipt(part_id=part.id, payment_id=payment.id, token=token))
    return token


def answer_part(part: PartFacts, warnings: tuple[str, ...], receipt: str | UnsetType) -> bytes:
    """Return the body that acknowledges a part, alike whatever becomes of it."""
    return msgspec.json.encode(
        PartReceipt(
            part=part.id,
            status="accepted",
            expires_at=part.received_at + limits.SECRET_LIFE_MS,
            warnings=warnings,
            receipt=receipt,
        )
    )
