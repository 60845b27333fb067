"""The settings of one wallet in Visa's style, sealed in the store and decoded here."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from tallystick import limits
from tallystick.adapters.connectors.http_settings import TIMEOUT_MAX_S, check_address, decode
from tallystick.crypto.mle import ContentEncryption, MleKey, MlePublic
from tallystick.crypto.pay_token import ResourcePath
from tallystick.errors import FieldInvalid, Misconfigured
from tallystick.secret import Secret

SHARED_SECRET_MIN: Final = 32  # characters: Visa's have 40
LOGIN_MAX: Final = 128  # characters of a user id, of a password and of a shared secret

Kid = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,64}\Z")]


class VisaSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the wallet is, what both sides exchanged with it, and what it can do.

    `base_url` and `server_name` are as for REST back ends. `api_key` goes into every address and names the
    `shared_secret` of the tokens, which cover the path as `token_path` says. Requests are sealed to the wallet's
    `mle_key` (RSA public key, PEM), which it knows as `mle_kid`, with `encryption`; answers are sealed to ours,
    `own_mle_key` (RSA private key, PEM), which it knows as `own_mle_kid`. `user_id` and `password`, both or neither,
    are for HTTP Basic. `reversal` says that the wallet takes reversals. `timeout_s` bounds a whole exchange.
    Raises Misconfigured, which names the setting, for values that cannot be used.
    """

    base_url: Annotated[str, Meta(max_length=500)]
    api_key: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9]{1,64}\Z")]
    shared_secret: Secret
    mle_kid: Kid
    mle_key: str
    own_mle_kid: Kid
    own_mle_key: Secret
    encryption: ContentEncryption = "A128GCM"
    token_path: ResourcePath = ResourcePath.SHORT
    user_id: Secret | None = None
    password: Secret | None = None
    reversal: bool = True
    server_name: str | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=TIMEOUT_MAX_S)] = limits.DELIVERY_TIMEOUT_S

    def __post_init__(self) -> None:
        """Check what the field types cannot."""
        check_address(self.base_url, self.server_name)
        if not SHARED_SECRET_MIN <= len(self.shared_secret) <= LOGIN_MAX or not _plain(self.shared_secret):
            raise Misconfigured(
                f"shared_secret has not {SHARED_SECRET_MIN} to {LOGIN_MAX} ASCII characters", field="shared_secret"
            )
        _check_login(self.user_id, self.password)
        read_wallet_key(self)
        read_own_key(self)


def decode_settings(data: bytes) -> VisaSettings:
    """Decode settings from JSON; raises Misconfigured naming the setting, never its value."""
    return decode(data, VisaSettings, "VISA wallet")


def read_wallet_key(settings: VisaSettings) -> MlePublic:
    """Read the wallet's encryption key; raises Misconfigured."""
    try:
        return MlePublic.from_pem(settings.mle_kid, settings.mle_key.encode())
    except (FieldInvalid, UnicodeEncodeError):
        pass
    raise Misconfigured("mle_key is no RSA public key in PEM of 2048 to 4096 bits", field="mle_key")


def read_own_key(settings: VisaSettings) -> MleKey:
    """Read our own decryption key; raises Misconfigured."""
    try:
        return MleKey.from_pem(settings.own_mle_kid, settings.own_mle_key.reveal().encode())
    except (Misconfigured, UnicodeEncodeError):
        pass
    raise Misconfigured("own_mle_key is no RSA private key in PEM of 2048 to 4096 bits", field="own_mle_key")


def _check_login(user_id: Secret | None, password: Secret | None) -> None:
    """Check what HTTP Basic can carry (RFC 7617, 2: no colon in a user id)."""
    if (user_id is None) != (password is None):
        raise Misconfigured("user_id and password are given together", field="password")
    for name, value in (("user_id", user_id), ("password", password)):
        if value is not None and (not 1 <= len(value) <= LOGIN_MAX or not _plain(value)):
            raise Misconfigured(f"{name} has not 1 to {LOGIN_MAX} ASCII characters", field=name)
    if user_id is not None and ":" in user_id.reveal():
        raise Misconfigured("user_id has a colon", field="user_id")


def _plain(value: Secret) -> bool:
    return value.reveal().isascii() and value.reveal().isprintable()
