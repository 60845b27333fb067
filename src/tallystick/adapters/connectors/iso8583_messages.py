"""The three messages a connector sends, and what an answer means."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

from tallystick import limits
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings
from tallystick.delivery.model import Answer, Instruction, Verdict
from tallystick.errors import FieldInvalid, OutcomeUnknown
from tallystick.runtime import Millis
from tallystick.vault.model import CardCredential

SIGN_ON: Final = "001"  # DE70
ECHO: Final = "301"  # DE70
DONE: Final = "00"  # DE39
PURCHASE: Final = "000000"  # DE3
NORMAL: Final = "00"  # DE25
KEYED_WITH_PIN: Final = "011"  # DE22
KEYED: Final = "012"  # DE22
PIN_DIGITS_MAX: Final = "12"  # DE26
PIN_FORMAT_0_TDES: Final = "2600000000000000"  # DE53: PIN block with card number, double-length key

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

APPROVED: Final = frozenset({"00", "11"})
DECLINED: Final = frozenset(
    {
        *("01", "02", "05"),  # refer, do not honour
        *("03", "12", "13", "30", "40", "58"),  # merchant, transaction, amount, format, function, terminal: our fault
        *("04", "07", "41", "43"),  # capture, lost, stolen
        *("14", "15", "25", "33", "54"),  # no such card or issuer, no original, expired
        *("38", "55", "75"),  # wrong PIN, tries exceeded
        *("34", "36", "57", "59", "62"),  # fraud, restricted card
        *("51", "61", "65"),  # funds, amount limit, count limit
        *("90", "91", "92"),  # cut-over, issuer down, no route: not processed
        *("97", "99", "A0"),  # terminal, PIN block, MAC: not processed
    }
)
"""Answers (DE39) after which no money has moved; any other one, such as 06, 22, 68, 96 and 98, leaves that open."""

ECHOED: Final = ("4", "7", "11", "37", "41")


def purchase(
    instruction: Instruction, card: CardCredential, pin_block: bytes | None, settings: Iso8583Settings, zone: dt.tzinfo
) -> dict[str, str]:
    """Write the 0200 of an instruction; raises FieldInvalid for an order that DE4 or DE49 cannot carry."""
    order, ids = instruction.order, instruction.ids
    if not 0 < order.amount <= limits.AMOUNT_MAX:
        raise FieldInvalid("the amount does not fit DE4", field="amount")
    currency = NUMERIC_CURRENCIES.get(order.currency)
    if currency is None:
        raise FieldInvalid("the currency is not one that the back end takes", field="currency")
    sent = _moment(ids.at, zone)
    fields = {
        "t": "0200",
        "2": card.pan.reveal(),
        "3": PURCHASE,
        "4": f"{order.amount:012d}",
        "7": sent,
        "11": ids.stan,
        "12": sent[4:],
        "13": sent[:4],
        "22": KEYED,
        "25": NORMAL,
        "32": settings.acquirer,
        "33": settings.forwarder,
        "37": ids.rrn,
        "41": settings.terminal,
        "42": settings.merchant,
        "49": currency,
    }
    if card.expiry is not None:
        fields["14"] = card.expiry.reveal()
    if pin_block is not None:
        fields |= {"22": KEYED_WITH_PIN, "26": PIN_DIGITS_MAX, "52": pin_block.hex().upper()}
        if settings.pin_format == 0:
            fields["53"] = PIN_FORMAT_0_TDES
    return fields


def management(what: str, stan: str, at: Millis, settings: Iso8583Settings, zone: dt.tzinfo) -> dict[str, str]:
    """Write an 0800; `what` is its DE70."""
    return {"t": "0800", "7": _moment(at, zone), "11": stan, "33": settings.forwarder, "70": what}


def judge(request: Mapping[str, str], answer: Mapping[str, str]) -> Answer:
    """Say what an authenticated answer to an 0200 means.

    1. It repeats the request's amount, times, trace number, reference and terminal.
    2. Its response code is one whose effect is known.

    Raises OutcomeUnknown otherwise: the back end may have acted.
    """
    # 1.
    if any(answer.get(number) != request[number] for number in ECHOED):
        raise OutcomeUnknown("the answer does not repeat the request's elements")
    # 2.
    code = answer.get("39", "")
    if code in APPROVED:
        return Answer(verdict=Verdict.APPROVED, code=code, approval=answer.get("38", "").strip() or None)
    if code in DECLINED:
        return Answer(verdict=Verdict.DECLINED, code=code)
    raise OutcomeUnknown(f"the response code tells no outcome: {code or 'none'}")


def _moment(at: Millis, zone: dt.tzinfo) -> str:
    """Give MMDDhhmmss."""
    return dt.datetime.fromtimestamp(at // 1000, zone).strftime("%m%d%H%M%S")
