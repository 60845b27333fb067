"""ISO 8583:1987 as data: the elements, and the forms in which networks write them.

One link carries one of two variants. The standard gives DE52 eight bytes, which an ISO 9564 format 4 block (one AES
block) does not fit; a network that carries format 4 agrees on the variant whose DE52 has sixteen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, NamedTuple

Kind = Literal["n", "x", "an", "ans", "z", "b"]
"""Digits; an amount behind its sign; letters and digits; any printable text; track data; binary."""


class MessageFormat(StrEnum):
    """How a link writes messages. Bitmaps, DE52, DE55 and the MAC are binary in every format."""

    ASCII = "ascii"
    EBCDIC = "ebcdic"
    """As ASCII, in code page 500."""
    BCD = "bcd"
    """Numbers, track 2 and lengths in packed digits, an odd count behind a zero nibble; texts in ASCII."""
    BCD_JPOS = "bcd-jpos"
    """As BCD, but of variable length the zero nibble stands at the end, and currencies are text: ISO87BPackager."""
    UNIONPAY_POS = "unionpay-pos"
    """As BCD, but every zero nibble stands at the end, currencies are text, DE62 is binary: terminal link."""


class Element(NamedTuple):
    """A data element: what it may hold, digits of its length prefix (0: fixed), its size in characters or bytes."""

    kind: Kind
    prefix: int
    size: int
    name: str


MESSAGE_MAX: Final = 1_892  # bytes: 1,938 of a UnionPay member link, less its 46-byte header
MAC_BYTES: Final = 8  # bytes of DE64 and DE128
MESSAGE_TYPE: Final = Element("n", 0, 4, "message type")

ELEMENTS: Final[Mapping[str, Element]] = {
    "2": Element("n", 2, 19, "primary account number"),
    "3": Element("n", 0, 6, "processing code"),
    "4": Element("n", 0, 12, "amount"),
    "5": Element("n", 0, 12, "amount, settlement"),
    "6": Element("n", 0, 12, "amount, cardholder billing"),
    "7": Element("n", 0, 10, "transmission date and time"),
    "8": Element("n", 0, 8, "amount, cardholder billing fee"),
    "9": Element("n", 0, 8, "conversion rate, settlement"),
    "10": Element("n", 0, 8, "conversion rate, cardholder billing"),
    "11": Element("n", 0, 6, "system trace audit number"),
    "12": Element("n", 0, 6, "local time"),
    "13": Element("n", 0, 4, "local date"),
    "14": Element("n", 0, 4, "expiry"),
    "15": Element("n", 0, 4, "settlement date"),
    "16": Element("n", 0, 4, "conversion date"),
    "17": Element("n", 0, 4, "capture date"),
    "18": Element("n", 0, 4, "merchant type"),
    "19": Element("n", 0, 3, "acquirer country"),
    "20": Element("n", 0, 3, "card country"),
    "21": Element("n", 0, 3, "forwarder country"),
    "22": Element("n", 0, 3, "point of service entry mode"),
    "23": Element("n", 0, 3, "card sequence number"),
    "24": Element("n", 0, 3, "network international id"),
    "25": Element("n", 0, 2, "point of service condition code"),
    "26": Element("n", 0, 2, "PIN capture code"),
    "27": Element("n", 0, 1, "authorisation id length"),
    "28": Element("x", 0, 9, "transaction fee"),
    "29": Element("x", 0, 9, "settlement fee"),
    "30": Element("x", 0, 9, "transaction processing fee"),
    "31": Element("x", 0, 9, "settlement processing fee"),
    "32": Element("n", 2, 11, "acquirer"),
    "33": Element("n", 2, 11, "forwarder"),
    "34": Element("ans", 2, 28, "extended account number"),
    "35": Element("z", 2, 37, "track 2"),
    "36": Element("ans", 3, 104, "track 3"),  # z in the standard, but text wherever it was seen
    "37": Element("an", 0, 12, "retrieval reference"),
    "38": Element("an", 0, 6, "authorisation id"),
    "39": Element("an", 0, 2, "response code"),
    "40": Element("an", 0, 3, "service restriction code"),
    "41": Element("ans", 0, 8, "terminal"),
    "42": Element("ans", 0, 15, "merchant"),
    "43": Element("ans", 0, 40, "merchant name and place"),
    "44": Element("ans", 2, 25, "additional response data"),
    "45": Element("ans", 2, 76, "track 1"),
    "46": Element("ans", 3, 999, "additional data, ISO"),
    "47": Element("ans", 3, 999, "additional data, national"),
    "48": Element("ans", 3, 999, "additional data, private"),
    "49": Element("n", 0, 3, "currency"),
    "50": Element("n", 0, 3, "currency, settlement"),
    "51": Element("n", 0, 3, "currency, cardholder billing"),
    "52": Element("b", 0, 8, "PIN block"),
    "53": Element("n", 0, 16, "security control"),
    "54": Element("an", 3, 120, "additional amounts"),
    "55": Element("b", 3, 255, "chip data"),
    "56": Element("ans", 3, 999, "reserved, ISO"),
    "57": Element("ans", 3, 999, "reserved, national"),
    "58": Element("ans", 3, 999, "reserved, national"),
    "59": Element("ans", 3, 999, "reserved, national"),
    "60": Element("ans", 3, 999, "reserved, private"),
    "61": Element("ans", 3, 999, "reserved, private"),
    "62": Element("ans", 3, 999, "reserved, private"),
    "63": Element("ans", 3, 999, "reserved, private"),
    "64": Element("b", 0, 8, "MAC"),
    "66": Element("n", 0, 1, "settlement code"),
    "67": Element("n", 0, 2, "extended payment code"),
    "68": Element("n", 0, 3, "receiver country"),
    "69": Element("n", 0, 3, "settlement country"),
    "70": Element("n", 0, 3, "network management code"),
    "71": Element("n", 0, 4, "message number"),
    "72": Element("n", 0, 4, "message number, last"),
    "73": Element("n", 0, 6, "action date"),
    "74": Element("n", 0, 10, "credits, number"),
    "75": Element("n", 0, 10, "credits, reversal number"),
    "76": Element("n", 0, 10, "debits, number"),
    "77": Element("n", 0, 10, "debits, reversal number"),
    "78": Element("n", 0, 10, "transfers, number"),
    "79": Element("n", 0, 10, "transfers, reversal number"),
    "80": Element("n", 0, 10, "inquiries, number"),
    "81": Element("n", 0, 10, "authorisations, number"),
    "82": Element("n", 0, 12, "credits, processing fee"),
    "83": Element("n", 0, 12, "credits, transaction fee"),
    "84": Element("n", 0, 12, "debits, processing fee"),
    "85": Element("n", 0, 12, "debits, transaction fee"),
    "86": Element("n", 0, 16, "credits, amount"),
    "87": Element("n", 0, 16, "credits, reversal amount"),
    "88": Element("n", 0, 16, "debits, amount"),
    "89": Element("n", 0, 16, "debits, reversal amount"),
    "90": Element("n", 0, 42, "original data elements"),
    "91": Element("an", 0, 1, "file update code"),
    "95": Element("an", 0, 42, "replacement amounts"),
    "96": Element("b", 0, 8, "message security code"),
    "97": Element("x", 0, 17, "net settlement"),
    "98": Element("ans", 0, 25, "payee"),
    "99": Element("n", 2, 11, "settlement institution"),
    "100": Element("n", 2, 11, "receiver"),
    "102": Element("ans", 2, 28, "account 1"),
    "103": Element("ans", 2, 28, "account 2"),
    "128": Element("b", 0, 8, "MAC"),
}
"""Elements by number; any other one is refused."""

CURRENCIES: Final[Mapping[str, Element]] = {
    number: ELEMENTS[number]._replace(kind="an") for number in ("49", "50", "51")
}
OTHERWISE: Final[Mapping[MessageFormat, Mapping[str, Element]]] = {
    MessageFormat.BCD_JPOS: CURRENCIES,
    MessageFormat.UNIONPAY_POS: {
        **CURRENCIES,
        "60": Element("n", 3, 99, "reserved, private"),
        "62": Element("b", 3, 512, "reserved, private"),
    },
}
"""What a format has otherwise: currencies as text, UnionPay's DE60 in digits, its DE62 for keys and tagged data."""


class Layout(NamedTuple):
    """The code page of texts; for packed digits, on which side a fixed or a variable number has its zero nibble."""

    texts: str
    pad_fixed: Literal["left", "right", ""] = ""
    pad_variable: Literal["left", "right", ""] = ""

    @property
    def packed(self) -> bool:
        """Say whether digits and lengths are packed."""
        return bool(self.pad_fixed)


LAYOUTS: Final[Mapping[MessageFormat, Layout]] = {
    MessageFormat.ASCII: Layout("ascii"),
    MessageFormat.EBCDIC: Layout("cp500"),
    MessageFormat.BCD: Layout("ascii", "left", "left"),
    MessageFormat.BCD_JPOS: Layout("ascii", "left", "right"),
    MessageFormat.UNIONPAY_POS: Layout("ascii", "right", "right"),
}


@dataclass(frozen=True)
class Spec:
    """One variant: its elements, and how they stand on the wire."""

    elements: Mapping[str, Element]
    layout: Layout


def specification(pin_block_bytes: Literal[8, 16], form: MessageFormat = MessageFormat.ASCII) -> Spec:
    """Make the variant that is written in this format and whose DE52 has this many bytes."""
    pin_block = ELEMENTS["52"]._replace(size=pin_block_bytes)
    return Spec({**ELEMENTS, **OTHERWISE.get(form, {}), "52": pin_block}, LAYOUTS[form])
