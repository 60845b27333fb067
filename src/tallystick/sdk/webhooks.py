"""Receive webhooks: prove that one is the platform's before believing a word of it."""

from collections.abc import Mapping, Sequence

import msgspec

from tallystick.crypto import webhooks
from tallystick.crypto.signing import Ed25519Public
from tallystick.errors import Malformed, SignatureInvalid
from tallystick.runtime import Millis, SystemClock
from tallystick.secret import Secret
from tallystick.wire.outcome import OutcomeMessage


def unwrap(
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str] = (),
    *,
    identity: Ed25519Public | None = None,
    now: Millis | None = None,
) -> OutcomeMessage:
    """Return what a proven webhook says; the case of header names does not matter.

    `secrets` are the endpoint's `whsec_…` texts: during a rotation the new and the old one. `identity` is the
    platform's public identity key, for receivers that share no secret with it; either is enough. `now` is this
    machine's time unless given. A webhook may come more than once and in any order: act once for each `id`.

    Raises SignatureMissing, Stale or SignatureInvalid: answer 400 and believe nothing. Raises Malformed for a proven
    body of another shape: answer 400, this receiver is older than the platform. Raises FieldInvalid for a wrong secret.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    message_id = webhooks.verify(
        lower,
        body,
        secrets=[Secret(secret) for secret in secrets],
        identity=identity,
        now=SystemClock().now() if now is None else now,
    )
    try:
        message = msgspec.json.decode(body, type=OutcomeMessage)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # a member that is ignored may be nested
        raise Malformed("the webhook's body has not the documented shape") from None
    if message.id != message_id:
        raise SignatureInvalid("the webhook's body has another id than its header")
    return message
