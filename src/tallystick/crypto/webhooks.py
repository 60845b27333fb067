"""Sign and verify webhooks as the Standard Webhooks specification 1.0 asks (HMAC-SHA256 `v1`, Ed25519 `v1a`)."""

import binascii
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Final

from tallystick.crypto.signing import Ed25519Public, Signer
from tallystick.errors import FieldInvalid, SignatureInvalid, SignatureMissing, Stale
from tallystick.runtime import Millis
from tallystick.secret import Secret

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with, not one
SECRET_BYTES_MIN: Final = 24  # bytes
SECRET_BYTES_MAX: Final = 64  # bytes
TOLERANCE_MS: Final = 5 * 60_000  # ms a webhook's timestamp may differ from the receiver's clock, either way
SIGNATURES_MAX: Final = 16  # signatures of one message that a receiver looks at

_SHARED: Final = "v1"
_IDENTITY: Final = "v1a"
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_ID: Final = re.compile(r"[!-\-/-~]{1,256}")  # printable, and without the full stop that ends it in what is signed


def write_secret(key: bytes) -> Secret:
    """Write a signing key as both sides exchange it: `whsec_` and base64."""
    return Secret(SECRET_PREFIX + b64encode(key).decode())


def read_secret(secret: Secret) -> bytes:
    """Return the key that a `whsec_` text stands for; raises FieldInvalid for anything that is not one."""
    text = secret.reveal()
    key = b""
    if text.startswith(SECRET_PREFIX):
        key = _decode(text.removeprefix(SECRET_PREFIX)) or b""
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise FieldInvalid(
            f"a webhook secret is {SECRET_PREFIX} and base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes",
            field="secret",
        )
    return key


def sign(
    message_id: str, at: Millis, body: bytes, secrets: Sequence[Secret], identity: Signer | None = None
) -> dict[str, str]:
    """Return the three headers of a webhook sent at `at`.

    One `v1` signature for each secret, so that a receiver may know the old one or the new one, and a `v1a` one when an
    Ed25519 `identity` is given. Raises FieldInvalid for a text that is no secret.
    """
    seconds = str(at // 1000)
    signed = _signed(message_id, seconds, body)
    signatures = [f"{_SHARED},{_encode(hmac.digest(read_secret(secret), signed, 'sha256'))}" for secret in secrets]
    if identity is not None:
        signatures.append(f"{_IDENTITY},{_encode(identity.sign(signed))}")
    return {ID: message_id, TIMESTAMP: seconds, SIGNATURE: " ".join(signatures)}


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[Secret] = (),
    identity: Ed25519Public | None = None,
    now: Millis,
) -> str:
    """Return the id of a webhook once it is proven to be the platform's; header names are lower-case.

    1. Id, timestamp and signature are there and have their form: SignatureMissing.
    2. The timestamp is within five minutes of `now`: Stale.
    3. One of the signatures is by one of `secrets`, or by `identity`: SignatureInvalid. Versions that are not known,
       and those for which no key is given, prove nothing.

    Left to the caller: to remember ids, since a webhook comes at least once. Raises FieldInvalid for a text in
    `secrets` that is no secret: correct the receiver's settings.
    """
    message_id, seconds = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    signatures = headers.get(SIGNATURE, "").split()
    # 1.
    if not _ID.fullmatch(message_id) or not _SECONDS.fullmatch(seconds) or not signatures:
        raise SignatureMissing("a webhook carries webhook-id, webhook-timestamp and webhook-signature")
    # 2.
    if abs(int(seconds) * 1000 - now) > TOLERANCE_MS:
        raise Stale(f"the webhook was sent more than {TOLERANCE_MS // 60_000} minutes away from our clock")
    # 3.
    signed = _signed(message_id, seconds, body)
    expected = [hmac.digest(read_secret(secret), signed, "sha256") for secret in secrets]
    if not any(_proves(given, signed, expected, identity) for given in signatures[:SIGNATURES_MAX]):
        raise SignatureInvalid("no signature on the webhook is by a key this receiver knows")
    return message_id


def _proves(given: str, signed: bytes, expected: Sequence[bytes], identity: Ed25519Public | None) -> bool:
    version, _, text = given.partition(",")
    signature = _decode(text)
    if signature is None:
        return False
    if version == _SHARED:
        return any([hmac.compare_digest(mac, signature) for mac in expected])  # noqa: C419 - all of them, always
    return version == _IDENTITY and identity is not None and _is_by(identity, signed, signature)


def _is_by(identity: Ed25519Public, signed: bytes, signature: bytes) -> bool:
    try:
        identity.verify(signed, signature)
    except SignatureInvalid:
        return False
    return True


def _signed(message_id: str, seconds: str, body: bytes) -> bytes:
    return f"{message_id}.{seconds}.".encode() + body


def _encode(signature: bytes) -> str:
    return b64encode(signature).decode()


def _decode(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
