"""What a sandbox account system decides: its accounts with their secrets, and the amounts that it declines."""

from collections.abc import Mapping
from typing import Final

from tallystick.secret import Secret
from tallystick.testing.sandbox.rest_rules import Ruling
from tallystick.wire.account import SUCCESS
from tallystick.wire.rest import WireAccount, WireCredential

NO_SUCH_USER: Final = "USER_NOT_EXIST"
WRONG_SECRET: Final = "USER_AUTHENTICATION_FAILED"  # noqa: S105 - a result code
NO_FUNDS: Final = "USER_BALANCE_NOT_ENOUGH"
UNREADABLE: Final = "CREDENTIAL_UNREADABLE"

DECLINES: Final[Mapping[str, str]] = {
    "51": NO_FUNDS,
    "61": "USER_AMOUNT_EXCEED_LIMIT",
    "57": "CURRENCY_NOT_SUPPORT",
    "59": "RISK_REJECT",
}
"""Result code for an amount that ends in these two digits; the money does not move."""


def rule(accounts: Mapping[str, str], credential: WireCredential | None, amount: int) -> Ruling:
    """Decide whether an account pays; None is a credential that does not open."""
    if not isinstance(credential, WireAccount):
        return Ruling(UNREADABLE, None)
    expected = accounts.get(credential.account.reveal())
    if expected is None:
        return Ruling(NO_SUCH_USER, None)
    if Secret(expected) != credential.secret:
        return Ruling(WRONG_SECRET, "wrong")
    return Ruling(DECLINES.get(str(amount)[-2:], SUCCESS), "verified")
