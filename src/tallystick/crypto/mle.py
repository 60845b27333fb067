"""Message-level encryption in the manner of Visa Developer: compact JWE with RSA-OAEP-256 and AES-GCM (RFC 7516, 7518).

It hides a message from everything between the two programs and says when it was sealed. It proves nothing about who
sealed it, since everybody may have the public key: whoever opens a message also needs a MAC or a signature over it.
"""

import base64
from typing import Final, Literal, Self

import msgspec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.registry import HeaderParameter

from tallystick import errors
from tallystick.crypto.rsa_sign import BITS_MIN, load_rsa_private, load_rsa_public
from tallystick.runtime import Millis

FRESH_MS: Final = 2 * 60_000  # ms a token's `iat` may differ from our clock, either way
HEADER_MAX: Final = 512  # base64url characters of the protected header; ours have about 150
TOKEN_MAX: Final = 12 * 1024  # characters of a whole token: about 8 kB of content
SEGMENTS: Final = 5

ContentEncryption = Literal["A128GCM", "A256GCM"]

_REGISTRY: Final = jwe.JWERegistry(
    header_registry={"iat": HeaderParameter("Issued at, in milliseconds", "int", required=True)},
    algorithms=["RSA-OAEP-256", "A128GCM", "A256GCM"],
)


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """The whole header: `zip`, `crit`, `jku`, `x5c` and all others are unknown and so refused."""

    alg: Literal["RSA-OAEP-256"]
    enc: ContentEncryption
    kid: str
    typ: Literal["JWE"]
    iat: int


class MlePublic:
    """The public key of one receiver, and the `kid` under which the receiver knows it."""

    __slots__ = ("_key", "kid")

    def __init__(self, kid: str, key: RSAKey) -> None:
        self.kid = kid
        self._key = key

    @classmethod
    def from_pem(cls, kid: str, pem: bytes) -> Self:
        """Read SubjectPublicKeyInfo in PEM; raises FieldInvalid as `load_rsa_public` does."""
        return cls(kid, RSAKey.import_key(load_rsa_public(pem).pem()))

    def pem(self) -> bytes:
        """Return the key as SubjectPublicKeyInfo in PEM."""
        return self._key.as_pem(private=False)

    def seal(self, plaintext: bytes, at: Millis, enc: ContentEncryption = "A128GCM") -> str:
        """Seal `plaintext` at the time `at`, under a content key of its own.

        Left to the caller: that the public key is authentic, and that the token is at most TOKEN_MAX characters long.
        """
        header = {"alg": "RSA-OAEP-256", "enc": enc, "kid": self.kid, "typ": "JWE", "iat": at}
        return jwe.encrypt_compact(header, plaintext, self._key, registry=_REGISTRY)


class MleKey:
    """A private key of ours; `kid` is what senders write into their tokens."""

    __slots__ = ("_key", "kid")

    def __init__(self, kid: str, key: RSAKey) -> None:
        self.kid = kid
        self._key = key

    @classmethod
    def generate(cls, kid: str) -> Self:
        """Make a new key of 2048 bits."""
        return cls(kid, RSAKey.generate_key(BITS_MIN))

    @classmethod
    def from_pem(cls, kid: str, pem: bytes) -> Self:
        """Read an unencrypted private key in PEM; raises Misconfigured as `load_rsa_private` does."""
        return cls(kid, RSAKey.import_key(load_rsa_private(pem).pem()))

    def pem(self) -> bytes:
        """Return the key as PKCS#8 in PEM, not encrypted: seal it before storing it."""
        return self._key.as_pem(private=True)

    def public(self) -> MlePublic:
        """Return the public half, for those who seal to us."""
        return MlePublic(self.kid, RSAKey.import_key(self._key.as_pem(private=False)))

    def open(self, token: str, now: Millis) -> bytes:
        """Return the content of a token that was just sealed for this key.

        Checks, in this order:
          1. the token and its header are within their bounds
          2. the header has exactly the members alg, enc, kid, typ and iat; alg is RSA-OAEP-256, enc A128GCM or A256GCM
          3. `kid` is this key
          4. `iat` is within FRESH_MS of `now`, either way
          5. the content is authentic under the key that is wrapped for us, header included

        Left to the caller: who sealed it (a MAC or a signature over the token), and that taking it twice does no harm.

        Raises:
            EnvelopeUnopenable: for all of these alike, so that nobody learns from the error how far a token came.
        """
        try:
            # 1.
            header = _read_header(token)
            # 2. to 4.
            taken = header is not None and header.kid == self.kid and abs(now - header.iat) <= FRESH_MS
            # 5.
            plaintext = jwe.decrypt_compact(token, self._key, registry=_REGISTRY).plaintext if taken else None
        except (JoseError, ValueError, AssertionError):
            plaintext = None
        if plaintext is None:
            raise errors.EnvelopeUnopenable("the message does not open")
        return plaintext


def _read_header(token: str) -> _Header | None:
    segments = token.split(".") if len(token) <= TOKEN_MAX else []
    if len(segments) != SEGMENTS or len(segments[0]) > HEADER_MAX:
        return None
    coded = segments[0]
    try:
        raw = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=_Header)
    except (ValueError, RecursionError):  # a header may be nested as deep as it is long
        return None
