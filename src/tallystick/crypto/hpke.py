"""Envelopes for parts: HPKE base mode, single shot (RFC 9180); the suite belongs to the key, nothing is negotiated.

A sealed message is `enc || ciphertext`. There is no separate `aad`: everything that must hold is bound in `info`, which
enters the key schedule, so a message sealed for another channel, payment or time does not open.

HPKE proves nothing about the sender: the RFC 9421 signature over the envelope does (`httpsig`). It has no forward
secrecy against theft of the opening key either: such keys live for hours, then they are destroyed
(`limits.OPENING_KEY_LIFE_MS`).
"""

import enum
import secrets
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tallystick import errors

MLKEM_SEED_BYTES: Final = 64  # bytes, the `d || z` of FIPS 203
MLKEM_PUBLIC_BYTES: Final = 1184  # bytes of an ML-KEM-768 encapsulation key
X25519_BYTES: Final = 32  # bytes, private and public
P256_SCALAR_BYTES: Final = 32  # bytes, big-endian
P256_POINT_BYTES: Final = 65  # bytes, uncompressed: 04 || x || y

HYBRID_PRIVATE_BYTES: Final = MLKEM_SEED_BYTES + X25519_BYTES
HYBRID_PUBLIC_BYTES: Final = MLKEM_PUBLIC_BYTES + X25519_BYTES


class Suite(enum.StrEnum):
    """Name a whole suite; the value is what `/.well-known/tallystick-keys` publishes beside a key."""

    MLKEM768_X25519 = "MLKEM768_X25519+HKDF-SHA256+AES-256-GCM"
    """Default for gateways: stays closed if either ML-KEM or X25519 holds (draft-ietf-hpke-pq, KEM 0x647a)."""

    P256 = "P256+HKDF-SHA256+AES-256-GCM"
    """For browsers, whose WebCrypto has every piece of it (RFC 9180 KEM 0x0010; HPKE-7 of the JOSE draft)."""


_SUITES: Final = {
    Suite.MLKEM768_X25519: hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
    Suite.P256: hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
}

_Private = hpke.MLKEM768X25519PrivateKey | ec.EllipticCurvePrivateKey
_Public = hpke.MLKEM768X25519PublicKey | ec.EllipticCurvePublicKey


class OpeningKey:
    """Open what was sealed for this key; keeps the parsed key, so that opening costs one decapsulation.

    `public` is what senders need: for the hybrid suite the ML-KEM-768 encapsulation key followed by the X25519 public
    key (1216 bytes), for P-256 the uncompressed point (65 bytes).
    """

    __slots__ = ("_hpke", "_parsed", "_private", "public", "suite")

    def __init__(self, suite: Suite, private: bytes, parsed: _Private, public: bytes) -> None:
        self.suite = suite
        self.public = public
        self._private = private
        self._parsed = parsed
        self._hpke = _SUITES[suite]

    @classmethod
    def generate(cls, suite: Suite = Suite.MLKEM768_X25519) -> Self:
        """Make a new key of `suite`."""
        if suite is Suite.MLKEM768_X25519:
            return cls.from_private(suite, secrets.token_bytes(HYBRID_PRIVATE_BYTES))
        scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        return cls.from_private(suite, scalar.to_bytes(P256_SCALAR_BYTES))

    @classmethod
    def from_private(cls, suite: Suite, private: bytes) -> Self:
        """Load what `private_bytes` gave.

        Raises:
            Misconfigured: these are no private bytes of `suite`; the key store is damaged or mixed up.
        """
        try:
            parsed, public = _parse_hybrid(private) if suite is Suite.MLKEM768_X25519 else _parse_p256(private)
        except ValueError:
            raise errors.Misconfigured(f"the stored key is no private key of {suite}") from None
        return cls(suite, private, parsed, public)

    def private_bytes(self) -> bytes:
        """Return the private key for storage: seal it (`box.seal`), never keep it clear.

        ML-KEM seed (64 bytes) and X25519 key (32 bytes), or the P-256 scalar (32 bytes).
        """
        return self._private

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Return the plaintext of a message that was sealed for this key with exactly this `info`.

        Left to the caller: that `info` is rebuilt from what the platform itself knows of the sender, time and payment,
        never copied from the message; freshness and replay; the size of `sealed` (`limits.BODY_MAX`).

        Raises:
            EnvelopeUnopenable: wrong key, wrong info, altered, shortened or no HPKE message at all; always the same
                answer, so that it helps nobody to probe. Refuse the message.
        """
        try:
            return self._hpke.decrypt(sealed, self._parsed, info)
        except (InvalidTag, ValueError):
            raise errors.EnvelopeUnopenable("the envelope does not open under this key and context") from None


def seal(suite: Suite, public: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seal `plaintext` for the holder of `public`; gives `enc || ciphertext`, 1136 (hybrid) or 81 (P-256) bytes longer.

    Left to the caller: that `public` is authentic (the published list is signed, `jose.verify_jws`).

    Raises:
        FieldInvalid: `public` is no usable public key of `suite`: fetch the published keys again.
    """
    try:
        parsed = _public_hybrid(public) if suite is Suite.MLKEM768_X25519 else _public_p256(public)
        return _SUITES[suite].encrypt(plaintext, parsed, info)
    except ValueError:
        raise errors.FieldInvalid(f"this is no public key of {suite}", field="public_key") from None


def _parse_hybrid(private: bytes) -> tuple[_Private, bytes]:
    if len(private) != HYBRID_PRIVATE_BYTES:
        raise ValueError("length")
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(private[:MLKEM_SEED_BYTES])
    curve = x25519.X25519PrivateKey.from_private_bytes(private[MLKEM_SEED_BYTES:])
    public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return hpke.MLKEM768X25519PrivateKey(lattice, curve), public


def _parse_p256(private: bytes) -> tuple[_Private, bytes]:
    if len(private) != P256_SCALAR_BYTES:
        raise ValueError("length")
    key = ec.derive_private_key(int.from_bytes(private), ec.SECP256R1())
    return key, key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _public_hybrid(public: bytes) -> _Public:
    if len(public) != HYBRID_PUBLIC_BYTES:
        raise ValueError("length")
    return hpke.MLKEM768X25519PublicKey(
        mlkem.MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC_BYTES]),
        x25519.X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC_BYTES:]),
    )


def _public_p256(public: bytes) -> _Public:
    if len(public) != P256_POINT_BYTES:
        raise ValueError("length")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
