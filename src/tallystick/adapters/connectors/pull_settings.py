"""The settings of one back end that fetches its deliveries, sealed in the store and decoded here."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from tallystick import limits
from tallystick.assembly.facts import CredentialKind
from tallystick.crypto.jose import seal_jwe
from tallystick.errors import FieldInvalid, Misconfigured

SETTINGS_MAX: Final = 8 * 1024  # bytes
PATIENCE_MAX_S: Final = 60.0  # s
VISIBLE_S: Final = 10.0  # s a delivery waits to be fetched, when nothing else is said
DELIVERABLE: Final = frozenset({CredentialKind.ACCOUNT, CredentialKind.CARD})


class PullSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom deliveries are sealed for, and how long they wait.

    `encryption_jwk` is the back end's P-256 public key with a `kid`, `accepts` the credential kinds it takes. Both
    times run from a delivery's beginning: not fetched within `visible_s`, it is withdrawn and was not sent; without an
    outcome after `patience_s`, it is unknown. Raises Misconfigured for values that cannot be used.
    """

    encryption_jwk: dict[str, str]
    accepts: frozenset[CredentialKind]
    visible_s: Annotated[float, Meta(gt=0)] = VISIBLE_S
    patience_s: Annotated[float, Meta(gt=0, le=PATIENCE_MAX_S)] = limits.DELIVERY_TIMEOUT_S

    def __post_init__(self) -> None:
        """Check what the field types cannot."""
        if not self.accepts or not self.accepts <= DELIVERABLE:
            raise Misconfigured("accepts lists account, card or both", field="accepts")
        if self.visible_s > self.patience_s:
            raise Misconfigured("visible_s is at most patience_s", field="visible_s")
        try:
            seal_jwe(self.encryption_jwk, b"", b"")
        except FieldInvalid as unfit:
            raise Misconfigured(f"encryption_jwk: {unfit.detail}", field="encryption_jwk") from None


def decode_settings(data: bytes) -> PullSettings:
    """Decode settings from JSON; raises Misconfigured naming the setting, never its value."""
    if len(data) > SETTINGS_MAX:
        raise Misconfigured(f"the settings have more than {SETTINGS_MAX} bytes")
    try:
        return msgspec.json.decode(data, type=PullSettings)
    except msgspec.ValidationError as wrong:
        _, _, where = str(wrong).rpartition(" - at ")  # what stands before it may quote the value
    except (msgspec.DecodeError, UnicodeDecodeError):
        where = "the JSON itself"
    raise Misconfigured(f"the settings of the back end that fetches are wrong: see {where}")
