"""What a sandbox REST back end decides: its accounts or cards, and the amounts that it declines."""

import secrets
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from tallystick.crypto import pin, pin_translate
from tallystick.crypto.pin import PinFormat
from tallystick.errors import TallystickError
from tallystick.secret import MASK, Secret
from tallystick.wire.rest import WireAccount, WireCard, WireCredential

APPROVED: Final = "00"  # the codes are those of ISO 8583 DE39
UNKNOWN_NUMBER: Final = "14"
NO_FUNDS: Final = "51"
EXPIRED: Final = "54"
INCORRECT: Final = "55"  # the PIN or the account secret
WRONG_KIND: Final = "57"

ZONE_KEY_BYTES: Final = 32


DECLINES: Final[Mapping[str, str]] = {"51": NO_FUNDS, "61": "61"}
"""Code for an amount that ends in these two digits; the money does not move."""


class SandboxCard(Struct, frozen=True, forbid_unknown_fields=True):
    """A card of the wallet: `expiry` as YYMM; where there is a `pin`, each payment must bring its PIN block."""

    expiry: str
    pin: str | None = None


class Ruling(Struct, frozen=True):
    """A decision: `secret` says whether the payer's secret was right, None when it was not looked at."""

    code: str
    secret: Literal["verified", "wrong"] | None


def rule(
    accounts: Mapping[str, str], cards: Mapping[str, SandboxCard], credential: WireCredential, amount: int
) -> Ruling:
    """Decide whether the credential pays: an account system has no cards, a wallet no accounts."""
    match credential:
        case WireAccount() if accounts:
            ruling = _rule_account(accounts, credential)
        case WireCard() if cards:
            ruling = rule_card(cards, credential)
        case _:
            ruling = Ruling(WRONG_KIND, None)
    if ruling.code == APPROVED:
        return Ruling(DECLINES.get(str(amount)[-2:], APPROVED), ruling.secret)
    return ruling


def masked(credential: WireCredential) -> str:
    """Show what may be shown of a credential: six and four digits of a card, the scheme of an account."""
    if isinstance(credential, WireCard):
        return credential.pan.masked
    scheme, colon, _ = credential.account.reveal().partition(":")
    return f"{scheme}:{MASK}" if colon else MASK


def _rule_account(accounts: Mapping[str, str], credential: WireAccount) -> Ruling:
    expected = accounts.get(credential.account.reveal())
    if expected is None:
        return Ruling(UNKNOWN_NUMBER, None)
    if Secret(expected) != credential.secret:
        return Ruling(INCORRECT, "wrong")
    return Ruling(APPROVED, "verified")


def rule_card(cards: Mapping[str, SandboxCard], credential: WireCard) -> Ruling:
    """Decide whether a card pays: known, not expired, with the right PIN where it has one."""
    card = cards.get(credential.pan.reveal())
    if card is None:
        return Ruling(UNKNOWN_NUMBER, None)
    if credential.expiry is not None and credential.expiry != Secret(card.expiry):
        return Ruling(EXPIRED, None)
    if card.pin is None:
        return Ruling(APPROVED, None)
    if credential.pin_block is None or not _pin_is_right(credential, credential.pin_block, card.pin):
        return Ruling(INCORRECT, "wrong")
    return Ruling(APPROVED, "verified")


def _pin_is_right(card: WireCard, block: Secret, expected: str) -> bool:
    """Do what an issuer does with its HSM: translate format 1 under a zone key of its own, then verify."""
    zone_key = secrets.token_bytes(ZONE_KEY_BYTES)
    try:
        enciphered = pin_translate.translate_clear(block, card.pan, zone_key, PinFormat.ISO_4)
        pin.verify(enciphered, card.pan, zone_key, PinFormat.ISO_4, Secret(expected))
    except TallystickError:  # another PIN, or no PIN block at all
        return False
    return True
