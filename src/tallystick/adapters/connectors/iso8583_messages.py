"""The messages a connector sends; docs/reference/iso8583-connector.md shows each with its elements."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from tallystick import limits
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings, MessageKind
from tallystick.assembly.facts import Order
from tallystick.delivery.model import Instruction, MessageIds, Original
from tallystick.errors import FieldInvalid
from tallystick.iso8583 import originals
from tallystick.iso8583.originals import write_original
from tallystick.runtime import Millis
from tallystick.vault.model import CardCredential

KEYED: Final = "01"  # DE22, first two digits
CHIP: Final = "05"
WITH_PIN: Final = "1"  # DE22, third digit
WITHOUT_PIN: Final = "2"
PIN_DIGITS_MAX: Final = "12"  # DE26
PIN_FORMAT_0_TDES: Final = "2600000000000000"  # DE53: PIN block with card number, double-length key
QUERY: Final = "310000"  # DE3 of an inquiry
NORMAL: Final = "00"  # DE25
REPEAT: Final = "1"  # fourth digit of the type of a message that is sent again

TYPES: Final[Mapping[MessageKind, str]] = {MessageKind.FINANCIAL: "0200", MessageKind.AUTHORISATION: "0100"}
PROCESSING: Final[Mapping[MessageKind, str]] = {MessageKind.FINANCIAL: "000000", MessageKind.AUTHORISATION: "030000"}
CONDITION: Final[Mapping[MessageKind, str]] = {MessageKind.FINANCIAL: NORMAL, MessageKind.AUTHORISATION: "06"}

NUMERIC_CURRENCIES: Final[Mapping[str, str]] = {
    "AUD": "036",
    "CAD": "124",
    "CHF": "756",
    "CNY": "156",
    "EUR": "978",
    "GBP": "826",
    "HKD": "344",
    "JPY": "392",
    "KRW": "410",
    "MOP": "446",
    "SGD": "702",
    "THB": "764",
    "USD": "840",
}
"""ISO 4217 letters to the digits of DE49."""


class Manage(StrEnum):
    """What a network management message is about (DE70)."""

    SIGN_ON = "001"
    SIGN_OFF = "002"
    KEY_RESET = "101"
    CUT_OVER = "201"
    CUT_OVER_DONE = "202"
    ECHO = "301"


def authorisation(
    instruction: Instruction, card: CardCredential, settings: Iso8583Settings, zone: dt.tzinfo
) -> dict[str, str]:
    """Write the 0200 or 0100 of an instruction, without its PIN block.

    Raises FieldInvalid for an order that DE4 or DE49 cannot carry.
    """
    kind = settings.message
    fields = {
        "t": TYPES[kind],
        "2": card.pan.reveal(),
        "3": PROCESSING[kind],
        **_about(instruction.order, instruction.ids, settings, zone),
        **_local(instruction.ids.at, zone),
        "22": (KEYED if card.chip is None else CHIP) + WITHOUT_PIN,
        "25": CONDITION[kind],
        "37": instruction.ids.rrn,
    }
    if card.expiry is not None:
        fields["14"] = card.expiry.reveal()
    if card.chip is not None:
        fields["55"] = card.chip.reveal()
    return fields


def pin_elements(request: Mapping[str, str], block: bytes, settings: Iso8583Settings) -> dict[str, str]:
    """Write what an enciphered PIN block brings into an authorisation: its entry mode and its control elements."""
    elements = {"22": request["22"][:2] + WITH_PIN, "26": PIN_DIGITS_MAX, "52": block.hex().upper()}
    control = settings.security_control or (PIN_FORMAT_0_TDES if settings.pin_format == 0 else None)
    return elements if control is None else {**elements, "53": control}


def reversal(
    original: Original, ids: MessageIds, settings: Iso8583Settings, zone: dt.tzinfo, *, repeat: bool
) -> dict[str, str]:
    """Write the 0420 or 0400 that undoes a request, or its repeat: identifiers of its own, the original's in DE90.

    It names the order and the card of the original and never holds a PIN block, DE53 or chip data. DE12, DE13 and DE37
    are the original's. Raises FieldInvalid when the card number is not kept.
    """
    return {
        "t": settings.reversal[:3] + REPEAT if repeat else settings.reversal,
        "3": PROCESSING[settings.message],
        "25": CONDITION[settings.message],
        **_follow_up(original, ids, settings, zone),
    }


def inquiry(original: Original, ids: MessageIds, settings: Iso8583Settings, zone: dt.tzinfo) -> dict[str, str]:
    """Write the 0100 that asks what became of a request; raises FieldInvalid when the card number is not kept."""
    return {"t": "0100", "3": QUERY, "25": NORMAL, **_follow_up(original, ids, settings, zone)}


def management(
    what: Manage, stan: str, at: Millis, settings: Iso8583Settings, zone: dt.tzinfo, control: str | None = None
) -> dict[str, str]:
    """Write an 0800; `control` is DE53 of a key reset."""
    fields = {"t": "0800", "7": _moment(at, zone), "11": stan, "33": settings.forwarder, "70": what.value}
    return fields if control is None else {**fields, "53": control}


def reply(request: Mapping[str, str], code: str) -> dict[str, str]:
    """Write the answer to a request of the switch; it repeats what identifies the request."""
    kept = {number: request[number] for number in ("7", "11", "32", "33", "53", "70", "100") if number in request}
    return {**kept, "t": answer_type(request["t"]), "39": code}


def answer_type(kind: str) -> str:
    """Give the message type of the answer: 0210 to an 0200, 0430 to an 0420 and to its repeat 0421."""
    return f"{kind[:2]}{int(kind[2]) + 1}0"


def _about(order: Order, ids: MessageIds, settings: Iso8583Settings, zone: dt.tzinfo) -> dict[str, str]:
    """Write what every message about an order has: the order, the message's own identifiers, and who we are."""
    if not 0 < order.amount <= limits.AMOUNT_MAX:
        raise FieldInvalid("the amount does not fit DE4", field="amount")
    currency = NUMERIC_CURRENCIES.get(order.currency)
    if currency is None:
        raise FieldInvalid("the currency is not one that the back end takes", field="currency")
    return {
        "4": f"{order.amount:012d}",
        "7": _moment(ids.at, zone),
        "11": ids.stan,
        "32": settings.acquirer,
        "33": settings.forwarder,
        "41": settings.terminal,
        "42": settings.merchant,
        "49": currency,
    }


def _follow_up(original: Original, ids: MessageIds, settings: Iso8583Settings, zone: dt.tzinfo) -> dict[str, str]:
    if original.account is None:
        raise FieldInvalid("the card number of the original is not kept", field="DE2")
    sent = originals.Original(
        kind=TYPES[settings.message],
        stan=original.ids.stan,
        moment=_moment(original.ids.at, zone),
        acquirer=settings.acquirer,
        forwarder=settings.forwarder,
    )
    return {
        "2": original.account.reveal(),
        **_about(original.order, ids, settings, zone),
        **_local(original.ids.at, zone),
        "22": KEYED + WITHOUT_PIN,
        "37": original.ids.rrn,
        "90": write_original(sent),
    }


def _local(at: Millis, zone: dt.tzinfo) -> dict[str, str]:
    moment = _moment(at, zone)
    return {"12": moment[4:], "13": moment[:4]}


def _moment(at: Millis, zone: dt.tzinfo) -> str:
    """Give MMDDhhmmss."""
    return dt.datetime.fromtimestamp(at // 1000, zone).strftime("%m%d%H%M%S")
