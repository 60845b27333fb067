"""What the serving process asks of the PIN process, as length-framed JSON over its standard input and output."""

from typing import Final

import msgspec
from msgspec import Struct

from tallystick.channels.model import PinScheme
from tallystick.delivery.model import ZoneKey

MESSAGE_MAX: Final = 8_192  # bytes of one message; the longest holds three key blocks


class Translate(Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Translate an enciphered block; `key` is a key block under the master key, all bytes are in hexadecimal."""

    form: int
    scheme: PinScheme
    key: str
    ksn: str | None
    block: str
    token: str | None
    record: str | None
    payment_id: str
    pan: str
    zone: ZoneKey


class TranslateClear(Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Translate a clear format 1 block."""

    block: str
    pan: str
    zone: ZoneKey


class Bind(Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Bind a token to a card and a payment; answers the record."""

    token: str
    pan: str
    payment_id: str


class MakeKey(Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Make a base derivation key for devices of one channel; answers its key block under the master key."""


class ImportKey(Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Take a key that came as a key block under a transport key (both hexadecimal text); answers it re-wrapped."""

    scheme: PinScheme
    transport: str
    block: str


class DeviceKey(Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Derive a device's initial key (AES DUKPT) for the device's own profile; answers it in hexadecimal."""

    key: str
    device: str


Asked = Translate | TranslateClear | Bind | MakeKey | ImportKey | DeviceKey


class Done(Struct, frozen=True, tag=True):
    """The answer: bytes in hexadecimal, or a key block."""

    value: str


class Failed(Struct, frozen=True, tag=True):
    """A refusal: the name of its error, and the text that may be shown."""

    error: str
    detail: str


Answered = Done | Failed
asked: Final = msgspec.json.Decoder(Asked)
answered: Final = msgspec.json.Decoder(Answered)
