"""DE90, original data elements: what a reversal or an advice says of the request it is about."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from tallystick.errors import FieldInvalid

PARTS: Final = re.compile(r"([0-9]{4})([0-9]{6})([0-9]{10})([0-9]{11})([0-9]{11})")
INSTITUTION_DIGITS: Final = 11


class Original(Struct, frozen=True):
    """The request: message type, DE11, DE7, and DE32 and DE33 without leading zeros (empty: none)."""

    kind: str
    stan: str
    moment: str
    acquirer: str = ""
    forwarder: str = ""


def original_of(request: Mapping[str, str]) -> Original:
    """Take from a request what DE90 says of it."""
    institutions = (request.get(number, "").lstrip("0") for number in ("32", "33"))
    return Original(request["t"], request["11"], request["7"], *institutions)


def write_original(original: Original) -> str:
    """Write DE90; raises FieldInvalid when a part is not digits or too long."""
    institutions = (each.rjust(INSTITUTION_DIGITS, "0") for each in (original.acquirer, original.forwarder))
    de90 = "".join((original.kind, original.stan, original.moment, *institutions))
    read_original(de90)
    return de90


def read_original(de90: str) -> Original:
    """Read DE90; raises FieldInvalid for anything but its 42 digits."""
    parts = PARTS.fullmatch(de90)
    if parts is None:
        raise FieldInvalid("the original data elements are not 42 digits", field="DE90")
    kind, stan, moment, acquirer, forwarder = parts.groups()
    return Original(kind, stan, moment, acquirer.lstrip("0"), forwarder.lstrip("0"))
