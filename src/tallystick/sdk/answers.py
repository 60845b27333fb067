"""Verify and read the platform's answers: nothing in an answer is believed before its signature is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from tallystick.crypto import httpsig
from tallystick.crypto.signing import HmacKey, Pinned, Verifier
from tallystick.errors import TallystickError
from tallystick.sdk.errors import AnswerNotProven, AnswerUnreadable, PlatformProblem
from tallystick.sdk.requests import Credentials

FAILURE_MIN: Final = 400  # the lowest status that a problem document has
SUCCESSES: Final = frozenset({200, 201, 202})
DIGITS_MAX: Final = 6  # of Retry-After in seconds; a longer one is ignored
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Problem(Struct, frozen=True):
    """The members of a problem document that a client uses (RFC 9457); others are ignored, as its section 3.2 asks."""

    code: str = "unknown"
    title: str = ""
    detail: str = ""
    remedy: str = ""
    field: str | None = None
    param: str | None = None
    request_id: str = ""


def answer_key(credentials: Credentials, identity: Pinned) -> Verifier:
    """Return the key the platform signs answers with: the sender's own MAC key, else the platform's identity key."""
    return credentials.key if isinstance(credentials.key, HmacKey) else identity


def read_answer(answer: Answer, key: Verifier, nonce: str, kind: type[_T]) -> _T:
    """Return what a proven answer says.

    1. A signature that is there is the platform's, over status and body, for this request's nonce: AnswerNotProven.
    2. A problem document becomes PlatformProblem, which says whether it was signed.
    3. Any other answer is signed: AnswerNotProven.
    4. It is a success of the documented shape: AnswerUnreadable.
    """
    # 1.
    signed = "signature" in answer.headers or "signature-input" in answer.headers
    if signed:
        _prove(answer, key, nonce)
    # 2.
    if answer.status >= FAILURE_MIN:
        raise problem_of(answer, proven=signed)
    # 3.
    if not signed:
        raise AnswerNotProven("the answer carries no signature")
    # 4.
    if answer.status not in SUCCESSES:
        raise AnswerUnreadable(f"the platform answered with status {answer.status}")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AnswerUnreadable("the answer has not the documented shape") from error


def problem_of(answer: Answer, *, proven: bool) -> PlatformProblem:
    """Read a problem document; an answer that holds none becomes one of code `unknown`."""
    try:
        problem = msgspec.json.decode(answer.body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = _Problem(detail="the answer holds no problem document")
    wait = answer.headers.get("retry-after", "")
    return PlatformProblem(
        code=problem.code,
        status=answer.status,
        detail=problem.detail or problem.title,
        remedy=problem.remedy,
        field=problem.field or problem.param,
        request_id=problem.request_id,
        proven=proven,
        retry_after=int(wait) if wait.isascii() and wait.isdigit() and len(wait) <= DIGITS_MAX else None,
    )


def _prove(answer: Answer, key: Verifier, nonce: str) -> None:
    try:
        httpsig.verify_response(key, status=answer.status, body=answer.body, headers=answer.headers, nonce=nonce)
    except TallystickError as error:
        raise AnswerNotProven("the answer's signature is not the platform's for this request") from error
