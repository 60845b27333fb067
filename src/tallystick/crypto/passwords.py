"""User passwords: Argon2id (RFC 9106), then two independent values by HKDF.

The database holds salt, parameters and `verifier`; the user's record key is wrapped under `wrapping_key`, which is
never stored. So a stolen database opens no credential: each guess costs one Argon2id run, and the verifier says nothing
about the wrapping key.
"""

import hmac
import unicodedata
from typing import Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from tallystick import errors
from tallystick.crypto.kdf import KEY_BYTES, derive
from tallystick.secret import Secret

MEMORY_KIB: Final = 19 * 1024  # KiB (OWASP password storage, first choice for Argon2id with one lane)
TIME: Final = 2  # passes over the memory
LANES: Final = 1  # the core has no threads
SALT_BYTES: Final = 16  # bytes, random per password (RFC 9106, 3.1)

PARAMETERS: Final = f"argon2id$v=19$m={MEMORY_KIB},t={TIME},p={LANES}"
"""The current parameters, stored beside salt and verifier."""

START_PARAMETERS: Final = "argon2id$v=19$m=65536,t=3,p=4"
"""Those of a passphrase that a process asks for once, when it starts (RFC 9106, 4: second recommended option)."""

_COSTS: Final = {PARAMETERS: (MEMORY_KIB, TIME, LANES), START_PARAMETERS: (64 * 1024, 3, 4)}
# To raise the cost, add the new line and keep the old one until every user has logged in once. Nothing is ever parsed
# out of a stored text, so a forged record cannot ask for a gigabyte or for one pass.


class StretchedPassword:
    """What a password becomes; both values are 32 bytes and independent of each other."""

    __slots__ = ("verifier", "wrapping_key")

    def __init__(self, stretched: bytes) -> None:
        self.verifier = derive(stretched, "tallystick/password/verifier")
        self.wrapping_key = derive(stretched, "tallystick/password/wrapping-key")

    def check(self, stored_verifier: bytes) -> None:
        """Return only when this is the password of `stored_verifier`; takes constant time.

        Left to the caller: count the try before calling this (`limits.PASSWORD_TRIES_MAX`), and run `stretch` for an
        unknown user as well, against any salt, so that time does not tell who exists.

        Raises:
            CredentialRefused: "wrong_password"; the guesser is told no more than that the payment failed.
        """
        if not hmac.compare_digest(self.verifier, stored_verifier):
            raise errors.CredentialRefused("wrong_password")


def stretch(password: Secret, salt: bytes, parameters: str = PARAMETERS) -> StretchedPassword:
    """Stretch a password with its user's `salt` (16 bytes) under the `parameters` stored beside it.

    Raises Misconfigured and FieldInvalid as `argon2id`.
    """
    return StretchedPassword(argon2id(password, salt, parameters))


def argon2id(password: Secret, salt: bytes, parameters: str) -> bytes:
    """Run Argon2id alone: what `StretchedPassword` is made of, for a process that only computes.

    Texts that are the same characters are one password (Unicode NFC, RFC 8265 OpaqueString). Costs 19 MiB and some tens
    of milliseconds, in which the event loop stands still. Left to the caller: to bound the length of a password and how
    many of these run in a second.

    Raises:
        Misconfigured: `parameters` are not ones this version knows, or the salt has another length: the record is
            damaged.
        FieldInvalid: the password is no Unicode text (a lone surrogate).
    """
    if parameters not in _COSTS:
        raise errors.Misconfigured("a stored password has parameters that this version does not know")
    if len(salt) != SALT_BYTES:
        raise errors.Misconfigured(f"a stored password's salt has not {SALT_BYTES} bytes")
    memory, time, lanes = _COSTS[parameters]
    try:
        text = unicodedata.normalize("NFC", password.reveal()).encode()
    except UnicodeEncodeError:
        raise errors.FieldInvalid("the password is not valid Unicode", field="password") from None
    return Argon2id(salt=salt, length=KEY_BYTES, iterations=time, lanes=lanes, memory_cost=memory).derive(text)
