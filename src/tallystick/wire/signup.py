"""The JSON of sign-up by pages: one half of what a payer stores from the PC, the other from the phone."""

from typing import Final

from msgspec import Struct

from tallystick.secret import Secret

OFFER: Final = "/join/offer"
FIRST: Final = "/join/first"
WAITING: Final = "/join/waiting"
SECOND: Final = "/join/second"


class JoinChoice(Struct, frozen=True, kw_only=True):
    """A back end at which a payer can store a credential; `card` says what it takes, else it is an account."""

    id: str
    name: str
    card: bool


class JoinOffer(Struct, frozen=True, kw_only=True):
    """What a PC page that signs somebody up begins with: a name and MAC key of its own (base64url), keys, back ends."""

    sender: str
    key: str
    keys: str
    now: int
    choices: tuple[JoinChoice, ...]


class FirstHalf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The PC's half: who the payer is, where the code goes, and the open half of a credential."""

    username: str
    institution: str
    phone: str | None = None
    email: str | None = None
    account: Secret | None = None
    pan: Secret | None = None
    expiry: Secret | None = None


class CodeSent(Struct, frozen=True, kw_only=True):
    """The code is on its way; the phone page takes it at `where` until `expires_at`."""

    where: str
    qr: tuple[str, ...]
    expires_at: int


class JoinWaiting(Struct, frozen=True, kw_only=True):
    """What the phone page shows whoever has the code, and what it asks for."""

    username: str
    institution: str
    card: bool
    keys: str
    now: int
    expires_at: int


class SecondHalf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The phone's half: the payer's new password, and the secret half of an account."""

    password: Secret
    secret: Secret | None = None
    app: bool = False


class Joined(Struct, frozen=True, kw_only=True):
    """The payer is registered; `app` is the address for an authenticator app, where one was asked for."""

    username: str
    app: str | None = None
