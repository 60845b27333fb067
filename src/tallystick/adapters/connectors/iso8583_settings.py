"""The settings of one ISO 8583 back end, sealed in the store and decoded here."""

from enum import StrEnum
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
from tallystick.iso8583.mac_text import MacText
from tallystick.iso8583.network_header import HeaderForm
from tallystick.iso8583.spec import MessageFormat
from tallystick.secret import Secret

SETTINGS_MAX: Final = 8 * 1024  # bytes
TIMEOUT_MAX_S: Final = 60.0  # s
CONNECTIONS_MAX: Final = 16  # connections to one back end
ZONE_KEY_BYTES: Final = frozenset({16, 24, 32})  # of TDES (16, 24) or AES

Host = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,253}\Z")]
Institution = Annotated[str, Meta(pattern=r"\A[0-9]{1,11}\Z")]


class Keys(StrEnum):
    """Where the MAC key and the PIN key of a link come from."""

    STATIC = "static"
    EXCHANGE = "exchange"


class MessageKind(StrEnum):
    """How money is asked for: taken at once (0200), or put on hold (0100, a pre-authorisation)."""

    FINANCIAL = "financial"
    AUTHORISATION = "authorisation"


class Iso8583Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the back end is, who we are there, and what was agreed with it.

    `server_name` is the host name in the back end's certificate; `institution`, when given, the id in its SAN URI.
    `acquirer` and `forwarder` go into DE32 and DE33, `terminal` and `merchant` into DE41 and DE42.

    Keys are hexadecimal. `mac_key` and `pin_key` belong to `static` keys: AES for `cmac` and PIN format 4,
    double-length TDES otherwise. With `exchange` both come as key blocks under `zone_key`; `swapped_key_types` is for a
    switch that writes 2 for a PIN key and 1 for a MAC key into DE53.

    `connections` share the requests. `format`, `header`, `network` and `mac_text` say how messages are written. `zone`
    is the time zone of DE7, DE12 and DE13; UnionPay members write Beijing time. `security_control` is DE53 beside a PIN
    block; when it is not given, format 0 has 2600000000000000 and format 4 none. `reversal` is the type of a first
    reversal. `inquiry` is set when the back end answers the query of docs/reference/iso8583-connector.md; not with the
    `member` MAC text: the answer stands in DE44, which that does not cover. `timeout_s` bounds the wait for an answer.

    Raises Misconfigured for values that cannot be used together.
    """

    host: Host
    port: Annotated[int, Meta(ge=1, le=65_535)]
    server_name: Host
    acquirer: Institution
    forwarder: Institution
    terminal: Annotated[str, Meta(pattern=r"\A[ -~]{8}\Z")]
    merchant: Annotated[str, Meta(pattern=r"\A[ -~]{15}\Z")]
    institution: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")] | None = None
    connections: Annotated[int, Meta(ge=1, le=CONNECTIONS_MAX)] = 2
    keys: Keys = Keys.STATIC
    mac_key: Secret | None = None
    pin_key: Secret | None = None
    zone_key: Secret | None = None
    swapped_key_types: bool = False
    format: MessageFormat = MessageFormat.ASCII
    header: LengthHeader = LengthHeader.ASCII_4
    network: HeaderForm = HeaderForm()
    mac: MacAlgorithm = MacAlgorithm.CMAC
    mac_text: MacText = MacText.MESSAGE
    pin_format: Literal[0, 4] = 0
    security_control: Annotated[str, Meta(pattern=r"\A[0-9]{16}\Z")] | None = None
    message: MessageKind = MessageKind.FINANCIAL
    reversal: Literal["0420", "0400"] = "0420"
    inquiry: bool = False
    zone: str = "Asia/Shanghai"
    timeout_s: Annotated[float, Meta(gt=0, le=TIMEOUT_MAX_S)] = limits.DELIVERY_TIMEOUT_S

    def __post_init__(self) -> None:
        """Check what the field types cannot."""
        if self.keys is Keys.STATIC:
            _check_static(self)
        else:
            _check_exchange(self)
        if self.inquiry and self.mac_text is MacText.MEMBER:
            raise Misconfigured("inquiry needs a MAC over the whole message: the member text does not cover DE44")
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
    except (msgspec.DecodeError, UnicodeDecodeError):
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


def check_session_keys(algorithm: MacAlgorithm, mac_key: bytes, form: PinFormat, pin_key: bytes) -> None:
    """Refuse session keys that do not fit their use, and one key for both uses; Misconfigured."""
    mac.check_key(algorithm, mac_key)
    pin.check_key(form, pin_key)
    if mac_key == pin_key:
        raise Misconfigured("the MAC key and the PIN key are the same: the purposes of keys never mix")


def _check_static(settings: Iso8583Settings) -> None:
    if settings.mac_key is None or settings.pin_key is None or settings.zone_key is not None:
        raise Misconfigured("static keys are mac_key and pin_key, without zone_key")
    mac_key, pin_key = key_bytes(settings.mac_key), key_bytes(settings.pin_key)
    check_session_keys(settings.mac, mac_key, PinFormat(settings.pin_format), pin_key)


def _check_exchange(settings: Iso8583Settings) -> None:
    if settings.zone_key is None or settings.mac_key is not None or settings.pin_key is not None:
        raise Misconfigured("keys are exchanged under zone_key, without mac_key and pin_key")
    if len(key_bytes(settings.zone_key)) not in ZONE_KEY_BYTES:
        raise Misconfigured("zone_key has 16, 24 or 32 bytes")
