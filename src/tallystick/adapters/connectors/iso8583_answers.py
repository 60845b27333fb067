"""What an authenticated answer means: to an authorisation, to a reversal, to an inquiry."""

from collections.abc import Mapping
from typing import Final

from tallystick.delivery.model import Answer, Finding, Known, Verdict
from tallystick.errors import OutcomeUnknown, ReversalRefused
from tallystick.iso8583.responses import Concern, Effect, find

DONE: Final = "00"  # DE39
NOT_FOUND: Final = "25"
KEY_TROUBLE: Final = frozenset({"97", "99", "A0"})
"""Codes (DE39) that tell, when they come in a row, that the peer has other keys than we."""
SIGN_ON_AGAIN: Final = "77"
PASSING: Final = frozenset({Concern.KEY, Concern.HOST})
"""What a refusal may be about without being the last word on a reversal."""

ECHOED: Final = ("4", "7", "11", "37", "41")
STATES: Final[Mapping[str, Known]] = {
    "A": Known.APPROVED,
    "D": Known.DECLINED,
    "R": Known.REVERSED,
    "P": Known.PENDING,
}
"""First character of an inquiry's DE44: what became of the original; behind it stands its response code."""


def judge(request: Mapping[str, str], answer: Mapping[str, str]) -> Answer:
    """Say what an authenticated answer to an authorisation means.

    1. It repeats the request's amount, times, trace number, reference and terminal.
    2. Its response code is one whose effect is known.

    Raises OutcomeUnknown otherwise: the back end may have acted.
    """
    # 1.
    _require_echo(request, answer)
    # 2.
    code = answer.get("39", "")
    match find(code).effect:
        case Effect.APPROVED:
            return Answer(verdict=Verdict.APPROVED, code=code, approval=answer.get("38", "").strip() or None)
        case Effect.DECLINED:
            return Answer(verdict=Verdict.DECLINED, code=code)
        case Effect.ELSEWHERE:
            return Answer(verdict=Verdict.DECLINED, code=code, elsewhere=True)
        case Effect.UNKNOWN:
            raise OutcomeUnknown(f"the response code tells no outcome: {code or 'none'}")


def acknowledged(request: Mapping[str, str], answer: Mapping[str, str], *, repeat: bool) -> str:
    """Return the code of an answer by which the switch took a reversal over; afterwards the original has no effect.

    1. The answer repeats the reversal's amount, times, trace number, reference and terminal.
    2. An approval is an acknowledgement.
    3. "Original not found" is one only on a repeat: at the first time the original may still be on its way.
    4. Trouble with keys or hosts, and a code without a known effect, settle nothing.

    Raises ReversalRefused for a definite refusal, and OutcomeUnknown when the reversal must be repeated.
    """
    # 1.
    _require_echo(request, answer)
    code = answer.get("39", "")
    response = find(code)
    # 2. and 3.
    if response.effect is Effect.APPROVED or (code == NOT_FOUND and repeat):
        return code
    # 4.
    passing = code == NOT_FOUND or code in KEY_TROUBLE or response.concern in PASSING
    if passing or response.effect is not Effect.DECLINED:
        raise OutcomeUnknown(f"the reversal is not acknowledged: {code or 'none'}")
    raise ReversalRefused(f"the back end refuses the reversal: {code}")


def found(request: Mapping[str, str], answer: Mapping[str, str]) -> Finding:
    """Return what an inquiry's answer says of the original: its state and response code in DE44.

    Raises OutcomeUnknown when it says nothing of it: ask again.
    """
    _require_echo(request, answer)
    code, told = answer.get("39", ""), answer.get("44", "")
    if code == NOT_FOUND:
        return Finding(known=Known.NOT_FOUND, code=code)
    known = STATES.get(told[:1])
    if code != DONE or known is None:
        raise OutcomeUnknown(f"the inquiry is not answered: {code or 'none'}")
    return Finding(known=known, code=told[1:].strip() or None)


def _require_echo(request: Mapping[str, str], answer: Mapping[str, str]) -> None:
    if any(answer.get(number) != request[number] for number in ECHOED):
        raise OutcomeUnknown("the answer does not repeat the request's elements")
