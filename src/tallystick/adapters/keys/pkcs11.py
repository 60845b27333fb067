"""One token of a hardware security module, over PKCS#11: keys are made and used in it, and never leave it.

What a token does here: make an AES-256 key, seal and open under it (AES-GCM), and prove which key it is (AES-CMAC).
PKCS#11 has no operation that translates a PIN block from key to key: a clear PIN would come out of the token, so this
module offers none. PIN translation in hardware needs a payment HSM behind a `PinTranslator`.

Calls wait for the device in C: microseconds for SoftHSM, milliseconds for a box on the network. They are made when keys
are loaded, made and rotated, never for a request.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.mechanisms import GCMParams

from tallystick.errors import AlreadyExists, Misconfigured
from tallystick.secret import Secret

KEY_BITS: Final = 256  # bits of a key-encryption key
NONCE_BYTES: Final = 12  # bytes, random, from the token
TAG_BITS: Final = 128  # bits of the authentication tag
TRIES: Final = 2  # a lost session is made anew once
CHECK_BYTES: Final = 5  # bytes of a key check value (ANSI X9.24-1:2017, annex A: CMAC of a block of zeros)
BLOCK_BYTES: Final = 16  # bytes of an AES block

NEVER_LEAVES: Final = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}
"""What makes a key one that its token never gives away, in clear or wrapped."""

_PIN_REFUSED: Final = (
    pkcs11.PinExpired,
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinLocked,
    pkcs11.UserPinNotInitialized,
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Which token: `module` is the vendor's library (a path), `label` the token's own name."""

    module: str
    label: str
    pin: Secret


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What may be told of a key: `check` identifies it; `made_here` says that it was never outside of the token."""

    label: str
    check: str
    made_here: bool


class Token:
    """Seal, open and make keys in one token; the connection is made at the first call, and anew when it is lost.

    1. The user's PIN is tried until the token refuses it once, then never again in this process: a token locks itself
       after a few wrong ones.
    2. A key is used only when its token says that it is secret, cannot be exported, and is AES-256.

    Left to the caller: one thread. The binding tells the library that the process has no more (C_Initialize without
    locking), and libraries then crash when it has. So one session, which does one operation at a time, is enough.

    Raises, in every method:
        Misconfigured: no such library, token or key, a refused PIN, or an operation that failed twice. What it was for
            does not happen; the process stops, or goes on with the keys it has.
    """

    def __init__(self, settings: TokenSettings) -> None:
        self._settings = settings
        self._session: pkcs11.Session | None = None
        self._pin_refused = False

    def seal(self, label: str, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate under the key `label`, tied to `context` (AES-GCM); gives nonce, ciphertext, tag."""

        def work(session: pkcs11.Session) -> bytes:
            nonce = session.generate_random(NONCE_BYTES * 8)
            return nonce + bytes(_key(session, label).encrypt(plaintext, **_gcm(nonce, context)))

        return self._run(label, work)

    def open(self, label: str, sealed: bytes, context: bytes) -> bytes:
        """Return the plaintext of `seal`; another context or altered bytes are told as any failure of the token is."""
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        if len(ciphertext) < TAG_BITS // 8:
            raise Misconfigured("what the token sealed is shorter than any seal")
        return self._run(label, lambda session: bytes(_key(session, label).decrypt(ciphertext, **_gcm(nonce, context))))

    def make(self, label: str) -> TokenKey:
        """Make a key in the token, there for good; raises AlreadyExists when one has this label."""

        def work(session: pkcs11.Session) -> None:
            if any(True for _ in session.get_objects({Attribute.LABEL: label})):
                raise AlreadyExists("the token has a key of this label already")
            with self._token().open(rw=True) as writing:
                writing.generate_key(
                    KeyType.AES,
                    KEY_BITS,
                    label=label,
                    store=True,
                    capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT | MechanismFlag.SIGN,
                    template={**NEVER_LEAVES, Attribute.MODIFIABLE: False},
                )

        self._run(label, work)
        return self.describe(label)

    def describe(self, label: str) -> TokenKey:
        """Find a key and compute its check value in the token."""

        def work(session: pkcs11.Session) -> TokenKey:
            key = _key(session, label)
            tag = bytes(key.sign(bytes(BLOCK_BYTES), mechanism=Mechanism.AES_CMAC))
            made_here = bool(key[Attribute.LOCAL] and key[Attribute.NEVER_EXTRACTABLE])
            return TokenKey(label=label, check=tag[:CHECK_BYTES].hex().upper(), made_here=made_here)

        return self._run(label, work)

    def close(self) -> None:
        """Log out; a later call logs in anew."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(pkcs11.PKCS11Error):  # it may be gone already
                session.close()

    def _run(self, label: str, work: Callable[[pkcs11.Session], _T]) -> _T:
        failure = ""
        for _ in range(TRIES):
            try:
                if self._session is None:
                    self._session = self._logged_in()
                return work(self._session)
            except pkcs11.PKCS11Error as error:
                failure = _told(error, label)
                self.close()
        raise Misconfigured(failure)

    def _logged_in(self) -> pkcs11.Session:
        # 1.
        if self._pin_refused:
            raise Misconfigured("the token refused the PIN before: correct it, then start anew")
        token = self._token()
        try:
            return token.open(user_pin=self._settings.pin.reveal())
        except pkcs11.UserAlreadyLoggedIn:
            return token.open()  # by another Token of this process: the login is the process's
        except _PIN_REFUSED as error:
            self._pin_refused = True
            told = f"the token refused the PIN ({type(error).__name__}), never tried again: correct it, then start anew"
            raise Misconfigured(told) from None

    def _token(self) -> pkcs11.Token:
        try:
            library = pkcs11.lib(self._settings.module)
        except pkcs11.PKCS11Error:
            raise Misconfigured(f"the PKCS#11 library cannot be used: {Path(self._settings.module).name}") from None
        try:
            return library.get_token(token_label=self._settings.label)
        except pkcs11.NoSuchToken:
            raise Misconfigured(f"the PKCS#11 library knows no token {self._settings.label}") from None
        except pkcs11.MultipleTokensReturned:
            raise Misconfigured(f"more than one token is called {self._settings.label}") from None


def _key(session: pkcs11.Session, label: str) -> Any:
    """Find a key that is fit to protect others; what it can do depends on the token, so its type says nothing."""
    key: Any = session.get_key(object_class=ObjectClass.SECRET_KEY, label=label)
    # 2.
    if any(key[attribute] is not wanted for attribute, wanted in NEVER_LEAVES.items()):
        raise Misconfigured(f"the token would give the key {label} away: tallystick hsm create-key makes one it keeps")
    if key.key_type is not KeyType.AES or key.key_length != KEY_BITS:
        raise Misconfigured(f"the token's key {label} is no AES-{KEY_BITS} key")
    return key


def _told(error: pkcs11.PKCS11Error, label: str) -> str:
    match error:
        case pkcs11.NoSuchKey():
            return f"the token has no key {label}: tallystick hsm create-key makes one"
        case pkcs11.MultipleObjectsReturned():
            return f"more than one key of the token is called {label}"
        case _:
            return f"the token did not do what it was asked for: {type(error).__name__}"


def _gcm(nonce: bytes, context: bytes) -> dict[str, object]:
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, context, TAG_BITS)}
