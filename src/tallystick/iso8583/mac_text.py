"""Which bytes of a message its MAC is computed over."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from tallystick.iso8583.spec import ELEMENTS


class MacText(StrEnum):
    """What a link's MAC covers."""

    MESSAGE = "message"
    """Every byte before the MAC."""
    MEMBER = "member"
    """The elements that a UnionPay member link takes (`mab`): neither DE52 nor DE53, DE55, DE60 or DE61 is covered."""


MEMBER: Final = ("2", "3", "4", "7", "11", "18", "25", "28", "32", "33", "38", "39", "41", "42", "90")
MEMBER_MANAGEMENT: Final = ("7", "11", "39", "53", "70", "100")
MANAGEMENT: Final = "08"  # how the types of network management messages begin
ORIGINAL_DIGITS: Final = 20  # leading digits of DE90 that are covered: message type, DE11 and DE7
REFUSED: Final = re.compile(r"[^A-Za-z0-9,. ]")


def mab(fields: Mapping[str, str]) -> bytes:
    """Write the MAC text of a UnionPay member link: message type and covered elements, normalised, a space between.

    Each element stands as an ASCII link sends it, with its length in front when that varies. Network management
    messages have a list of their own. What is not covered must be protected by the link (TLS).
    """
    numbers = MEMBER_MANAGEMENT if fields["t"].startswith(MANAGEMENT) else MEMBER
    words = [fields["t"], *(_sent(number, fields[number]) for number in numbers if number in fields)]
    return " ".join(filter(None, map(normalise, words))).encode()


def normalise(word: str) -> str:
    """Give upper-case letters, digits, comma, full stop and single spaces; everything else is left out."""
    return " ".join(REFUSED.sub("", word).upper().split())


def _sent(number: str, value: str) -> str:
    if number == "90":
        return value[:ORIGINAL_DIGITS]
    prefix = ELEMENTS[number].prefix
    return f"{len(value):0{prefix}d}{value}" if prefix else value
