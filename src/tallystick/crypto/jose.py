"""JOSE for partners that have it: JWE envelopes (RFC 7516) and the signed key list as JWS (RFC 7515).

One profile, no negotiation: JWE is `ECDH-ES` on P-256 with `A256GCM`, JWS is `Ed25519` (RFC 9864). Whatever else a
token names is refused before any key is touched.
"""

import base64
import hashlib
from typing import Final, Literal, Self

import msgspec
from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from tallystick import errors
from tallystick.crypto.signing import Ed25519Private, Ed25519Public

PART_TYP: Final = "tallystick-part+jwe"
HEADER_MAX: Final = 1024  # base64url characters of a protected header
JWE_SEGMENTS: Final = 5
JWS_SEGMENTS: Final = 3

_JWE: Final = jwe.JWERegistry(algorithms=["ECDH-ES", "A256GCM"])
_JWS: Final = jws.JWSRegistry(algorithms=["Ed25519"])


class _Named(msgspec.Struct):
    """Which algorithms a header asks for; every other member is left for the strict reading."""

    alg: str
    enc: str = ""
    zip: str = ""


class _Point(msgspec.Struct, forbid_unknown_fields=True):
    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str


class _JweHeader(msgspec.Struct, forbid_unknown_fields=True):
    """The whole JWE header; `crit`, `jku`, `x5u` and all others are unknown and so refused."""

    alg: str
    enc: str
    kid: str
    typ: str
    epk: _Point
    apv: str
    apu: str = ""


class _JwsHeader(msgspec.Struct, forbid_unknown_fields=True):
    alg: str
    kid: str
    typ: str


class _Recipient(msgspec.Struct):
    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str
    kid: str


class JweKey:
    """Open JWE tokens that name this key; `kid` is unique among the platform's keys."""

    __slots__ = ("_key", "kid")

    def __init__(self, kid: str, key: ECKey) -> None:
        self.kid = kid
        self._key = key

    @classmethod
    def generate(cls, kid: str) -> Self:
        """Make a new P-256 key."""
        return cls(kid, ECKey.generate_key("P-256"))

    @classmethod
    def from_private(cls, kid: str, private: bytes) -> Self:
        """Load what `private_bytes` gave.

        Raises:
            Misconfigured: these are no private bytes of a P-256 key; the key store is damaged or mixed up.
        """
        try:
            key = ECKey.import_key(private)
        except (JoseError, ValueError):
            raise errors.Misconfigured("the stored key is no EC key") from None
        if not key.is_private or key.curve_name != "P-256":
            raise errors.Misconfigured("the stored key is no private key on P-256")
        return cls(kid, key)

    def private_bytes(self) -> bytes:
        """Return the private key as PKCS#8 in DER, not encrypted: seal it (`box.seal`), never keep it clear."""
        return self._key.as_der(private=True)

    def public_jwk(self) -> dict[str, str]:
        """Return the JWK that senders need (RFC 7517), with `kid`, `use` and `alg`."""
        point = self._key.as_dict(private=False)
        coordinates = {name: str(point[name]) for name in ("kty", "crv", "x", "y")}
        return {**coordinates, "kid": self.kid, "use": "enc", "alg": "ECDH-ES"}

    def open(self, token: str, info: bytes, typ: str = PART_TYP) -> bytes:
        """Return the plaintext of a compact JWE that was sealed for this key, this `info` and this `typ`.

        Checks, in this order:
          1. `alg` is ECDH-ES, `enc` is A256GCM, there is no `zip` [AlgorithmRefused]
          2. the header has exactly the members alg, enc, kid, typ, epk (on P-256), apv and perhaps apu
             [EnvelopeUnopenable]
          3. `kid` is this key [KeyUnknown]
          4. `typ` is the one expected here: a token made for one use does not serve another [EnvelopeUnopenable]
          5. `apv` is the SHA-256 of `info`; it enters the key derivation (RFC 7518, 4.6.2) [EnvelopeUnopenable]
          6. the content is authentic under the derived key [EnvelopeUnopenable]

        Left to the caller: that `info` is rebuilt from what the platform itself knows, never copied from the message;
        freshness and replay; the size of `token`. A JWE proves nothing about its sender: verify the signature first.
        On KeyUnknown the sender fetches the keys again; on the others it corrects its message.
        """
        # 1.
        raw = _header(token, JWE_SEGMENTS)
        named = _named(raw)
        if (named.alg, named.enc, named.zip) != ("ECDH-ES", "A256GCM", ""):
            raise errors.AlgorithmRefused("a JWE is ECDH-ES with A256GCM, not compressed")
        # 2.
        try:
            header = msgspec.json.decode(raw, type=_JweHeader)
        except msgspec.ValidationError:
            raise errors.EnvelopeUnopenable("the JWE header has not exactly the members it should have") from None
        # 3.
        if header.kid != self.kid:
            raise errors.KeyUnknown("the JWE is sealed for another key")
        # 4.
        if header.typ != typ:
            raise errors.EnvelopeUnopenable("the JWE has another typ than is taken here")
        # 5.
        if header.apv != _apv(info):
            raise errors.EnvelopeUnopenable("the JWE is bound to another context")
        # 6.
        try:
            plaintext = jwe.decrypt_compact(token, self._key, registry=_JWE).plaintext
        except (JoseError, ValueError):
            plaintext = None
        if plaintext is None:
            raise errors.EnvelopeUnopenable("the envelope does not open under this key and context")
        return plaintext


def seal_jwe(public_jwk: dict[str, str], plaintext: bytes, info: bytes, typ: str = PART_TYP) -> str:
    """Seal `plaintext` as a compact JWE for the holder of `public_jwk`, bound to `info` and `typ`.

    Left to the caller: that `public_jwk` is authentic.

    Raises:
        FieldInvalid: the JWK is no P-256 public key with a `kid`: fetch or register another.
    """
    try:
        to = msgspec.convert(public_jwk, _Recipient)
        key = ECKey.import_key({"kty": to.kty, "crv": to.crv, "x": to.x, "y": to.y})
    except (msgspec.ValidationError, JoseError, ValueError):
        raise errors.FieldInvalid("this is no P-256 public JWK with a kid", field="public_key") from None
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": to.kid, "typ": typ, "apv": _apv(info)}
    return jwe.encrypt_compact(header, plaintext, key, registry=_JWE)


def sign_jws(key: Ed25519Private, payload: bytes, kid: str, typ: str) -> str:
    """Sign `payload` as a compact JWS; it stays readable by everybody."""
    header = {"alg": "Ed25519", "kid": kid, "typ": typ}
    return jws.serialize_compact(header, payload, _okp(key.public().raw(), key.raw()), registry=_JWS)


def verify_jws(key: Ed25519Public, token: str, kid: str, typ: str) -> bytes:
    """Return the payload of a compact JWS that `key` signed under this `kid` and `typ`.

    Checks, in this order:
      1. `alg` is Ed25519 [AlgorithmRefused]
      2. the header has exactly the members alg, kid and typ, and they are the ones expected [SignatureInvalid]
      3. the signature [SignatureInvalid]

    Left to the caller: how old the payload may be. On any error keep the keys that were verified before, and try again.
    """
    # 1.
    raw = _header(token, JWS_SEGMENTS)
    if _named(raw).alg != "Ed25519":
        raise errors.AlgorithmRefused("a JWS is signed with Ed25519")
    # 2.
    try:
        header = msgspec.json.decode(raw, type=_JwsHeader)
    except msgspec.ValidationError:
        raise errors.SignatureInvalid("the JWS header has not exactly the members it should have") from None
    if (header.kid, header.typ) != (kid, typ):
        raise errors.SignatureInvalid("the JWS is not by the key or not of the type expected here")
    # 3.
    try:
        return jws.deserialize_compact(token, _okp(key.raw()), registry=_JWS).payload
    except (JoseError, ValueError):
        raise errors.SignatureInvalid("the signature of the JWS does not match") from None


def _header(token: str, segments: int) -> str:
    """Return the protected header's JSON of a compact token."""
    parts = token.split(".")
    if len(parts) != segments or len(parts[0]) > HEADER_MAX:
        raise errors.EnvelopeUnopenable("this is no compact token")
    try:
        return base64.b64decode(parts[0] + "=" * (-len(parts[0]) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise errors.EnvelopeUnopenable("the token's header is no text in base64url") from None


def _named(raw: str) -> _Named:
    try:
        return msgspec.json.decode(raw, type=_Named)
    except (msgspec.DecodeError, RecursionError):  # a header may be nested as deep as it is long
        raise errors.EnvelopeUnopenable("the token's header is no JSON object that names an alg") from None


def _apv(info: bytes) -> str:
    return _b64url(hashlib.sha256(info).digest())


def _okp(public: bytes, private: bytes | None = None) -> OKPKey:
    jwk: dict[str, str | list[str]] = {"kty": "OKP", "crv": "Ed25519", "x": _b64url(public)}
    if private is not None:
        jwk["d"] = _b64url(private)
    return OKPKey.import_key(jwk)


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
