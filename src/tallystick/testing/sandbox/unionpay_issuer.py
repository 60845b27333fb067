"""The cards behind the UnionPay-style sandbox: who is approved, who is not, and what goes wrong on request."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tallystick.crypto import pin
from tallystick.crypto.pin import PinFormat
from tallystick.errors import CredentialRefused, Refused
from tallystick.runtime import Clock
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox.record import Record


class Code(StrEnum):
    """Response codes (DE39) that the sandbox gives of itself."""

    APPROVED = "00"
    INVALID_TRANSACTION = "12"
    NO_SUCH_CARD = "14"
    FORMAT = "30"
    EXPIRED = "54"
    WRONG_PIN = "55"
    NOT_SIGNED_ON = "58"
    PIN_BLOCK = "99"
    WRONG_MAC = "A0"


class Failure(StrEnum):
    """What goes wrong after the request was acted on."""

    SILENT = "no answer"
    LATE = "late answer"
    FORGED = "wrong MAC"
    CUT = "connection cut"
    GARBAGE = "garbage"


DECLINES: Final[Mapping[str, str]] = {"51": "51", "61": "61", "91": "91", "96": "96"}
"""Response code for an amount that ends in these two digits; the money does not move."""

FAILURES: Final[Mapping[str, Failure]] = {
    "9901": Failure.SILENT,
    "9902": Failure.LATE,
    "9903": Failure.FORGED,
    "9904": Failure.CUT,
    "9905": Failure.GARBAGE,
}
"""What happens to the answer for an amount that ends in these four digits; the money does move."""


class Card(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card of the issuer: with a `pin`, a request without a PIN block is refused as one with a wrong PIN."""

    pin: str | None = None
    expiry: str | None = None


class Issuer:
    """The side that knows the cards. An authorisation is effective once for each retrieval reference (DE37)."""

    def __init__(
        self, cards: Mapping[str, Card], pin_key: bytes, pin_format: PinFormat, record: Record, clock: Clock
    ) -> None:
        self._cards = cards
        self._pin_key = pin_key
        self._pin_format = pin_format
        self._record = record
        self._clock = clock
        self._answered: dict[str, str] = {}

    def authorise(self, request: Mapping[str, str], failure: Failure | None) -> str:
        """Decide on an 0200 and return DE39; a repeated reference gets its first answer and no second effect."""
        repeated = self._answered.get(request["37"])
        pin_state = "none"
        if repeated is None:
            code, pin_state = self._decide(request)
            self._answered[request["37"]] = code
        else:
            code = repeated
        outcome = "duplicate" if repeated is not None else failure or code
        self.note(request, outcome, pin_state, effective=repeated is None and code == Code.APPROVED)
        return code

    def note(self, request: Mapping[str, str], outcome: str, pin_state: str = "none", *, effective: bool) -> None:
        """Record a request, masked."""
        self._record.append(
            {
                "at": self._clock.now(),
                "kind": request.get("t"),
                "stan": request.get("11"),
                "rrn": request.get("37"),
                "amount": int(request["4"]) if "4" in request else None,
                "currency": request.get("49"),
                "card": Pan(request["2"]).masked if "2" in request else None,
                "pin": pin_state,
                "outcome": outcome,
                "effective": effective,
            }
        )

    def _decide(self, request: Mapping[str, str]) -> tuple[str, str]:
        card = self._cards.get(request["2"])
        if card is None:
            return Code.NO_SUCH_CARD, "none"
        if "14" in request and card.expiry not in (None, request["14"]):
            return Code.EXPIRED, "none"
        code, pin_state = self._check_pin(request, card)
        return (DECLINES.get(request["4"][-2:], code) if code == Code.APPROVED else code), pin_state

    def _check_pin(self, request: Mapping[str, str], card: Card) -> tuple[str, str]:
        if "52" not in request:
            return (Code.APPROVED if card.pin is None else Code.WRONG_PIN), "none"
        block, expected = bytes.fromhex(request["52"]), Secret(card.pin or "")
        try:
            pin.verify(block, Pan(request["2"]), self._pin_key, self._pin_format, expected)
        except CredentialRefused:
            return Code.WRONG_PIN, "wrong"
        except Refused:
            return Code.PIN_BLOCK, "wrong"
        return Code.APPROVED, "verified"
