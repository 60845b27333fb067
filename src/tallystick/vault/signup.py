"""Sign-up in two halves: what the PC sent waits, sealed under an epoch key, for the phone that has the code."""

from typing import Final

import msgspec

from tallystick import limits
from tallystick.crypto.binding import bind
from tallystick.errors import EnvelopeUnopenable, KeyUnknown, LinkRefused
from tallystick.runtime import Millis
from tallystick.security.ports import EpochKeys
from tallystick.vault.model import Contact, SignUp

_LABEL: Final = "sign-up"


class Half(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What waits: `key` is the MAC key that the code gives, `fields` the open half of a credential. Never printed."""

    key: bytes
    username: str
    contact: Contact
    institution: str
    fields: dict[str, str]

    def __repr__(self) -> str:
        return "Half(••••)"


def seal(epochs: EpochKeys, sign_up_id: str, half: Half, now: Millis) -> SignUp:
    """Seal a first half so that it opens for `limits.SECRET_LIFE_MS` at most: then its key is destroyed."""
    epoch = epochs.current(now)
    sealed = epochs.key(epoch).seal(msgspec.json.encode(half), bind(_LABEL, sign_up_id))
    return SignUp(id=sign_up_id, epoch=epoch, sealed=sealed, expires_at=Millis(now + limits.SECRET_LIFE_MS))


def unseal(epochs: EpochKeys, sign_up: SignUp, now: Millis) -> Half:
    """Open a first half; raises LinkRefused, always the same, when its time is over."""
    try:
        if now >= sign_up.expires_at:
            raise LinkRefused("no sign-up waits under this code")
        opened = epochs.key(sign_up.epoch).unseal(sign_up.sealed, bind(_LABEL, sign_up.id))
    except (KeyUnknown, EnvelopeUnopenable):
        raise LinkRefused("no sign-up waits under this code") from None
    return msgspec.json.decode(opened, type=Half)
