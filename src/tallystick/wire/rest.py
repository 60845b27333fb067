"""The JSON between the platform and a REST back end: account systems and wallets (docs/reference/rest-back-end.md)."""

from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from tallystick import limits
from tallystick.errors import Malformed
from tallystick.secret import Pan, Secret

AUTHORISATIONS: Final = "/v1/authorisations"
HEALTH: Final = "/v1/health"
OUTCOMES: Final = "/v1/outcomes"
MEDIA_TYPE: Final = "application/json"
CREDENTIAL_TYPE: Final = "tallystick-credential+jwe"
CREDENTIAL_CONTEXT: Final = "tallystick-rest-v1"
REQUEST_COVERED: Final = ("@method", "@path", "content-digest", "content-type", "idempotency-key")
BARE_COVERED: Final = ("@method", "@path")
"""What the signature of a request without a body covers."""
CREDENTIAL_MAX: Final = 4 * 1024  # characters of a JWE; a full credential gives about 700
SECRET_MAX: Final = limits.PASSWORD_MAX  # characters of one secret value

PaymentKey = Annotated[str, Meta(pattern=rf"\A[A-Za-z0-9_-]{{1,{limits.IDEMPOTENCY_KEY_MAX}}}\Z")]
Code = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]{1,32}\Z")]


class RestOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is paid; `amount` in minor units of `currency`."""

    payee: Annotated[str, Meta(min_length=1, max_length=limits.PAYEE_MAX)]
    amount: Annotated[int, Meta(ge=1, le=limits.AMOUNT_MAX)]
    currency: Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
    reference: Annotated[str, Meta(max_length=limits.REFERENCE_MAX)] = ""


class AuthorisationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/authorisations`: `sent_at` in ms since 1970, `credential` a compact JWE."""

    version: Literal[1]
    payment_key: PaymentKey
    order: RestOrder
    sent_at: Annotated[int, Meta(ge=0)]
    credential: Annotated[str, Meta(min_length=1, max_length=CREDENTIAL_MAX)]


class AuthorisationResponse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The decision, or that it comes later; `code` is DE39 of ISO 8583 or the back end's own word."""

    version: Literal[1]
    payment_key: PaymentKey
    verdict: Literal["approved", "declined", "pending"]
    code: Code
    approval: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9]{1,16}\Z")] | None = None


class RequestStatus(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the back end knows of a request: `code` as in the decision, where there is one."""

    version: Literal[1]
    payment_key: PaymentKey
    status: Literal["approved", "declined", "pending", "reversed", "not_found"]
    code: Code | None = None


class ReversalRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/authorisations/{payment_key}/reversal`."""

    version: Literal[1]
    payment_key: PaymentKey


class ReversalResponse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer to a reversal: after `reversed` the request has no effect, now or later."""

    version: Literal[1]
    payment_key: PaymentKey
    verdict: Literal["reversed", "refused"]
    code: Code


class OutcomeNotice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/outcomes`, which the back end sends to the platform: what became of a pending request."""

    version: Literal[1]
    payment_key: PaymentKey
    verdict: Literal["approved", "declined"]
    code: Code


class HealthResponse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer to `GET /v1/health`."""

    version: Literal[1]
    status: Literal["ok"]


class WireAccount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="account"):
    """Inside the JWE: an account of a third party (`scheme:name`) and its secret."""

    account: Secret
    secret: Secret


class WireCard(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", tag="card"
):
    """Inside the JWE: a card, `expiry` as YYMM, `pin_block` ISO 9564 format 1 in hex, each where the payer gave it."""

    pan: Pan
    expiry: Secret | None = None
    pin_block: Secret | None = None


WireCredential = WireAccount | WireCard
_T = TypeVar("_T")


def authorisation(payment_key: str) -> str:
    """Return the path of one request, where it is inquired."""
    return f"{AUTHORISATIONS}/{payment_key}"


def reversal(payment_key: str) -> str:
    """Return the path at which one request is reversed."""
    return f"{AUTHORISATIONS}/{payment_key}/reversal"


def encode(message: Struct) -> bytes:
    """Encode a message; a credential comes out in clear and goes into the JWE at once, nowhere else."""
    return msgspec.json.encode(message, enc_hook=_reveal)


def decode(body: bytes, kind: type[_T]) -> _T:
    """Decode exactly one message of this kind; raises Malformed, which names no value."""
    try:
        return msgspec.json.decode(body, type=kind, dec_hook=_wrap)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # the reason may quote a value: it is dropped here, not chained
    raise Malformed("the message has not the form that was agreed")


def decode_credential(plaintext: bytes) -> WireCredential:
    """Decode what was inside a JWE; raises Malformed, which names no value."""
    credential: WireCredential = decode(plaintext, WireCredential)  # type: ignore[arg-type]  # a union is no class
    return credential


def _reveal(value: Any) -> str:
    if not isinstance(value, Secret):
        raise TypeError("only a secret needs help to be encoded")
    return value.reveal()


def _wrap(kind: type, value: Any) -> Secret:
    if not issubclass(kind, Secret) or not isinstance(value, str) or not 1 <= len(value) <= SECRET_MAX:
        raise ValueError("a secret is given as text within its bound")
    return kind(value)
