"""Users, credentials and notices."""

from enum import StrEnum

from msgspec import Struct

from tallystick.channels.model import PinScheme
from tallystick.runtime import Millis
from tallystick.secret import Pan, Secret


class EncipheredPin(Struct, frozen=True, kw_only=True):
    """A PIN block under its sender's key, which only the PIN process opens.

    `form` is 1 or 4; `key_block` the sender's key, wrapped; `ksn` its serial number for this transaction. A format 4
    block is over `token`, which `record` binds to the card and the payment. `ksn` and `block` are in hex.
    """

    form: int
    scheme: PinScheme
    key_block: str
    block: Secret
    payment_id: str
    ksn: str | None = None
    token: str | None = None
    record: bytes | None = None


class CardCredential(Struct, frozen=True, kw_only=True):
    """A card: number, expiry as YYMM, PIN and chip data, where they are there.

    The PIN is `pin_block`, a clear ISO 9564 format 1 block in hex, or `pin`, one under its sender's key; never both.
    `chip` is the EMV data of DE55 in upper-case hex; it is passed through as it is.
    """

    pan: Pan
    expiry: Secret | None = None
    pin_block: Secret | None = None
    pin: EncipheredPin | None = None
    chip: Secret | None = None


class AccountCredential(Struct, frozen=True, kw_only=True):
    """A third-party account (`scheme:name`) and its secret."""

    account: Secret
    secret: Secret


Credential = CardCredential | AccountCredential


class User(Struct, frozen=True, kw_only=True):
    """A registered payer (patent claim 6).

    `name_digest` finds the user; `salt`, `kdf` and the sealed `verifier` prove the password (Argon2id). `wrapped_key`
    is the user's record key: it opens only with both the password and the vault key. `sealed_contact` is the contact,
    with the key of the authenticator app, if there is one.
    """

    id: str
    name_digest: bytes
    salt: bytes
    kdf: str
    verifier: bytes
    wrapped_key: bytes
    sealed_contact: bytes
    created_at: Millis


class StoredCredential(Struct, frozen=True, kw_only=True):
    """A user's credential for one institution, sealed under the user's record key."""

    user_id: str
    institution: str
    sealed: bytes
    created_at: Millis


class Due(Struct, frozen=True):
    """A user whose number is due; `period` is that of the last one, empty before the first. Ordered by both."""

    user_id: str
    period: str


class Numbering(Struct, frozen=True, kw_only=True):
    """How far the renewal of an institution's numbers is: users who have theirs, and users who wait for it."""

    made: int
    left: int


class SignUp(Struct, frozen=True, kw_only=True):
    """The first half of a sign-up, waiting; `sealed` opens under the key of `epoch`, `id` is derived from the code."""

    id: str
    epoch: str
    sealed: bytes
    expires_at: Millis


class Contact(Struct, frozen=True, kw_only=True):
    """Where a user gets numbers; at least one is set. `phone` is E.164."""

    phone: str | None = None
    email: str | None = None


class Medium(StrEnum):
    """How a notice travels."""

    SMS = "sms"
    EMAIL = "email"


class Notice(Struct, frozen=True, kw_only=True):
    """A message to a person that must go out at least once; address and text are sealed until sent, then erased.

    `attempts` counts tries; `due_at` is when the next one may start. An `urgent` one goes before all that are
    not: a code that somebody waits for does not queue behind a day's numbers.
    """

    id: str
    medium: Medium
    sealed: bytes
    created_at: Millis
    due_at: Millis
    attempts: int = 0
    urgent: bool = False
