"""What the serving process asks of a password process, as length-framed JSON over its standard input and output."""

from typing import Final

import msgspec
from msgspec import Struct

MESSAGE_MAX: Final = 4_096  # bytes of one message; a password has at most `limits.PASSWORD_MAX` characters


class Stretch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A password to stretch under a salt, in hexadecimal, and the parameters stored beside it. Never printed."""

    password: str
    salt: str
    parameters: str

    def __repr__(self) -> str:
        return "Stretch(••••)"


class Done(Struct, frozen=True, tag=True):
    """The stretched bytes, in hexadecimal. Never printed."""

    stretched: str

    def __repr__(self) -> str:
        return "Done(••••)"


class Failed(Struct, frozen=True, tag=True):
    """A refusal: the name of its error, and the text that may be shown."""

    error: str
    detail: str


Answered = Done | Failed
asked: Final = msgspec.json.Decoder(Stretch)
answered: Final = msgspec.json.Decoder(Answered)
