"""Keys that sign and verify. The algorithm is a property of the key's type: no message ever chooses it."""

import contextlib
import enum
import hmac
from typing import Final, Protocol, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from tallystick import errors
from tallystick.crypto.kdf import KEY_BYTES

P256_HALF_BYTES: Final = 32  # bytes of r and of s
_ECDSA: Final = ec.ECDSA(hashes.SHA256())


class Algorithm(enum.StrEnum):
    """The signature algorithms of RFC 9421, 3.3 that the platform takes."""

    HMAC_SHA256 = "hmac-sha256"
    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256-sha256"


class Signer(Protocol):
    """Sign bytes with one fixed algorithm."""

    @property
    def algorithm(self) -> Algorithm:
        """Name the algorithm this key is for."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the raw signature or MAC of `data`."""
        ...


class Verifier(Protocol):
    """Verify signatures with one fixed algorithm."""

    @property
    def algorithm(self) -> Algorithm:
        """Name the algorithm this key is for."""
        ...

    def verify(self, data: bytes, signature: bytes) -> None:
        """Return only when `signature` is that of `data`; else raise SignatureInvalid: refuse the message."""
        ...


class HmacKey:
    """A MAC key shared with one channel or derived for one page: signs and verifies (RFC 9421, 3.3.3).

    Raises:
        Misconfigured: the secret is shorter than 32 bytes.
    """

    algorithm: Final = Algorithm.HMAC_SHA256
    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < KEY_BYTES:
            raise errors.Misconfigured(f"a MAC key is shorter than {KEY_BYTES} bytes")
        self._secret = secret

    def sign(self, data: bytes) -> bytes:
        """Return the 32-byte HMAC-SHA256 of `data`."""
        return hmac.new(self._secret, data, "sha256").digest()  # hmac.digest looks up the algorithm each time

    def verify(self, data: bytes, signature: bytes) -> None:
        """Compare in constant time; raise SignatureInvalid."""
        if not hmac.compare_digest(self.sign(data), signature):
            raise errors.SignatureInvalid("the MAC does not match")


class HmacOverlap:
    """The new and the earlier MAC key of a channel whose key is being rotated, for one request at a time.

    It verifies under either and signs under the one that verified last, the new one before: who still has the earlier
    key gets an answer that it can prove. Two requests side by side each need their own (`for_one_request`).
    """

    algorithm: Final = Algorithm.HMAC_SHA256
    __slots__ = ("_earlier", "_new", "_proven")

    def __init__(self, new: HmacKey, earlier: HmacKey) -> None:
        self._new = new
        self._earlier = earlier
        self._proven = new

    def for_one_request(self) -> "HmacOverlap":
        """Return the same keys, none of them proven yet."""
        return HmacOverlap(self._new, self._earlier)

    def sign(self, data: bytes) -> bytes:
        """Return the MAC under the key that was proven."""
        return self._proven.sign(data)

    def verify(self, data: bytes, signature: bytes) -> None:
        """Compare with both MACs in constant time; raise SignatureInvalid when it is neither."""
        fits = [key for key in (self._new, self._earlier) if hmac.compare_digest(key.sign(data), signature)]
        if not fits:
            raise errors.SignatureInvalid("the MAC does not match")
        self._proven = fits[0]


class Ed25519Public:
    """An Ed25519 public key (RFC 8032)."""

    algorithm: Final = Algorithm.ED25519
    __slots__ = ("_key",)

    def __init__(self, key: ed25519.Ed25519PublicKey) -> None:
        self._key = key

    @classmethod
    def from_raw(cls, public: bytes) -> Self:
        """Return the key of 32 bytes; raises Misconfigured when it has another length."""
        if len(public) != KEY_BYTES:
            raise errors.Misconfigured(f"an Ed25519 public key has not {KEY_BYTES} bytes")
        return cls(ed25519.Ed25519PublicKey.from_public_bytes(public))

    @property
    def keys(self) -> "tuple[Ed25519Public, ...]":
        """This key, as the only one that is pinned."""
        return (self,)

    def raw(self) -> bytes:
        """Return the 32 bytes of RFC 8032, the `x` of a JWK."""
        return self._key.public_bytes_raw()

    def pem(self) -> bytes:
        """Return the key as SubjectPublicKeyInfo in PEM."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verify(self, data: bytes, signature: bytes) -> None:
        """Verify 64 raw bytes; raise SignatureInvalid."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            raise errors.SignatureInvalid("the signature does not match") from None


class Ed25519Pins:
    """The public keys that a client believes are the platform's: the present one, and the next one before it signs.

    Raises:
        Misconfigured: there is none.
    """

    algorithm: Final = Algorithm.ED25519
    __slots__ = ("keys",)

    def __init__(self, *keys: Ed25519Public) -> None:
        if not keys:
            raise errors.Misconfigured("no public key of the platform is pinned")
        self.keys = keys

    def verify(self, data: bytes, signature: bytes) -> None:
        """Return when one of the keys made the signature; else raise SignatureInvalid."""
        for key in self.keys:
            with contextlib.suppress(errors.SignatureInvalid):
                key.verify(data, signature)
                return
        raise errors.SignatureInvalid("the signature does not match")


Pinned = Ed25519Public | Ed25519Pins
"""What a client believes to be the platform's: one key, or during a rotation two."""


class Ed25519Private:
    """An Ed25519 private key (RFC 8032)."""

    algorithm: Final = Algorithm.ED25519
    __slots__ = ("_key",)

    def __init__(self, key: ed25519.Ed25519PrivateKey | None = None) -> None:
        self._key = key or ed25519.Ed25519PrivateKey.generate()

    @classmethod
    def from_raw(cls, seed: bytes) -> Self:
        """Return the key of a 32-byte seed; raises Misconfigured when it has another length."""
        if len(seed) != KEY_BYTES:
            raise errors.Misconfigured(f"an Ed25519 seed has not {KEY_BYTES} bytes")
        return cls(ed25519.Ed25519PrivateKey.from_private_bytes(seed))

    def public(self) -> Ed25519Public:
        """Return the public half."""
        return Ed25519Public(self._key.public_key())

    def raw(self) -> bytes:
        """Return the 32-byte seed, the `d` of a JWK: seal it before storing it."""
        return self._key.private_bytes_raw()

    def pem(self) -> bytes:
        """Return the key as PKCS#8 in PEM, not encrypted: seal it before storing it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature."""
        return self._key.sign(data)


class EcdsaPublic:
    """A P-256 public key for ECDSA with SHA-256 (FIPS 186-5)."""

    algorithm: Final = Algorithm.ECDSA_P256
    __slots__ = ("_key",)

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key

    def pem(self) -> bytes:
        """Return the key as SubjectPublicKeyInfo in PEM."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verify(self, data: bytes, signature: bytes) -> None:
        """Verify 64 raw bytes `r || s` (RFC 9421, 3.3.4); raise SignatureInvalid."""
        if len(signature) != 2 * P256_HALF_BYTES:
            raise errors.SignatureInvalid("the signature does not match")
        r, s = int.from_bytes(signature[:P256_HALF_BYTES]), int.from_bytes(signature[P256_HALF_BYTES:])
        try:
            self._key.verify(encode_dss_signature(r, s), data, _ECDSA)
        except InvalidSignature:
            raise errors.SignatureInvalid("the signature does not match") from None


class EcdsaPrivate:
    """A P-256 private key for ECDSA with SHA-256 (FIPS 186-5)."""

    algorithm: Final = Algorithm.ECDSA_P256
    __slots__ = ("_key",)

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())

    def public(self) -> EcdsaPublic:
        """Return the public half."""
        return EcdsaPublic(self._key.public_key())

    def pem(self) -> bytes:
        """Return the key as PKCS#8 in PEM, not encrypted: seal it before storing it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, data: bytes) -> bytes:
        """Return 64 raw bytes `r || s`."""
        r, s = decode_dss_signature(self._key.sign(data, _ECDSA))
        return r.to_bytes(P256_HALF_BYTES) + s.to_bytes(P256_HALF_BYTES)


def load_public(pem: bytes) -> Ed25519Public | EcdsaPublic:
    """Read the public key a channel or back end registers; its type fixes the algorithm.

    Raises:
        FieldInvalid: no PEM public key, or neither Ed25519 nor P-256: ask the partner for another key.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise errors.FieldInvalid("this is no PEM public key", field="public_key") from None
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Ed25519Public(key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return EcdsaPublic(key)
    raise errors.FieldInvalid("the public key is neither Ed25519 nor P-256", field="public_key")


def load_private(pem: bytes) -> Ed25519Private | EcdsaPrivate:
    """Read a private signing key, PEM and not encrypted; its type fixes the algorithm.

    Raises:
        Misconfigured: no such key, or neither Ed25519 nor P-256: the process stops.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise errors.Misconfigured("the signing key is no unencrypted PEM private key") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Ed25519Private(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return EcdsaPrivate(key)
    raise errors.Misconfigured("the signing key is neither Ed25519 nor P-256")
