"""The settings of one REST back end, sealed in the store and decoded here."""

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from tallystick import limits
from tallystick.assembly.facts import CredentialKind
from tallystick.crypto.jose import seal_jwe
from tallystick.crypto.signing import Ed25519Public, load_public
from tallystick.crypto.x509 import HOST_NAME
from tallystick.errors import FieldInvalid, Misconfigured

SETTINGS_MAX: Final = 8 * 1024  # bytes
TIMEOUT_MAX_S: Final = 60.0  # s
PORT_MAX: Final = 65_535
DELIVERABLE: Final = frozenset({CredentialKind.ACCOUNT, CredentialKind.CARD})

_BASE_URL: Final = re.compile(r"https://(?P<host>[^/:]+)(?::(?P<port>[0-9]{1,5}))?(?:/[A-Za-z0-9._~-]+)*")


class RestSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the back end is, which keys it has, and what it takes.

    `base_url` is https, with a path where the back end has one, without a slash at its end. `server_name` is the host
    name in its certificate, where it is another one than in `base_url`. `institution` is its institution id.
    `encryption_jwk` is its P-256 public key with a `kid`; `verify_key` its Ed25519 public key in PEM. `accepts` are the
    credential kinds it takes. `timeout_s` bounds a whole exchange. Raises Misconfigured for values that cannot be used.
    """

    base_url: Annotated[str, Meta(max_length=500)]
    institution: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]
    encryption_jwk: dict[str, str]
    verify_key: str
    accepts: frozenset[CredentialKind]
    server_name: str | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=TIMEOUT_MAX_S)] = limits.DELIVERY_TIMEOUT_S

    def __post_init__(self) -> None:
        """Check what the field types cannot."""
        url = _BASE_URL.fullmatch(self.base_url)
        if url is None or not HOST_NAME.fullmatch(url["host"]) or not 0 < int(url["port"] or 443) <= PORT_MAX:
            raise Misconfigured("base_url is not https://host[:port][/path] in lower case", field="base_url")
        if self.server_name is not None and not HOST_NAME.fullmatch(self.server_name):
            raise Misconfigured("server_name is no host name in lower case", field="server_name")
        if not self.accepts or not self.accepts <= DELIVERABLE:
            raise Misconfigured("accepts lists account, card or both", field="accepts")
        read_verify_key(self.verify_key)
        try:
            seal_jwe(self.encryption_jwk, b"", b"")
        except FieldInvalid as unfit:
            raise Misconfigured(f"encryption_jwk: {unfit.detail}", field="encryption_jwk") from None


def decode_settings(data: bytes) -> RestSettings:
    """Decode settings from JSON; raises Misconfigured naming the setting, never its value."""
    if len(data) > SETTINGS_MAX:
        raise Misconfigured(f"the settings have more than {SETTINGS_MAX} bytes")
    try:
        return msgspec.json.decode(data, type=RestSettings)
    except msgspec.ValidationError as wrong:
        _, _, where = str(wrong).rpartition(" - at ")  # what stands before it may quote the value
    except (msgspec.DecodeError, UnicodeDecodeError):
        where = "the JSON itself"
    raise Misconfigured(f"the settings of the REST back end are wrong: see {where}")


def read_verify_key(pem: str) -> Ed25519Public:
    """Read the back end's signing key; raises Misconfigured for anything but an Ed25519 public key."""
    try:
        key = load_public(pem.encode())
    except (FieldInvalid, UnicodeEncodeError):
        key = None
    if not isinstance(key, Ed25519Public):
        raise Misconfigured("verify_key is no Ed25519 public key in PEM", field="verify_key")
    return key
