"""Verify a message before anything in it is believed (claims 13, 34; RFC 9421, RFC 9530)."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from tallystick import limits
from tallystick.crypto import httpsig
from tallystick.crypto.signing import Algorithm, HmacKey, HmacOverlap, Verifier, load_public
from tallystick.errors import (
    EnvelopeUnopenable,
    FieldInvalid,
    Misconfigured,
    SignatureInvalid,
    SignatureMissing,
    Stale,
    TooLarge,
)
from tallystick.security.kept import Kept, place
from tallystick.security.model import Arrival, Sender
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import seal, unseal

COVERED_WITH_BODY: Final = ("@method", "@path", "content-digest", "content-type", "idempotency-key")
COVERED_WITHOUT_BODY: Final = ("@method", "@path")
IDEMPOTENCY_HEADER: Final = "idempotency-key"


class Verified(Struct, frozen=True, kw_only=True):
    """What a verified signature states; `created` in seconds. The caller's transaction uses up the nonce."""

    sender: str
    nonce: str
    created: int
    idempotency_key: str


def seal_sender_key(keyring: Keyring, sender_id: str, key: bytes) -> bytes:
    """Seal a sender's verification key (HMAC secret or public key PEM) for its row."""
    return seal(keyring, Purpose.AT_REST, key, place(Kept.CHANNEL, sender_id))


def sender_key(keyring: Keyring, sender: Sender) -> Verifier:
    """Open and load the key registered for a sender; raises Misconfigured when row and algorithm do not agree."""
    raw = _open(keyring, sender.id, sender.sealed_key)
    key: Verifier = HmacKey(raw) if sender.algorithm == Algorithm.HMAC_SHA256 else load_public(raw)
    if isinstance(key, HmacKey) and sender.earlier_key is not None:
        key = HmacOverlap(key, HmacKey(_open(keyring, sender.id, sender.earlier_key)))
    if key.algorithm != sender.algorithm:
        raise Misconfigured("a registered key is not of its registered algorithm")
    return key


def _open(keyring: Keyring, sender_id: str, sealed: bytes) -> bytes:
    try:
        return unseal(keyring, Purpose.AT_REST, sealed, place(Kept.CHANNEL, sender_id))
    except EnvelopeUnopenable as error:
        raise Misconfigured("a registered key does not open: the row or the key file is damaged") from error


def verify(arrival: Arrival, sender: Sender, key: Verifier) -> Verified:
    """Return what the message's signature states, once it is proven.

    1. The body is within its bound: TooLarge.
    2. One signature is there, by this sender's key id: SignatureMissing, SignatureInvalid.
    3. It covers the required components under the registered algorithm, digest and signature match: SignatureMissing,
       AlgorithmRefused, DigestMismatch, SignatureInvalid.
    4. It was created within the freshness window: Stale.
    5. A message with a body carries an Idempotency-Key and a nonce of the right form: FieldInvalid, SignatureMissing.
    Left to the caller: using up the nonce in the transaction that acts on the message, and opening the envelope.
    """
    # 1.
    if len(arrival.body) > limits.BODY_MAX:
        raise TooLarge(f"a body has at most {limits.BODY_MAX} bytes")
    # 2.
    signature = httpsig.parse_signature(arrival.headers)
    if signature.keyid != sender.id:
        raise SignatureInvalid("the signature's keyid is not the id in the client certificate")
    # 3.
    httpsig.verify_request(
        signature,
        key,
        method=arrival.method,
        target=arrival.target,
        body=arrival.body,
        headers=arrival.headers,
        required=COVERED_WITH_BODY if arrival.body else COVERED_WITHOUT_BODY,
    )
    # 4.
    if abs(signature.created * 1000 - arrival.at) > limits.FRESHNESS_MS:
        raise Stale(f"the message was created more than {limits.FRESHNESS_MS // 60_000} minutes away from our clock")
    # 5.
    if not limits.NONCE_MIN <= len(signature.nonce) <= limits.NONCE_MAX:
        raise SignatureMissing(f"a nonce has {limits.NONCE_MIN} to {limits.NONCE_MAX} characters")
    return Verified(
        sender=sender.id,
        nonce=signature.nonce,
        created=signature.created,
        idempotency_key=_idempotency_key(arrival.headers) if arrival.body else "",
    )


def _idempotency_key(headers: Mapping[str, str]) -> str:
    key = headers.get(IDEMPOTENCY_HEADER, "")
    if not 1 <= len(key) <= limits.IDEMPOTENCY_KEY_MAX or not key.isascii() or not key.isprintable():
        raise FieldInvalid(
            f"every POST carries an Idempotency-Key of 1 to {limits.IDEMPOTENCY_KEY_MAX} ASCII characters",
            field=IDEMPOTENCY_HEADER,
        )
    return key
