"""The settings of one REST back end, sealed in the store and decoded here."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from tallystick import limits
from tallystick.adapters.connectors.http_settings import TIMEOUT_MAX_S, check_address, decode
from tallystick.assembly.facts import CredentialKind
from tallystick.crypto.jose import seal_jwe
from tallystick.crypto.signing import Ed25519Public, load_public
from tallystick.errors import FieldInvalid, Misconfigured

DELIVERABLE: Final = frozenset({CredentialKind.ACCOUNT, CredentialKind.CARD})


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
        check_address(self.base_url, self.server_name)
        if not self.accepts or not self.accepts <= DELIVERABLE:
            raise Misconfigured("accepts lists account, card or both", field="accepts")
        read_verify_key(self.verify_key)
        try:
            seal_jwe(self.encryption_jwk, b"", b"")
        except FieldInvalid as unfit:
            raise Misconfigured(f"encryption_jwk: {unfit.detail}", field="encryption_jwk") from None


def decode_settings(data: bytes) -> RestSettings:
    """Decode settings from JSON; raises Misconfigured naming the setting, never its value."""
    return decode(data, RestSettings, "REST")


def read_verify_key(pem: str) -> Ed25519Public:
    """Read the back end's signing key; raises Misconfigured for anything but an Ed25519 public key."""
    try:
        key = load_public(pem.encode())
    except (FieldInvalid, UnicodeEncodeError):
        key = None
    if not isinstance(key, Ed25519Public):
        raise Misconfigured("verify_key is no Ed25519 public key in PEM", field="verify_key")
    return key
