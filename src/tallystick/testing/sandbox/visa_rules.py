"""What the wallet in Visa's style does for certain amounts beside what all HTTP sandboxes do (`http_failures`)."""

from collections.abc import Mapping
from typing import Final

from tallystick.testing.sandbox.http_failures import FAILURES, Failure, failure_of

DECLINES: Final[Mapping[str, str]] = {"51": "51", "61": "61", "91": "91", "96": "96"}
"""Response code for an amount that ends in these two digits; the money does not move."""

WITH_CODE: Final = "98"
"""First two of the last four digits: declined with the last two as the code, and the money does not move."""

UNACKNOWLEDGED: Final = "9911"
"""Ending of an amount that fails as UNLISTED, and whose first reversals get no answer."""


def failing(amount: int) -> Failure | None:
    """Look up what goes wrong with an authorization or its answer, each time it is sent."""
    return Failure.UNLISTED if silent_reversals(amount) else failure_of(amount)


def silent_reversals(amount: int) -> bool:
    """Say whether the first reversals of an amount get no answer."""
    return str(amount).endswith(UNACKNOWLEDGED)


def decline_of(amount: int) -> str | None:
    """Look up the code with which an amount is declined."""
    four = f"{amount:04d}"[-4:]
    if four in FAILURES or four == UNACKNOWLEDGED:
        return None
    return four[2:] if four[:2] == WITH_CODE else DECLINES.get(four[2:])
