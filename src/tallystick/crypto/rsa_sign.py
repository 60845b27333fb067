"""Sign and verify HTTP messages with RSA and SHA-256, in the manner of Antom and other account systems.

Signed are method, path, client id, time and the very bytes of the body; the signature travels in one header beside
`Client-Id` and the time. Requests and answers have the same form: they are told apart by the key that signs them.
"""

import base64
import binascii
import re
import urllib.parse
from collections.abc import Mapping
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from tallystick import errors, limits
from tallystick.runtime import Millis

BITS_MIN: Final = 2048  # bits of the modulus, NIST SP 800-131A
BITS_MAX: Final = 4096  # bits of the modulus: bounds the work of one verification
EXPONENT: Final = 65_537
KEY_VERSION_MAX: Final = 999_999  # the highest number of a key's version

TimeHeader = Literal["request-time", "response-time"]
"""The header with the time of a message, in ms since 1970."""

_BOUNDS: Final = f"{BITS_MIN} to {BITS_MAX} bits with the exponent {EXPONENT}"
_PADDING: Final = padding.PKCS1v15()
_SIGNATURE: Final = re.compile(
    r"algorithm=RSA256, ?keyVersion=(?P<version>[1-9][0-9]{0,5}), ?signature=(?P<signature>[A-Za-z0-9%+/=]+)"
)
_TIME: Final = re.compile(r"[1-9][0-9]{12}")


class RsaPublic:
    """A public key for RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2)."""

    __slots__ = ("_key",)

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key

    def pem(self) -> bytes:
        """Return the key as SubjectPublicKeyInfo in PEM."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verify(self, data: bytes, signature: bytes) -> None:
        """Return only when `signature` is that of `data`; else raise SignatureInvalid: refuse the message."""
        try:
            self._key.verify(signature, data, _PADDING, SHA256())
        except InvalidSignature:
            raise errors.SignatureInvalid("the signature does not match") from None


class RsaPrivate:
    """A private key for RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2); without a key given, a new one."""

    __slots__ = ("_key",)

    def __init__(self, key: rsa.RSAPrivateKey | None = None) -> None:
        self._key = key or rsa.generate_private_key(EXPONENT, BITS_MIN)

    def public(self) -> RsaPublic:
        """Return the public half."""
        return RsaPublic(self._key.public_key())

    def pem(self) -> bytes:
        """Return the key as PKCS#8 in PEM, not encrypted: seal it before storing it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, data: bytes) -> bytes:
        """Return the signature, as long as the modulus."""
        return self._key.sign(data, _PADDING, SHA256())


def load_rsa_public(pem: bytes) -> RsaPublic:
    """Read a partner's public key.

    Raises:
        FieldInvalid: no RSA public key in PEM, or one outside of the bounds: ask the partner for another key.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPublicKey) or not _sound(key):
        raise errors.FieldInvalid(f"this is no RSA public key in PEM of {_BOUNDS}", field="public_key")
    return RsaPublic(key)


def load_rsa_private(pem: bytes) -> RsaPrivate:
    """Read our own private key, PEM and not encrypted.

    Raises:
        Misconfigured: no such key, or one outside of the bounds: the operator gives another one.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey) or not _sound(key.public_key()):
        raise errors.Misconfigured(f"this is no unencrypted RSA private key in PEM of {_BOUNDS}")
    return RsaPrivate(key)


def sign_message(
    key: RsaPrivate,
    key_version: int,
    *,
    method: str,
    path: str,
    client_id: str,
    time_header: TimeHeader,
    at: Millis,
    body: bytes,
) -> dict[str, str]:
    """Sign a request or an answer; gives the headers to add.

    An answer is signed with the method and path of its request. `client_id` holds no dot and no line break.
    """
    signature = base64.b64encode(key.sign(_content(method, path, client_id, str(at), body))).decode()
    return {
        "client-id": client_id,
        time_header: str(at),
        "signature": f"algorithm=RSA256,keyVersion={key_version},signature={urllib.parse.quote(signature, safe='')}",
    }


def verify_message(
    keys: Mapping[int, RsaPublic],
    *,
    method: str,
    path: str,
    client_id: str,
    time_header: TimeHeader,
    headers: Mapping[str, str],
    body: bytes,
    now: Millis,
) -> None:
    """Verify a request or an answer under the sender's `keys` by version; its header names are lower-case.

    Checks, in this order:
      1. it names the client id that was agreed
      2. its time is within the freshness window around `now`
      3. it carries one signature, by a key version that is held; no message chooses the algorithm
      4. that signature is over method, path, client id, time and the raw bytes of the body

    Left to the caller: that the body answers or tells of the request at hand, and that taking it twice does no harm.

    Raises:
        SignatureInvalid: for all of these alike; nothing of the message is believed.
    """
    time, value = headers.get(time_header, ""), headers.get("signature", "")
    found = _SIGNATURE.fullmatch(value) if len(value) <= limits.HEADER_MAX else None
    # 1. and 2.
    if headers.get("client-id") != client_id or not _TIME.fullmatch(time) or found is None:
        raise _refusal()
    if abs(int(time) - now) > limits.FRESHNESS_MS:
        raise _refusal()
    # 3.
    key, signature = keys.get(int(found["version"])), _decode(found["signature"])
    if key is None or signature is None:
        raise _refusal()
    # 4.
    try:
        key.verify(_content(method, path, client_id, time, body), signature)
    except errors.SignatureInvalid:
        raise _refusal() from None


def _content(method: str, path: str, client_id: str, time: str, body: bytes) -> bytes:
    return f"{method} {path}\n{client_id}.{time}.".encode() + body


def _decode(text: str) -> bytes | None:
    """Undo the URL encoding, then base64; None when it is neither."""
    try:
        return base64.b64decode(urllib.parse.unquote(text, errors="strict"), validate=True)
    except (binascii.Error, ValueError):
        return None


def _refusal() -> errors.SignatureInvalid:
    return errors.SignatureInvalid("the message is not signed just now by a key of its sender")


def _sound(key: rsa.RSAPublicKey) -> bool:
    return BITS_MIN <= key.key_size <= BITS_MAX and key.public_numbers().e == EXPONENT
