"""What the UnionPay-style sandbox does for certain amounts; docs/reference/sandboxes.md shows this table."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Failure(StrEnum):
    """What goes wrong with a request or its answer."""

    SILENT = "no answer"
    LATE = "late answer"
    FORGED = "wrong MAC"
    CUT = "connection cut"
    GARBAGE = "garbage"
    SLOW = "slow answer"
    TWICE = "answered twice"
    HALF = "half an answer"
    CUT_BEFORE = "connection cut before acting"
    BOUNCED = "bounced by the network"
    UNACKNOWLEDGED = "no answer, reversal acknowledged late"
    IRREVERSIBLE = "no answer, reversal refused"
    HELD = "held on the way"
    LOST = "lost on the way"


DECLINES: Final[Mapping[str, str]] = {"51": "51", "61": "61", "91": "91", "96": "96"}
"""Response code for an amount that ends in these two digits; the money does not move."""

FAILURES: Final[Mapping[str, Failure]] = {
    "9901": Failure.SILENT,
    "9902": Failure.LATE,
    "9903": Failure.FORGED,
    "9904": Failure.CUT,
    "9905": Failure.GARBAGE,
    "9906": Failure.SLOW,
    "9907": Failure.TWICE,
    "9908": Failure.HALF,
    "9909": Failure.CUT_BEFORE,
    "9910": Failure.BOUNCED,
    "9911": Failure.UNACKNOWLEDGED,
    "9912": Failure.IRREVERSIBLE,
    "9913": Failure.HELD,
    "9914": Failure.LOST,
}
"""What happens to a request or its answer for an amount that ends in these four digits."""

NEVER_ACTED: Final = frozenset({Failure.CUT_BEFORE, Failure.BOUNCED, Failure.LOST})
"""Failures before the issuer saw the request: the money does not move. HELD moves it late; all others at once."""

WITH_CODE: Final[Mapping[str, bool]] = {"98": False, "97": True}
"""First two of the last four digits, and whether the money moves; the last two are the response code, 00 means A0."""

WRONG_MAC: Final = "A0"


class Magic(Struct, frozen=True):
    """What an amount asks for: a failure, or a code in place of an approval; `moves` tells whether money moves then."""

    failure: Failure | None = None
    code: str | None = None
    moves: bool = False


def magic_of(amount: str) -> Magic:
    """Look an amount (DE4) up."""
    four, two = amount[-4:], amount[-2:]
    if (failure := FAILURES.get(four)) is not None:
        return Magic(failure=failure)
    if (moves := WITH_CODE.get(four[:2])) is not None:
        return Magic(code=WRONG_MAC if two == "00" else two, moves=moves)
    return Magic(code=DECLINES.get(two))
