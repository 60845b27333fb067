"""Build sealed and signed requests; pure, without I/O (docs/reference/messages.md; RFC 9180, RFC 7516, RFC 9421)."""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from tallystick import limits
from tallystick.crypto import hpke, httpsig, jose
from tallystick.crypto.signing import Signer
from tallystick.errors import FieldInvalid, TooLarge
from tallystick.secret import Secret
from tallystick.security.orders import check_order
from tallystick.security.unseal import MEDIA_TYPE, info_of
from tallystick.security.verify import COVERED_WITH_BODY, COVERED_WITHOUT_BODY, IDEMPOTENCY_HEADER, Verified
from tallystick.wire.keys import PublishedKey
from tallystick.wire.part import SealedMessage, WireOrder

_IDEMPOTENCY_KEY: Final = re.compile(rf"[!-~]{{1,{limits.IDEMPOTENCY_KEY_MAX}}}")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs: the id in the client certificate (channel or institution) and its registered key."""

    sender: str
    key: Signer


@dataclass(frozen=True, slots=True)
class PaymentBinding:
    """A created payment's facts as the platform holds them; they enter the envelope's info."""

    payment: str
    order: WireOrder

    @classmethod
    def of(cls, payment: str, order: WireOrder) -> Self:
        """Bind to `order` as the platform folded it when the payment was created; raises FieldInvalid."""
        return cls(payment, check_order(order))

    def texts(self) -> tuple[str, ...]:
        """Return what the info holds of the payment, in order."""
        return (self.payment, *self.order.texts())


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to send as it is; `nonce` is what the answer must be signed with."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    nonce: str


def seal_request(
    credentials: Credentials,
    key: PublishedKey,
    target: str,
    content: Struct,
    *,
    created: int,
    nonce: str,
    idempotency_key: str,
    payment: PaymentBinding | None = None,
) -> Request:
    """Seal `content` for a published key and sign the POST that carries it.

    `created` is in seconds since 1970, by this machine's clock; `nonce` has 16 to 64 characters and is never used
    again, not even for a retry. A retry keeps `idempotency_key` and `content`. `key` comes out of `sdk.keys`, which
    has proven it. Secrets of `content` are revealed here only, into the bytes that are sealed.

    Raises TooLarge when the content has more than `limits.CONTENT_MAX` bytes, FieldInvalid when key, nonce or
    idempotency key have a wrong form: nothing was sent.
    """
    _check_idempotency_key(idempotency_key)
    clear = msgspec.json.encode(content, enc_hook=_reveal)
    if len(clear) > limits.CONTENT_MAX:
        raise TooLarge(f"a message's content has at most {limits.CONTENT_MAX} bytes")
    stated = Verified(sender=credentials.sender, nonce=nonce, created=created, idempotency_key=idempotency_key)
    sealed = _seal(key, clear, info_of(target, key.id, stated, payment.texts() if payment else ()))
    envelope = SealedMessage(
        v=1, key_id=key.id, format=key.format, sealed=sealed, payment=payment.payment if payment else None
    )
    headers = {"content-type": MEDIA_TYPE, IDEMPOTENCY_HEADER: idempotency_key}
    return _sign(credentials, "POST", target, headers, msgspec.json.encode(envelope), created, nonce)


def sign_post(
    credentials: Credentials, target: str, content: Struct, *, created: int, nonce: str, idempotency_key: str
) -> Request:
    """Sign a POST that holds nothing secret and so is not sealed; everything else as in `seal_request`."""
    _check_idempotency_key(idempotency_key)
    headers = {"content-type": MEDIA_TYPE, IDEMPOTENCY_HEADER: idempotency_key}
    return _sign(credentials, "POST", target, headers, msgspec.json.encode(content), created, nonce)


def sign_get(credentials: Credentials, target: str, *, created: int, nonce: str) -> Request:
    """Sign a GET; `created` and `nonce` as in `seal_request`."""
    return _sign(credentials, "GET", target, {}, b"", created, nonce)


def target_of(collection: str, name: str, *rest: str) -> str:
    """Return the target of one thing, such as `/v1/parts/part_…`; raises FieldInvalid when `name` is no id."""
    if not _ID.fullmatch(name):
        raise FieldInvalid("an id has letters, digits, _ and - only", field="id")
    return "/".join((collection, name, *rest))


def _check_idempotency_key(key: str) -> None:
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise FieldInvalid(
            f"an idempotency key has 1 to {limits.IDEMPOTENCY_KEY_MAX} ASCII characters without blanks",
            field=IDEMPOTENCY_HEADER,
        )


def _sign(
    credentials: Credentials,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    created: int,
    nonce: str,
) -> Request:
    signature = httpsig.sign_request(
        credentials.key,
        keyid=credentials.sender,
        method=method,
        target=target,
        body=body,
        headers=headers,
        covered=COVERED_WITH_BODY if body else COVERED_WITHOUT_BODY,
        created=created,
        nonce=nonce,
    )
    return Request(method=method, target=target, headers={**headers, **signature}, body=body, nonce=nonce)


def _seal(key: PublishedKey, clear: bytes, info: bytes) -> str:
    if isinstance(key.public, dict):
        return jose.seal_jwe(key.public, clear, info)
    sealed = hpke.seal(_suite(key.suite), _raw(key.public), clear, info)
    return urlsafe_b64encode(sealed).decode().rstrip("=")


def _suite(name: str) -> hpke.Suite:
    try:
        return hpke.Suite(name)
    except ValueError:
        raise FieldInvalid("the published key is of a suite this client does not know", field="public_key") from None


def _raw(public: str) -> bytes:
    try:
        return urlsafe_b64decode(public + "=" * (-len(public) % 4))
    except (binascii.Error, ValueError):
        raise FieldInvalid("the published key is not base64url", field="public_key") from None


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError
