"""The text of the field `pin_block`: a clear format 1 block in hex, or a block under its sender's key.

1 L PIN fill                                                         16 hexadecimal digits, format 1
format=1;key=NAME[;ksn=HEX];block=HEX                                8 bytes, no card number
format=4;key=NAME[;ksn=HEX];token=DIGITS;block=HEX                   16 bytes, over a token of the platform
"""

import re
from typing import Final

from msgspec import Struct

from tallystick.errors import FieldInvalid
from tallystick.secret import Secret
from tallystick.security.folding import fold

FIELD: Final = "fields.pin_block"
KEY_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_CLEAR: Final = re.compile(r"1[4-9A-C][0-9A-F]{14}")
_KSN: Final = r"(?:;ksn=(?P<ksn>[0-9A-F]{20}|[0-9A-F]{24}))?"
_FORMAT_1: Final = re.compile(rf"format=1;key=(?P<key>{KEY_NAME.pattern}){_KSN};block=(?P<block>[0-9A-F]{{16}})")
_FORMAT_4: Final = re.compile(
    rf"format=4;key=(?P<key>{KEY_NAME.pattern}){_KSN};token=(?P<token>9[0-9]{{11,18}});block=(?P<block>[0-9A-F]{{32}})"
)


class PinText(Struct, frozen=True, kw_only=True):
    """An enciphered PIN block as its sender wrote it: which of its keys, which serial number, over which token."""

    form: int
    key: str
    block: Secret
    ksn: str | None = None
    token: str | None = None

    def write(self) -> Secret:
        """Write the field."""
        ksn = "" if self.ksn is None else f";ksn={self.ksn}"
        token = "" if self.token is None else f";token={self.token}"
        return Secret(f"format={self.form};key={self.key}{ksn}{token};block={self.block.reveal()}")


def check_pin_text(value: str) -> Secret:
    """Return the field folded; raises FieldInvalid for neither of its forms."""
    text = fold(value)
    clear = text.upper()
    if _CLEAR.fullmatch(clear):
        return Secret(clear)
    if _FORMAT_1.fullmatch(text) or _FORMAT_4.fullmatch(text):
        return Secret(text)
    raise FieldInvalid(
        "a PIN is given as an ISO 9564 format 1 block in hex, or as format=, key=, [ksn=,] [token=,] block=",
        field=FIELD,
    )


def read_pin_text(field: Secret) -> PinText | None:
    """Take a checked field apart; None for a clear block."""
    text = field.reveal()
    if (found := _FORMAT_1.fullmatch(text)) is not None:
        return PinText(form=1, key=found["key"], ksn=found["ksn"], block=Secret(found["block"]))
    if (found := _FORMAT_4.fullmatch(text)) is not None:
        return PinText(form=4, key=found["key"], ksn=found["ksn"], token=found["token"], block=Secret(found["block"]))
    return None
