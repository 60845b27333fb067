"""The JSON between the platform and a back end that fetches its deliveries (docs/reference/pull-back-end.md)."""

from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from tallystick.errors import Malformed
from tallystick.wire.rest import PaymentKey, RestOrder

NEXT: Final = "/v1/deliveries/next"
DELIVERIES: Final = "/v1/deliveries"
MEDIA_TYPE: Final = "application/json"
CREDENTIAL_CONTEXT: Final = "tallystick-pull-v1"
WAIT_MAX_S: Final = 20  # s the platform holds a poll open

Code = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]{1,32}\Z")]
Approval = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9]{1,16}\Z")]


class Poll(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/deliveries/next`; `wait` in seconds."""

    v: Literal[1] = 1
    wait: Annotated[int, Meta(ge=0, le=WAIT_MAX_S)] = WAIT_MAX_S


class Delivery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="delivery"):
    """One order to pay with the credential in the JWE; `sent_at` and `answer_by` in ms since 1970."""

    key: PaymentKey
    order: RestOrder
    sent_at: int
    answer_by: int
    credential: str


class Reversal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="reversal"):
    """A delivery to undo, whether or not it took effect, and whether or not it ever arrived."""

    key: PaymentKey


class Work(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer to a poll: what to do next, or None when nothing came while the poll waited."""

    v: Literal[1] = 1
    job: Delivery | Reversal | None = None


class Handout(Struct, frozen=True, kw_only=True):
    """`Work` as the platform writes it: with a job that was encoded when it was offered."""

    v: Literal[1] = 1
    job: Raw


class Decided(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/deliveries/{key}/outcome`; `code` is DE39 of ISO 8583 or the back end's own word."""

    v: Literal[1]
    verdict: Literal["approved", "declined"]
    code: Code
    approval: Approval | None = None


class Undone(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/deliveries/{key}/reversal`: the order has no effect and never will, or it stays."""

    v: Literal[1]
    result: Literal["reversed", "refused"]
    code: Code


class Noted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The platform's answer to both: where the delivery stands now."""

    v: Literal[1] = 1
    state: str


_T = TypeVar("_T")


def decode(body: bytes, kind: type[_T]) -> _T:
    """Decode exactly one message of this kind; raises Malformed, which names no value."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # the reason may quote a value: it is dropped here, not chained
    raise Malformed("the message has not the form of docs/reference/pull-back-end.md")
