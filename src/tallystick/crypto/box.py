"""Seal values at rest under a symmetric key: AES-256-GCM (NIST SP 800-38D)."""

import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick import errors
from tallystick.crypto.kdf import KEY_BYTES, derive

NONCE_BYTES: Final = 12  # bytes, random, in front of the ciphertext
TAG_BYTES: Final = 16  # bytes, at the end
OVERHEAD: Final = NONCE_BYTES + TAG_BYTES  # bytes a sealed value is longer than its plaintext


class SealingKey:
    """A key together with what is made of it once: its cipher, and the keys derived from it.

    All of it lives as long as this object, so whoever destroys the key drops this one reference.

    Raises:
        Misconfigured: `secret` has not exactly 32 bytes.
    """

    __slots__ = ("_cipher", "_derived", "secret")

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._cipher = _cipher(secret)
        self._derived: dict[str, SealingKey] = {}

    def __repr__(self) -> str:
        return "SealingKey(••••)"

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal as `box.seal` does."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Open as `box.unseal` does; raises EnvelopeUnopenable."""
        if len(sealed) < OVERHEAD:
            raise errors.EnvelopeUnopenable("the sealed value does not open")
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
        except InvalidTag:
            raise errors.EnvelopeUnopenable("the sealed value does not open") from None

    def derived(self, purpose: str) -> "SealingKey":
        """Return the key that `kdf.derive` gives for a purpose."""
        key = self._derived.get(purpose)
        if key is None:
            key = self._derived[purpose] = SealingKey(derive(self.secret, purpose))
        return key

    def mac(self, data: bytes) -> bytes:
        """Return the HMAC-SHA256 of `data` under this key; use a key derived for it."""
        return hmac.new(self.secret, data, "sha256").digest()


def seal(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Encrypt and authenticate `plaintext`, tied to `context`; gives nonce, ciphertext, tag.

    `context` (made by `binding.bind`) names where the value lives, e.g. table, row and column, so that a sealed value
    moved to another row does not open there. It is not stored: the caller supplies it again.

    Nonces are random: seal at most 2**32 values under one key (SP 800-38D, 8.3), which keeps the chance of a repeated
    nonce below 2**-32. Epoch keys of ten minutes and one wrapping key per user stay far below; the caller sees to it.

    Raises:
        Misconfigured: `key` has not exactly 32 bytes.
    """
    return SealingKey(key).seal(plaintext, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Return the plaintext of `seal`.

    Raises:
        EnvelopeUnopenable: wrong key, wrong context, or altered or shortened bytes, deliberately in one answer. For a
            value of our own store this means damage or tampering: refuse the operation and raise an alarm.
        Misconfigured: `key` has not exactly 32 bytes.
    """
    return SealingKey(key).unseal(sealed, context)


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise errors.Misconfigured(f"a sealing key has not {KEY_BYTES} bytes")
    return AESGCM(key)
