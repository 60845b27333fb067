"""The JSON between the platform and a wallet in Visa's style (docs/reference/visa-back-end.md).

`Sealed` is all that is seen on the way; the others are inside its token. Each says of itself what it is, so that a
message made for one address is none at another.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from tallystick import limits
from tallystick.secret import Pan, Secret
from tallystick.wire.rest import PaymentKey

AUTHORIZATIONS: Final = "/wallet/v1/authorizations"
QUERIES: Final = "/wallet/v1/authorizations/query"
REVERSALS: Final = "/wallet/v1/authorizations/reversals"
HEALTH: Final = "/wallet/v1/health"
MEDIA_TYPE: Final = "application/json"

Code = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]{1,32}\Z")]


class Sealed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The body of every request and of every answer that counts: a compact JWE."""

    enc_data: str


class _Message(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel", tag_field="type"
):
    """A message inside the JWE; an answer repeats the key of its request."""

    idempotency_key: PaymentKey


class WalletCard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """A card: `expiration` as YYMM, `pin_block` ISO 9564 format 1 in hexadecimal, where the payer gave a PIN."""

    primary_account_number: Pan
    expiration: Secret
    pin_block: Secret | None = None


class Authorization(_Message, tag="authorization", frozen=True, kw_only=True):
    """Ask for a payment; `amount` in minor units of `currency`, `sent_at` in ms since 1970."""

    merchant_name: Annotated[str, Meta(min_length=1, max_length=limits.PAYEE_MAX)]
    amount: Annotated[int, Meta(ge=1, le=limits.AMOUNT_MAX)]
    currency: Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
    sent_at: Annotated[int, Meta(ge=0)]
    card: WalletCard
    reference: Annotated[str, Meta(max_length=limits.REFERENCE_MAX)] = ""


class AuthorizationAnswer(_Message, tag="authorizationAnswer", frozen=True, kw_only=True):
    """The decision, or `pending` when the wallet took the request and does not know it yet.

    `code` is DE39 of ISO 8583 or the wallet's own word.
    """

    status: Literal["approved", "declined", "pending"]
    code: Code
    approval_code: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9]{1,16}\Z")] | None = None


class Query(_Message, tag="query", frozen=True, kw_only=True):
    """Ask what became of an authorization."""

    original_key: PaymentKey


class QueryAnswer(_Message, tag="queryAnswer", frozen=True, kw_only=True):
    """What the wallet knows of an authorization; `code` is that of its decision."""

    original_key: PaymentKey
    status: Literal["approved", "declined", "reversed", "pending", "not_found"]
    code: Code | None = None


class Reversal(_Message, tag="reversal", frozen=True, kw_only=True):
    """Undo an authorization, whether or not the wallet knows it yet."""

    original_key: PaymentKey


class ReversalAnswer(_Message, tag="reversalAnswer", frozen=True, kw_only=True):
    """`reversed`: it has no effect, also if it arrives only now. `refused`: it stands, a person must look at it."""

    original_key: PaymentKey
    status: Literal["reversed", "refused"]
    code: Code


class Health(_Message, tag="health", frozen=True, kw_only=True):
    """Ask whether the wallet opens our messages; the key is a random word."""


class HealthAnswer(_Message, tag="healthAnswer", frozen=True, kw_only=True):
    """It does."""

    status: Literal["ok"]


Request = Authorization | Query | Reversal | Health
Answer = AuthorizationAnswer | QueryAnswer | ReversalAnswer | HealthAnswer
