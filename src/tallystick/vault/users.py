"""Registered payers: names, passwords and the record key that opens their credentials (patent claim 6)."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec.structs import replace

from tallystick import limits
from tallystick.assembly.element import normal_phone
from tallystick.crypto import box, kdf, versioned
from tallystick.crypto.binding import bind
from tallystick.crypto.passwords import PARAMETERS, SALT_BYTES, StretchedPassword
from tallystick.errors import AlreadyExists, CredentialRefused, EnvelopeUnopenable, FieldInvalid
from tallystick.runtime import Clock, Randomness, new_id
from tallystick.secret import Secret
from tallystick.security.kept import KeptRow
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import seal, unseal
from tallystick.vault.model import Contact, User
from tallystick.vault.ports import Stretcher, VaultBooks, VaultStore

EMAIL_MAX: Final = 254  # characters, RFC 5321 section 4.5.3.1.3 without the angle brackets
EMAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
NOBODY: Final = "usr_nobody"  # tries against names that nobody has are counted here, for the same work as for a name
NOBODYS_SALT: Final = bytes(SALT_BYTES)


VERIFIER: Final = "verifier"
RECORD_KEY: Final = "record-key"
CONTACT: Final = "contact"


class _Reach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sealed as a user's contact; `name` lets the index be made anew under another key."""

    name: str
    phone: str | None = None
    email: str | None = None
    app_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Unlocked:
    """A user whose password was right, and the key of the user's credentials: never kept, never printed."""

    user_id: str
    record_key: bytes = field(repr=False)


async def register(
    store: VaultStore,
    keyring: Keyring,
    stretcher: Stretcher,
    clock: Clock,
    randomness: Randomness,
    *,
    username: str,
    password: Secret,
    contact: Contact,
) -> str:
    """Register a payer; return the user id.

    The record key is random and wrapped under the password, then sealed under the vault key: a stolen database with the
    vault key but no password opens nothing, nor does the password without the vault key, and the vault key can be
    rotated while nobody logs in (`renew`). The verifier is sealed under the vault key too: a stolen database alone
    allows no guessing of passwords.

    Raises:
        FieldInvalid: the name, the password or the contact is out of bounds (`field` says which).
        AlreadyExists: the name is taken: the payer chooses another.
        Unavailable, StoreFailed: nothing was registered; try again.
    """
    user, _ = await prepare(
        keyring, stretcher, clock, randomness, username=username, password=password, contact=contact
    )
    await add(store, keyring, username, user)
    return user.id


async def prepare(
    keyring: Keyring,
    stretcher: Stretcher,
    clock: Clock,
    randomness: Randomness,
    *,
    username: str,
    password: Secret,
    contact: Contact,
) -> tuple[User, Unlocked]:
    """Make the record of a new payer, and unlock it; raises FieldInvalid and Unavailable as `register`."""
    name = normal_username(username)
    if not limits.PASSWORD_MIN <= len(password) <= limits.PASSWORD_MAX:
        bounds = f"{limits.PASSWORD_MIN} to {limits.PASSWORD_MAX}"
        raise FieldInvalid(f"a password has {bounds} characters", field="password")
    contact = normal_contact(contact)
    user_id, salt = new_id("usr", randomness), randomness.token(SALT_BYTES)
    with stretcher.place() as stretch:
        stretched = await stretch(password, salt, PARAMETERS)
    record_key = randomness.token(kdf.KEY_BYTES)
    wrapped = box.seal(stretched.wrapping_key, record_key, _place(RECORD_KEY, user_id))
    reach = msgspec.json.encode(_Reach(name=name, phone=contact.phone, email=contact.email))
    user = User(
        id=user_id,
        name_digest=digest_name(keyring, name)[0],
        salt=salt,
        kdf=PARAMETERS,
        verifier=seal(keyring, Purpose.VAULT, stretched.verifier, _place(VERIFIER, user_id)),
        wrapped_key=seal(keyring, Purpose.VAULT, wrapped, _place(RECORD_KEY, user_id)),
        sealed_contact=seal(keyring, Purpose.VAULT, reach, _place(CONTACT, user_id)),
        created_at=clock.now(),
    )
    return user, Unlocked(user_id, record_key)


async def add(store: VaultStore, keyring: Keyring, username: str, user: User) -> None:
    """Add a payer who was prepared; raises AlreadyExists when the name is taken: the payer chooses another."""
    name_digests = digest_name(keyring, username)

    async def put(book: VaultBooks) -> None:
        if await book.user_named(name_digests) is not None:
            raise AlreadyExists("a user has this name")
        await book.add_user(user)

    await store.transact(put)


async def verify(
    store: VaultStore, keyring: Keyring, stretcher: Stretcher, clock: Clock, *, username: str, password: Secret
) -> Unlocked:
    """Verify a password and unwrap the user's record key.

    1. The try is counted, durably, before anything is checked: a crash or a race gives nobody a free guess. Before
       it is counted there is a place to check it: too many logins at a time cost no payer a try.
    2. After `limits.PASSWORD_TRIES_MAX` tries in the window no password is checked, not even the right one.
    3. The password is the user's. An unknown name costs the same work and gives the same answer, and so does a
       locked one, up to its reason: time does not tell who exists.
    4. The record key opens under the password and the vault key together; only then are the tries forgotten.

    Left to the caller: that no reason is shown to whoever sent the password.

    Raises:
        CredentialRefused: "too_many_tries"; "wrong_login" for a wrong password and for an unknown name alike;
            "record_damaged" when a stored value does not open. The payment is refused.
        Unavailable, StoreFailed: nothing was checked.
    """
    with stretcher.place() as stretch:
        # 1.
        user, tries = await _count_try(store, keyring, clock, username)
        known = user is not None and tries <= limits.PASSWORD_TRIES_MAX
        salt, parameters = (user.salt, user.kdf) if user is not None and known else (NOBODYS_SALT, PARAMETERS)
        stretched = await stretch(password, salt, parameters)
    # 2.
    if user is not None and not known:
        raise CredentialRefused("too_many_tries")
    # 3.
    if user is None:
        raise CredentialRefused("wrong_login")
    _check_password(keyring, user, stretched)
    # 4.
    user_id, place = user.id, _place(RECORD_KEY, user.id)
    record_key = open_record(stretched.wrapping_key, _open(keyring, user.wrapped_key, place), place)

    async def clear(book: VaultBooks) -> None:
        await book.clear_tries(user_id)

    await store.transact(clear)
    return Unlocked(user_id, record_key)


def open_record(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Unseal a value of our own store; raises CredentialRefused("record_damaged") when it does not open."""
    try:
        return box.unseal(key, sealed, context)
    except EnvelopeUnopenable:
        raise CredentialRefused("record_damaged") from None


def open_contact(keyring: Keyring, user: User) -> Contact:
    """Return where a user gets notices; raises CredentialRefused("record_damaged") when the stored value is damaged."""
    reach = _reach(keyring, user)
    return Contact(phone=reach.phone, email=reach.email)


def app_key(keyring: Keyring, user: User) -> bytes | None:
    """Return the key of a user's authenticator app, None without one; raises as `open_contact`."""
    return _reach(keyring, user).app_key


def with_app_key(keyring: Keyring, user: User, key: bytes) -> bytes:
    """Return a user's sealed contact with another key of the authenticator app; raises as `open_contact`."""
    reach = replace(_reach(keyring, user), app_key=key)
    return seal(keyring, Purpose.VAULT, msgspec.json.encode(reach), _place(CONTACT, user.id))


def renew(keyring: Keyring, row: KeptRow) -> KeptRow:
    """Return a payer's row (verifier, wrapped key, contact, name digest) under the keys active now, without a password.

    Raises:
        EnvelopeUnopenable: a value does not open; the row stays as it is.
    """
    places = [bind(label, row.id) for label in (VERIFIER, RECORD_KEY, CONTACT)]
    opened = [
        unseal(keyring, Purpose.VAULT, value or b"", place) for value, place in zip(row.values, places, strict=False)
    ]
    sealed = [seal(keyring, Purpose.VAULT, value, place) for value, place in zip(opened, places, strict=True)]
    name = msgspec.json.decode(opened[2], type=_Reach).name
    return KeptRow(id=row.id, values=(*sealed, digest_name(keyring, name)[0]))


def digest_name(keyring: Keyring, username: str) -> tuple[bytes, ...]:
    """Return the keyed digests by which a user is found, the active key's first; raises as `normal_username`."""
    name = normal_username(username)
    return tuple(versioned.digest(key, "username", name) for key in keyring.readable(Purpose.BLIND_INDEX))


def normal_username(username: str) -> str:
    """Fold compatibility forms and case (NFKC, full case folding) so that one name has one form.

    Raises:
        FieldInvalid: not 1 to `limits.USERNAME_MAX` characters, or one of them is a space or not printable.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())
    if not 1 <= len(folded) <= limits.USERNAME_MAX:
        raise FieldInvalid(f"a user name has 1 to {limits.USERNAME_MAX} characters", field="username")
    if not folded.isprintable() or " " in folded:
        raise FieldInvalid("a user name has no spaces and no control characters", field="username")
    return folded


def normal_contact(contact: Contact) -> Contact:
    """Return the contact with its phone in E.164 form; raises FieldInvalid when it names nothing or nothing usable."""
    if contact.phone is None and contact.email is None:
        raise FieldInvalid("a contact has a phone number, an e-mail address or both", field="contact")
    if contact.email is not None and (len(contact.email) > EMAIL_MAX or not EMAIL.fullmatch(contact.email)):
        raise FieldInvalid("the e-mail address is not a plain ASCII address", field="email")
    return Contact(phone=normal_phone(contact.phone) if contact.phone is not None else None, email=contact.email)


async def _count_try(store: VaultStore, keyring: Keyring, clock: Clock, username: str) -> tuple[User | None, int]:
    try:
        name_digests = digest_name(keyring, username)
    except FieldInvalid:
        name_digests = (b"",)  # a name that cannot be registered is an unknown name, no other answer

    async def count(book: VaultBooks) -> tuple[User | None, int]:
        user = await book.user_named(name_digests)
        counted = user.id if user is not None else NOBODY
        return user, await book.count_try(counted, clock.now(), limits.PASSWORD_TRIES_WINDOW_MS)

    return await store.transact(count)


def _check_password(keyring: Keyring, user: User, stretched: StretchedPassword) -> None:
    verifier = _open(keyring, user.verifier, _place(VERIFIER, user.id))
    try:
        stretched.check(verifier)
    except CredentialRefused:
        raise CredentialRefused("wrong_login") from None


def _reach(keyring: Keyring, user: User) -> _Reach:
    opened = _open(keyring, user.sealed_contact, _place(CONTACT, user.id))
    return msgspec.json.decode(opened, type=_Reach)


def _open(keyring: Keyring, sealed: bytes, context: bytes) -> bytes:
    try:
        return unseal(keyring, Purpose.VAULT, sealed, context)
    except EnvelopeUnopenable:
        raise CredentialRefused("record_damaged") from None


def _place(label: str, user_id: str) -> bytes:
    return bind(label, user_id)
