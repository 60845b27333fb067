"""What an answer of a REST back end means: to an authorisation, to an inquiry, to a reversal."""

from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec import Struct

from tallystick.crypto.httpsig import verify_response
from tallystick.crypto.signing import Verifier
from tallystick.delivery.model import Answer, Finding, Known, Verdict
from tallystick.errors import Malformed, OutcomePending, OutcomeUnknown, ReversalRefused, TallystickError
from tallystick.wire import rest as wire

OK: Final = 200
NOT_FOUND: Final = 404
CLIENT_ERRORS: Final = range(400, 500)

_T = TypeVar("_T", wire.AuthorisationResponse, wire.RequestStatus, wire.ReversalResponse)


class Received(Struct, frozen=True, kw_only=True):
    """An answer that is proven to be the back end's answer to this very request (`prove`)."""

    status: int
    body: bytes


def prove(key: Verifier, status: int, headers: Mapping[str, str], body: bytes, nonce: str) -> Received:
    """Take an answer that the back end signed over status and body, for the nonce of its request; OutcomeUnknown."""
    try:
        verify_response(key, status=status, body=body, headers=headers, nonce=nonce)
    except TallystickError as wrong:
        raise OutcomeUnknown(f"the answer of the back end proves nothing: {wrong.detail}") from wrong
    return Received(status=status, body=body)


def judge(received: Received, payment_key: str) -> Answer:
    """Take an answer for a decision only when all of this holds, else raise OutcomeUnknown.

    1. It has exactly the form of an authorisation response, and names this payment's key.
    2. A verdict that comes later has the status 200: OutcomePending.
    3. The status is 200, or 4xx with the verdict declined: a refusal approves nothing.
    """
    # 1.
    response = _read(received, wire.AuthorisationResponse, payment_key)
    # 2.
    if response.verdict == "pending" and received.status == OK:
        raise OutcomePending("the back end took the request and decides later")
    # 3.
    refused = received.status in CLIENT_ERRORS and response.verdict == "declined"
    if response.verdict == "pending" or (received.status != OK and not refused):
        raise OutcomeUnknown("the answer of the back end contradicts its status")
    return Answer(verdict=Verdict(response.verdict), code=response.code, approval=response.approval)


def found(received: Received, payment_key: str) -> Finding:
    """Return what an answer to an inquiry says of the request; raises OutcomeUnknown: ask again.

    Only a 404 says that the request is not known, and it says nothing else.
    """
    response = _read(received, wire.RequestStatus, payment_key)
    known = Known(response.status)
    if received.status != (NOT_FOUND if known is Known.NOT_FOUND else OK):
        raise OutcomeUnknown("the answer of the back end contradicts its status")
    return Finding(known=known, code=response.code)


def acknowledged(received: Received, payment_key: str) -> str:
    """Return the code of an answer by which a request is reversed for good.

    Raises ReversalRefused when the back end refuses, with 200 or 4xx: a person decides. Raises OutcomeUnknown for all
    else: the reversal is repeated.
    """
    response = _read(received, wire.ReversalResponse, payment_key)
    if response.verdict == "refused" and (received.status == OK or received.status in CLIENT_ERRORS):
        raise ReversalRefused(f"the back end refuses the reversal: {response.code}")
    if response.verdict == "refused" or received.status != OK:
        raise OutcomeUnknown("the answer of the back end contradicts its status")
    return response.code


def require_health(received: Received) -> None:
    """Take an answer to a health call; raises OutcomeUnknown when it does not tell the back end to be well."""
    try:
        wire.decode(received.body, wire.HealthResponse)
    except Malformed as wrong:
        raise OutcomeUnknown(f"the back end does not answer its health call: {wrong.detail}") from wrong
    if received.status != OK:
        raise OutcomeUnknown("the back end does not answer its health call with 200")


def _read(received: Received, kind: type[_T], payment_key: str) -> _T:
    """Read an answer that has exactly the form expected and names the request's key, else raise OutcomeUnknown."""
    try:
        response = wire.decode(received.body, kind)
    except Malformed as wrong:
        raise OutcomeUnknown(f"the answer of the back end tells nothing: {wrong.detail}") from wrong
    if response.payment_key != payment_key:
        raise OutcomeUnknown("the answer of the back end is about another payment")
    return response
