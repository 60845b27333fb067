"""Every response code (DE39): what it means, what it says about the money, and what an operator does about it.

The codes are those of ISO 8583:1987 and UnionPay (Q/CUP 006.6 A.2), as answers to a payment; codes of files and of
transactions off line are left out. docs/reference/response-codes.md shows this table; a test compares them.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct


class Effect(StrEnum):
    """What an answer says about the money."""

    APPROVED = "approved"
    DECLINED = "declined"
    ELSEWHERE = "elsewhere"
    """Declined without effect, and another route may be tried."""
    UNKNOWN = "unknown"
    """It may have been acted on, or not as asked: inquire and reverse."""


class Concern(StrEnum):
    """What an answer is about, beside the payer's wish."""

    NONE = "none"
    OURS = "ours"
    """Our message, settings or registration: the same will happen again."""
    CARD = "card"
    FUNDS = "funds"
    PIN = "pin"
    FRAUD = "fraud"
    """Nothing of it is told to the payer."""
    KEY = "key"
    """Keys or cryptography of the link: stop, exchange keys, raise an alarm."""
    HOST = "host"
    """The network, the switch or the issuer's system."""


class Response(Struct, frozen=True):
    """One response code; `advice` is one sentence for the operator."""

    code: str
    meaning: str
    effect: Effect
    concern: Concern
    advice: str


_APPROVED, _DECLINED, _ELSEWHERE, _UNKNOWN = Effect
_NONE, _OURS, _CARD, _FUNDS, _PIN, _FRAUD, _KEY, _HOST = Concern

_NOTHING: Final = "Nothing to do."
_ISSUER: Final = "The payer asks his bank."
_OTHER_CARD: Final = "The payer takes another card."
_OTHER_ACCOUNT: Final = "The payer takes another card: this one has no such account."
_NEW_PAYMENT: Final = "The payer starts a new payment."
_SUPPORT: Final = "Compare the message with the back end's specification: the same request fails again."
_REGISTER: Final = "Compare the merchant and terminal settings with what the back end has registered."
_ISSUER_TABLE: Final = "Compare the issuer-number table with the back end's."
_WATCH: Final = "Watch for more of them from the same channel; tell the payer nothing but that it was declined."
_REVERSE: Final = "None: the payment is inquired about and reversed; look at the back end when it repeats."
_NOT_OURS: Final = "Ask the back end why it gave this code to a payment; the payment is inquired about and reversed."
_KEYS: Final = "Exchange the keys of the link and compare their check values; stop traffic when it repeats."
_CONFIRM: Final = "Ask the back end whether the money moved: it answers success without having the issuer's answer."

_ROWS: Final = (
    ("00", "approved", _APPROVED, _NONE, _NOTHING),
    ("01", "refer to the issuer", _DECLINED, _NONE, _ISSUER),
    ("02", "refer to the issuer, special conditions", _DECLINED, _NONE, _ISSUER),
    ("03", "invalid merchant", _DECLINED, _OURS, _REGISTER),
    ("04", "capture the card", _DECLINED, _FRAUD, _WATCH),
    ("05", "do not honour, or identity not confirmed", _DECLINED, _NONE, _ISSUER),
    ("06", "error", _UNKNOWN, _HOST, _REVERSE),
    ("07", "capture the card, special conditions", _DECLINED, _FRAUD, _WATCH),
    ("08", "honour with identification", _UNKNOWN, _NONE, "None: nobody can identify the payer, so it is reversed."),
    ("09", "request in progress", _UNKNOWN, _HOST, _REVERSE),
    ("10", "approved in part", _UNKNOWN, _NONE, "None: a payment is made whole or not at all, so it is reversed."),
    ("11", "approved, important customer", _APPROVED, _NONE, _NOTHING),
    ("12", "invalid transaction", _DECLINED, _OURS, _SUPPORT),
    ("13", "invalid amount", _DECLINED, _OURS, _SUPPORT),
    ("14", "no such card", _DECLINED, _CARD, _ISSUER_TABLE),
    ("15", "no such issuer", _DECLINED, _CARD, _ISSUER_TABLE),
    ("16", "approved, update track 3", _APPROVED, _NONE, _NOTHING),
    ("17", "cancelled by the customer", _DECLINED, _NONE, _NEW_PAYMENT),
    ("18", "disputed by the customer", _DECLINED, _NONE, _ISSUER),
    ("19", "enter the transaction again", _DECLINED, _NONE, _NEW_PAYMENT),
    ("20", "invalid response", _UNKNOWN, _HOST, _REVERSE),
    ("21", "no action taken, or card not activated", _DECLINED, _CARD, _ISSUER),
    ("22", "suspected malfunction", _UNKNOWN, _HOST, _REVERSE),
    ("23", "unacceptable fee", _DECLINED, _OURS, _SUPPORT),
    ("24", "file update not supported", _UNKNOWN, _OURS, _NOT_OURS),
    ("25", "original not found", _DECLINED, _NONE, "None for a reversal: there was nothing to undo."),
    ("26", "duplicate record", _UNKNOWN, _OURS, _NOT_OURS),
    ("27", "file update field error", _UNKNOWN, _OURS, _NOT_OURS),
    ("28", "file locked", _UNKNOWN, _OURS, _NOT_OURS),
    ("29", "file update failed", _UNKNOWN, _OURS, _NOT_OURS),
    ("30", "format error", _DECLINED, _OURS, _SUPPORT),
    ("31", "bank not supported by the switch", _DECLINED, _CARD, _ISSUER_TABLE),
    ("32", "completed in part", _UNKNOWN, _NONE, "None: a payment is made whole or not at all, so it is reversed."),
    ("33", "expired, capture the card", _DECLINED, _CARD, "The payer corrects the expiry or takes another card."),
    ("34", "suspected fraud, capture the card", _DECLINED, _FRAUD, _WATCH),
    ("35", "contact the acquirer, capture the card", _DECLINED, _FRAUD, _WATCH),
    ("36", "restricted, capture the card", _DECLINED, _FRAUD, _WATCH),
    ("37", "call the acquirer's security, capture the card", _DECLINED, _FRAUD, _WATCH),
    ("38", "PIN tries exceeded, card blocked", _DECLINED, _PIN, "The payer has his card unblocked by his bank."),
    ("39", "no credit account", _DECLINED, _CARD, _OTHER_ACCOUNT),
    ("40", "function not supported", _DECLINED, _OURS, _SUPPORT),
    ("41", "lost card", _DECLINED, _FRAUD, _WATCH),
    ("42", "no universal account", _DECLINED, _CARD, _OTHER_ACCOUNT),
    ("43", "stolen card", _DECLINED, _FRAUD, _WATCH),
    ("44", "no investment account", _DECLINED, _CARD, _OTHER_ACCOUNT),
    ("45", "the chip must be used", _DECLINED, _CARD, _OTHER_CARD),
    ("51", "insufficient funds", _DECLINED, _FUNDS, _OTHER_CARD),
    ("52", "no cheque account", _DECLINED, _CARD, _OTHER_ACCOUNT),
    ("53", "no savings account", _DECLINED, _CARD, _OTHER_ACCOUNT),
    ("54", "expired card", _DECLINED, _CARD, "The payer corrects the expiry or takes another card."),
    ("55", "wrong PIN", _DECLINED, _PIN, "The payer enters the PIN again, twice at most."),
    ("56", "no card record", _DECLINED, _CARD, _OTHER_CARD),
    ("57", "not permitted to this card", _DECLINED, _CARD, _OTHER_CARD),
    ("58", "not permitted to this terminal", _DECLINED, _OURS, _REGISTER),
    ("59", "suspected fraud, or wrong card verification code", _DECLINED, _FRAUD, _WATCH),
    ("60", "contact the acquirer", _DECLINED, _OURS, "Ask the acquirer."),
    ("61", "amount above the limit", _DECLINED, _FUNDS, _OTHER_CARD),
    ("62", "restricted card", _DECLINED, _CARD, _OTHER_CARD),
    ("63", "security violation", _DECLINED, _KEY, _KEYS),
    ("64", "original amount wrong", _DECLINED, _OURS, _SUPPORT),
    ("65", "number of payments above the limit", _DECLINED, _FUNDS, _OTHER_CARD),
    ("66", "call the acquirer's security", _DECLINED, _FRAUD, _WATCH),
    ("67", "hard capture", _DECLINED, _FRAUD, _WATCH),
    ("68", "the issuer's response came too late", _UNKNOWN, _HOST, _REVERSE),
    ("75", "PIN tries exceeded", _DECLINED, _PIN, "The payer waits as his bank tells, or takes another card."),
    ("77", "sign on again", _DECLINED, _KEY, "Sign on and exchange the keys of the link."),
    ("90", "cut-over in progress", _DECLINED, _HOST, "The payer starts a new payment some minutes later."),
    # UnionPay also gives 91 when an issuer's own systems timed out: it may have acted, so no other route is tried.
    ("91", "issuer or switch inoperative", _UNKNOWN, _HOST, _REVERSE),
    ("92", "no route to the issuer", _ELSEWHERE, _HOST, "Compare the issuer-number table; other routes go on."),
    ("93", "would violate the law", _DECLINED, _NONE, _ISSUER),
    ("94", "duplicate transmission", _UNKNOWN, _OURS, "Look for a second sender of the same trace numbers."),
    ("95", "reconciliation error", _UNKNOWN, _HOST, _NOT_OURS),
    ("96", "system malfunction", _UNKNOWN, _HOST, _REVERSE),
    ("97", "terminal not registered", _DECLINED, _OURS, _REGISTER),
    ("98", "the switch got no answer from the issuer", _UNKNOWN, _HOST, _REVERSE),
    ("99", "PIN block error", _DECLINED, _KEY, _KEYS),
    ("A0", "wrong MAC", _DECLINED, _KEY, _KEYS),
    ("A1", "transfer currencies differ", _DECLINED, _OURS, _SUPPORT),
    ("A2", "success with a defect", _UNKNOWN, _HOST, _CONFIRM),
    ("A3", "no such account at the receiver", _DECLINED, _CARD, _SUPPORT),
    ("A4", "success with a defect", _UNKNOWN, _HOST, _CONFIRM),
    ("A5", "success with a defect", _UNKNOWN, _HOST, _CONFIRM),
    ("A6", "success with a defect", _UNKNOWN, _HOST, _CONFIRM),
    ("A7", "security processing failed", _UNKNOWN, _KEY, _KEYS),
    ("A8", "region of the receiving card missing", _DECLINED, _OURS, _SUPPORT),
    ("B1", "no bill to pay", _DECLINED, _NONE, _NOTHING),
    ("C1", "acquirer not in service", _DECLINED, _OURS, "Sign on, or ask the back end to open the institution."),
    ("N1", "entries not yet in the passbook above the limit", _DECLINED, _CARD, _ISSUER),
    ("P1", "no telephone number left with the issuer", _DECLINED, _CARD, _ISSUER),
)

RESPONSES: Final[Mapping[str, Response]] = MappingProxyType({row[0]: Response(*row) for row in _ROWS})


def find(code: str | None) -> Response:
    """Return what a code means; a code that the table has not, or none at all, has the effect UNKNOWN."""
    known = RESPONSES.get(code or "")
    return known or Response(code or "", "not a known code", Effect.UNKNOWN, Concern.HOST, _NOT_OURS)
