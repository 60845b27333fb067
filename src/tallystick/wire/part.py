"""The JSON of `POST /v1/parts`: a sealed envelope outside, the part's content inside (design: messages)."""

from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from tallystick.secret import Secret

MESSAGE_CONTEXT: Final = "tallystick-message-v1"
JWE_TYPE: Final = "tallystick-part+jwe"


class SealedMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body as sent: `sealed` is base64url of HPKE `enc || ct`, or a compact JWE.

    `payment` names a payment created before; its facts are then bound into the envelope's info.
    """

    v: Literal[1]
    key_id: str
    format: Literal["hpke", "jwe"]
    sealed: str
    payment: str | None = None


class PhoneElement(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="phone"):
    """A mobile number in E.164."""

    phone: str


class CodeElement(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="code"):
    """A code the platform made for one transaction."""

    code: str


class InstitutionElement(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="institution"):
    """An institution id with the payer's current dynamic number."""

    institution: str
    number: str


class BackEndElement(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="backend"):
    """A value that a back end issued to the payer."""

    institution: str
    value: str


class PageElement(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="page"):
    """The element of the payment that a payer's page was opened for; for page sessions only."""


WireElement = PhoneElement | CodeElement | InstitutionElement | BackEndElement | PageElement


class WireLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of an order: `quantity` pieces of `text` for `amount` minor units in all."""

    text: str
    amount: int
    quantity: int = 1


class WireOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is paid; `amount` in minor units, and the sum of the `lines` where there are any."""

    payee: str
    amount: int
    currency: str
    reference: str = ""
    lines: tuple[WireLine, ...] = ()

    def texts(self) -> tuple[str, ...]:
        """Return what is bound into each part of a created payment: to change any of it voids them all."""
        lines = (text for line in self.lines for text in (line.text, str(line.quantity), str(line.amount)))
        return (self.payee, str(self.amount), self.currency, self.reference, *lines)


class WireShare(Struct, frozen=True, forbid_unknown_fields=True):
    """One XOR share of the credential's JSON: `index` from 1, `data` in base64url."""

    index: int
    data: Secret


class PartContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is inside the envelope: either `fields` by name or one `share`."""

    policy: str
    element: WireElement
    fields: dict[str, Secret] = {}
    share: WireShare | None = None
    order: WireOrder | None = None


class PartReceipt(Struct, frozen=True, kw_only=True):
    """The answer to an accepted part: the same whether or not another part exists.

    `receipt` is there for a part of a created payment (`wire.receipt.PartProof`).
    """

    part: str
    status: Literal["accepted"]
    expires_at: int
    warnings: tuple[str, ...] = ()
    receipt: str | UnsetType = UNSET


class PartStatus(Struct, frozen=True, kw_only=True):
    """What a part's own sender may learn: `accepted` until the payment was sent and ended, or nobody knows how.

    `unknown` and `manual` are on their way to a final status; the others that follow `accepted` are final.
    """

    part: str
    status: str
    response_code: str | None = None
    reason: str | None = None
