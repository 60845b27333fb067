"""The settings of one ISO 8583 back end, sealed in the store and decoded here."""

from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from tallystick import limits
from tallystick.crypto import mac, pin
from tallystick.crypto.mac import MacAlgorithm
from tallystick.crypto.pin import PinFormat
from tallystick.errors import Misconfigured
from tallystick.iso8583.framing import LengthHeader
from tallystick.secret import Secret

SETTINGS_MAX: Final = 8 * 1024  # bytes
TIMEOUT_MAX_S: Final = 60.0  # s

Host = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,253}\Z")]
Institution = Annotated[str, Meta(pattern=r"\A[0-9]{1,11}\Z")]


class Iso8583Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the back end is, who we are there, and what was agreed with it.

    `server_name` is the host name in the back end's certificate. `acquirer` and `forwarder` go into DE32 and DE33,
    `terminal` and `merchant` into DE41 and DE42. `mac_key` and `pin_key` are hexadecimal: AES for `cmac` and PIN
    format 4, double-length TDES for `x9.19` and PIN format 0. `zone` is the time zone of DE7, DE12 and DE13; UnionPay
    members write Beijing time. `timeout_s` bounds the wait for an answer.

    Raises Misconfigured for values that cannot be used together.
    """

    host: Host
    port: Annotated[int, Meta(ge=1, le=65_535)]
    server_name: Host
    acquirer: Institution
    forwarder: Institution
    terminal: Annotated[str, Meta(pattern=r"\A[ -~]{8}\Z")]
    merchant: Annotated[str, Meta(pattern=r"\A[ -~]{15}\Z")]
    mac_key: Secret
    pin_key: Secret
    header: LengthHeader = LengthHeader.ASCII_4
    pin_format: Literal[0, 4] = 0
    mac: MacAlgorithm = MacAlgorithm.CMAC
    zone: str = "Asia/Shanghai"
    timeout_s: Annotated[float, Meta(gt=0, le=TIMEOUT_MAX_S)] = limits.DELIVERY_TIMEOUT_S

    def __post_init__(self) -> None:
        """Check what the field types cannot."""
        mac_key, pin_key = key_bytes(self.mac_key), key_bytes(self.pin_key)
        mac.check_key(self.mac, mac_key)
        pin.check_key(PinFormat(self.pin_format), pin_key)
        if mac_key == pin_key:
            raise Misconfigured("the MAC key and the PIN key are the same: the purposes of keys never mix")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:  # OSError: the name of a folder
            raise Misconfigured("the time zone is not one of the IANA data base") from unknown


def decode_settings(data: bytes) -> Iso8583Settings:
    """Decode settings from JSON; raises Misconfigured naming the setting, never its value."""
    if len(data) > SETTINGS_MAX:
        raise Misconfigured(f"the settings have more than {SETTINGS_MAX} bytes")
    try:
        return msgspec.json.decode(data, type=Iso8583Settings, dec_hook=decode_secret)
    except msgspec.ValidationError as wrong:
        _, _, where = str(wrong).rpartition(" - at ")  # what stands before it may quote the value
    except msgspec.DecodeError:
        where = "the JSON itself"
    raise Misconfigured(f"the settings of the ISO 8583 back end are wrong: {where}")


def decode_secret(kind: type, value: Any) -> Secret:
    """Wrap a text that the settings call a Secret (msgspec's `dec_hook`)."""
    if kind is not Secret or not isinstance(value, str):
        raise TypeError("a secret is given as text")
    return Secret(value)


def key_bytes(key: Secret) -> bytes:
    """Return a key given in hexadecimal; raises Misconfigured."""
    try:
        return bytes.fromhex(key.reveal())
    except ValueError:
        broken = Misconfigured("a key is not given in hexadecimal")
    raise broken
