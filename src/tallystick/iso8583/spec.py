"""ISO 8583:1987 as data: ASCII fields, binary bitmaps, binary PIN block and MAC.

One link carries one of two variants. The standard gives DE52 eight bytes, which an ISO 9564 format 4 block (one AES
block) does not fit; a network that carries format 4 agrees on the variant whose DE52 has sixteen.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["n", "an", "ans", "z", "b"]
Spec = Mapping[str, Mapping[str, Any]]


class Element(NamedTuple):
    """A data element: what it may hold, digits of its length prefix (0: fixed), its size in characters or bytes."""

    kind: Kind
    prefix: int
    size: int
    name: str


MESSAGE_MAX: Final = 1_892  # bytes: 1,938 of a UnionPay member link, less its 46-byte header
MAC_BYTES: Final = 8  # bytes of DE64 and DE128

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
    "28": Element("an", 0, 9, "transaction fee"),
    "29": Element("an", 0, 9, "settlement fee"),
    "30": Element("an", 0, 9, "transaction processing fee"),
    "31": Element("an", 0, 9, "settlement processing fee"),
    "32": Element("n", 2, 11, "acquirer"),
    "33": Element("n", 2, 11, "forwarder"),
    "34": Element("ans", 2, 28, "extended account number"),
    "35": Element("z", 2, 37, "track 2"),
    "36": Element("z", 3, 104, "track 3"),
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
    "55": Element("ans", 3, 999, "reserved, ISO"),
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
    "90": Element("n", 0, 42, "original data elements"),
    "91": Element("an", 0, 1, "file update code"),
    "95": Element("an", 0, 42, "replacement amounts"),
    "96": Element("b", 0, 8, "message security code"),
    "100": Element("n", 2, 11, "receiver"),
    "102": Element("ans", 2, 28, "account 1"),
    "103": Element("ans", 2, 28, "account 2"),
    "128": Element("b", 0, 8, "MAC"),
}
"""Elements by number. Those of reconciliation (74 to 89, 97 to 99) and the reserved ones are refused."""


def specification(pin_block_bytes: Literal[8, 16]) -> Spec:
    """Make pyiso8583's description of the variant whose DE52 has this many bytes."""
    elements = {**ELEMENTS, "52": ELEMENTS["52"]._replace(size=pin_block_bytes)}
    spec = {number: _field(element) for number, element in elements.items()}
    spec["h"] = {"data_enc": "ascii", "len_enc": "ascii", "len_type": 0, "max_len": 0, "desc": "no header"}
    spec["t"] = {"data_enc": "ascii", "len_enc": "ascii", "len_type": 0, "max_len": 4, "desc": "message type"}
    for bitmap in ("p", "1"):
        spec[bitmap] = {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 8, "desc": "bitmap"}
    return spec


def _field(element: Element) -> dict[str, Any]:
    encoding = "b" if element.kind == "b" else "ascii"
    return {
        "data_enc": encoding,
        "len_enc": "ascii",
        "len_type": element.prefix,
        "max_len": element.size,
        "desc": element.name,
    }
