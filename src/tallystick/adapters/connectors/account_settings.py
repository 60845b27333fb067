"""The settings of one account system of a third party, sealed in the store and decoded here."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from tallystick import limits
from tallystick.adapters.connectors.http_settings import TIMEOUT_MAX_S, check_address, decode
from tallystick.crypto.jose import seal_jwe
from tallystick.crypto.rsa_sign import (
    KEY_VERSION_MAX,
    RsaPrivate,
    RsaPublic,
    load_rsa_private,
    load_rsa_public,
)
from tallystick.errors import FieldInvalid, Misconfigured
from tallystick.secret import Secret
from tallystick.security.orders import CURRENCIES

VERIFY_KEYS_MAX: Final = 4  # keys of the account system held at a time: the one in use and its successors

KeyVersion = Annotated[int, Meta(ge=1, le=KEY_VERSION_MAX)]


class AccountSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the account system is, who we are there, and both sides' keys.

    `base_url` is https, with a path where there is one, without a slash at its end; `server_name` is the host name in
    its certificate, where it is another one. `client_id` names us, in both directions. `private_key` is our RSA key in
    PEM, which it knows as `key_version`; `verify_keys` are its RSA public keys in PEM by version, so that the next one
    is known before it is used. `encryption_jwk` is its P-256 public key with a `kid`, for accounts and their secrets.
    `currencies` are those it takes. `timeout_s` bounds a whole exchange.

    Raises Misconfigured for values that cannot be used.
    """

    base_url: Annotated[str, Meta(max_length=500)]
    client_id: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]
    key_version: KeyVersion
    private_key: Secret
    verify_keys: Annotated[dict[KeyVersion, str], Meta(min_length=1, max_length=VERIFY_KEYS_MAX)]
    encryption_jwk: dict[str, str]
    currencies: frozenset[str]
    server_name: str | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=TIMEOUT_MAX_S)] = limits.DELIVERY_TIMEOUT_S

    def __post_init__(self) -> None:
        """Check what the field types cannot."""
        check_address(self.base_url, self.server_name)
        if not self.currencies or not self.currencies <= CURRENCIES:
            raise Misconfigured("currencies lists some of those that the platform carries", field="currencies")
        read_private_key(self)
        read_verify_keys(self)
        try:
            seal_jwe(self.encryption_jwk, b"", b"")
        except FieldInvalid as unfit:
            raise Misconfigured(f"encryption_jwk: {unfit.detail}", field="encryption_jwk") from None


def decode_settings(data: bytes) -> AccountSettings:
    """Decode settings from JSON; raises Misconfigured naming the setting, never its value."""
    return decode(data, AccountSettings, "account")


def read_private_key(settings: AccountSettings) -> RsaPrivate:
    """Load our own key; raises Misconfigured."""
    try:
        return load_rsa_private(settings.private_key.reveal().encode())
    except UnicodeEncodeError:
        pass  # the error holds the value
    raise Misconfigured("private_key is no text in PEM", field="private_key")


def read_verify_keys(settings: AccountSettings) -> dict[int, RsaPublic]:
    """Load the account system's keys by version; raises Misconfigured."""
    try:
        return {version: load_rsa_public(pem.encode()) for version, pem in settings.verify_keys.items()}
    except FieldInvalid as unfit:
        detail = unfit.detail
    except UnicodeEncodeError:
        detail = "this is no text in PEM"
    raise Misconfigured(f"verify_keys: {detail}", field="verify_keys")
