"""Keys from keys (HKDF-SHA256, RFC 5869) and keyed digests for blind indexes (HMAC-SHA256, RFC 2104)."""

import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tallystick import errors
from tallystick.crypto.binding import bind

KEY_BYTES: Final = 32  # bytes of every symmetric key this package makes
KEY_MIN: Final = 16  # bytes; a shorter (or an empty) key is an operator's mistake, not a key


def derive(key: bytes, purpose: str, length: int = KEY_BYTES) -> bytes:
    """Derive `length` bytes (1 to 8160) from `key` for one purpose (RFC 5869: no salt, `purpose` as info).

    Different purposes give independent keys. `key` is already uniform (a random key, Argon2id's output): a password is
    first stretched by `passwords.stretch`.

    Raises:
        Misconfigured: `key` is shorter than 16 bytes; stop and look at where the key came from.
    """
    _require_key(key)
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=purpose.encode()).derive(key)


def digest(key: bytes, *parts: str) -> bytes:
    """Digest `parts` under `key` to 32 bytes: HMAC-SHA256 over `bind(*parts)`.

    Stores index correlation elements and card numbers by this value only; without `key` a dump of the index cannot be
    searched through by trying all numbers (PCI DSS 3.5.1.1).

    Raises:
        Misconfigured: `key` is shorter than 16 bytes.
        FieldInvalid: a part is no Unicode text.
    """
    _require_key(key)
    return hmac.new(key, bind(*parts), "sha256").digest()  # hmac.digest looks up the algorithm each time


def _require_key(key: bytes) -> None:
    if len(key) < KEY_MIN:
        raise errors.Misconfigured(f"a secret key is shorter than {KEY_MIN} bytes")
