"""The one error tree. Only the edge (`service/problems.py`) turns these into RFC 9457 problem documents.

    TallystickError
    ├── Refused                      the caller's input is refused and changed nothing
    │   ├── Malformed                400  cannot be read: fix the message
    │   │   ├── FieldInvalid              one named field is wrong
    │   │   ├── EnvelopeUnopenable        the sealed body does not open under that key and context
    │   │   └── KeyUnknown                the named opening key is unknown, expired or destroyed
    │   ├── MethodRefused            405
    │   ├── TooLarge                 413
    │   ├── WrongMediaType           415
    │   ├── NotAuthentic             401  who sent this is not proven
    │   │   ├── CertificateMissing · SignatureMissing · SignatureInvalid · AlgorithmRefused
    │   │   └── DigestMismatch · Stale · TokenRefused · LinkRefused · ApiKeyRefused
    │   ├── Forbidden                403  proven, but not allowed
    │   │   ├── CertificateRevoked · CertificateWrongPurpose · ChannelUnknown · ChannelSuspended
    │   │   └── FieldNotAllowed
    │   ├── NotFound                 404
    │   ├── Conflict                 409
    │   │   └── Replayed · SameChannel · NotIndependent · AlreadyFinal · AlreadyExists · InFlight
    │   ├── Unprocessable            422
    │   │   └── IdempotencyMismatch · PolicyUnknown
    │   ├── TooMany                  429
    │   └── Unavailable              503  try again later
    ├── Misconfigured                the operator's settings, keys or files: the process refuses to start
    ├── StoreFailed                  the store could not promise durability: nothing was acknowledged
    ├── CredentialRefused            the joined parts do not give a credential (wrong password, unknown number)
    ├── NoRoute                      no back end serves this credential
    └── DeliveryError
        ├── NotSent                  no byte of the request left: another candidate may be tried
        │   └── Unfit                     this instruction cannot go to this back end, which may be well
        ├── OutcomeUnknown           the request may have been acted on: never a new authorisation
        │   └── OutcomePending            the back end took the request and tells the outcome later
        └── ReversalRefused          the back end will not undo a request: a person decides

Every text given to these errors may be logged and shown: it never holds a value the payer typed.
"""

from typing import ClassVar


class TallystickError(Exception):
    """Base of every error this package raises on purpose.

    `code` is stable and public; `remedy` tells a person what to do next.
    """

    code: ClassVar[str] = "internal"
    remedy: ClassVar[str] = "Ask the platform's operator; quote the request id."

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class Refused(TallystickError):
    """Refuse the caller's input; nothing was changed."""

    code = "refused"


class Malformed(Refused):
    """The message cannot be read."""

    code = "malformed"
    remedy = "Send the message as docs/reference/messages.md describes it."


class FieldInvalid(Malformed):
    """One named field has a wrong value; `field` says which, the text never says the value."""

    code = "field_invalid"
    remedy = "Correct the named field and send a new message."


class EnvelopeUnopenable(Malformed):
    """The envelope does not open: wrong key, wrong context or altered bytes (deliberately one answer)."""

    code = "envelope_unopenable"
    remedy = "Seal the part for a key of /.well-known/tallystick-keys, with the info of docs/reference/messages.md."


class KeyUnknown(Malformed):
    """The named opening key is not one the platform holds now."""

    code = "key_unknown"
    remedy = "Fetch /.well-known/tallystick-keys again and seal the part for a key that is listed there."


class MethodRefused(Refused):
    """This address does not take this HTTP method."""

    code = "method_refused"
    remedy = "Use the method that docs/reference/messages.md names for this address."


class TooLarge(Refused):
    """The body is larger than any valid message."""

    code = "too_large"
    remedy = "Send one part per message; a part never needs more than the stated limit."


class WrongMediaType(Refused):
    """The body's media type is not the one this address takes."""

    code = "wrong_media_type"
    remedy = "Set Content-Type: application/json."


class NotAuthentic(Refused):
    """Who sent this message is not proven."""

    code = "not_authentic"
    remedy = "Sign the message with the channel's key (RFC 9421) over its own client certificate."


class CertificateMissing(NotAuthentic):
    """The connection carries no client certificate."""

    code = "certificate_missing"
    remedy = "Connect with the client certificate that the platform's CA issued for this channel."


class SignatureMissing(NotAuthentic):
    """No usable RFC 9421 signature is on the message."""

    code = "signature_missing"
    remedy = "Add Content-Digest, Signature-Input and Signature as docs/reference/messages.md names them."


class SignatureInvalid(NotAuthentic):
    """The signature or MAC does not match."""

    code = "signature_invalid"
    remedy = "Check the channel's key and that no proxy alters the message; then sign and send it again."


class AlgorithmRefused(NotAuthentic):
    """The named algorithm is not the one registered for this key."""

    code = "algorithm_refused"
    remedy = "Use the algorithm registered for this key; the platform never negotiates one."


class DigestMismatch(NotAuthentic):
    """Content-Digest does not match the body."""

    code = "content_digest_mismatch"
    remedy = "Compute Content-Digest (sha-256) over the exact bytes of the body."


class Stale(NotAuthentic):
    """The signature's `created` is outside the freshness window."""

    code = "message_stale"
    remedy = "Set the sender's clock by NTP, then seal and sign the message anew."


class TokenRefused(NotAuthentic):
    """The enrolment token is wrong, used, withdrawn or over: which of these is not told."""

    code = "token_refused"
    remedy = "Ask the operator for a new invitation: tallystick ca invite."


class LinkRefused(NotAuthentic):
    """A page's link is wrong, used, replaced or over, or its session is another browser's: which is not told."""

    code = "link_refused"
    remedy = "Ask for a new code on the other screen, or open the payment from the shop again: each link works once."


class ApiKeyRefused(NotAuthentic):
    """The API key is missing, malformed, unknown, wrong, over or revoked: which of these is not told."""

    code = "api_key_refused"
    remedy = "Send Authorization: Bearer with a current key; the operator makes one: tallystick apikey add."


class Forbidden(Refused):
    """The sender is proven but not allowed."""

    code = "forbidden"
    remedy = "Ask the platform's operator to allow this."


class CertificateRevoked(Forbidden):
    """The client certificate was revoked, or its revocation cannot be checked."""

    code = "certificate_revoked"
    remedy = "Request a new certificate from the platform's CA."


class CertificateWrongPurpose(Forbidden):
    """The client certificate is valid but was not issued for this use."""

    code = "certificate_wrong_purpose"
    remedy = "Use the certificate whose SAN URI names this channel or institution."


class ChannelUnknown(Forbidden):
    """No channel is registered under the certificate's SAN URI."""

    code = "channel_unknown"
    remedy = "Ask the operator to register the channel: tallystick channel add."


class ChannelSuspended(Forbidden):
    """The channel is registered but not active."""

    code = "channel_suspended"
    remedy = "Ask the operator to resume the channel: tallystick channel resume."


class FieldNotAllowed(Forbidden):
    """This channel may not send this kind of field."""

    code = "field_not_allowed"
    remedy = "Send this field over a channel that is registered for it."


class NotFound(Refused):
    """Nothing the caller may see has this name."""

    code = "not_found"
    remedy = "Check the id; ids are case-sensitive."


class Conflict(Refused):
    """The request contradicts what is already recorded."""

    code = "conflict"
    remedy = "Read the current state and decide anew."


class Replayed(Conflict):
    """This nonce was already used by this sender."""

    code = "replayed"
    remedy = "Seal and sign the message anew, with a fresh nonce; keep the Idempotency-Key when it is a retry."


class SameChannel(Conflict):
    """This channel, certificate or session already supplied another part of this payment."""

    code = "same_channel"
    remedy = "Send the other part over a different channel."


class NotIndependent(Conflict):
    """This part comes too much the same way as another part of this payment, for an amount like this."""

    code = "not_independent"
    remedy = "Send this part from another device, over another network or by another app; the rest stays as it is."


class AlreadyFinal(Conflict):
    """The payment has its final state; nothing more is taken."""

    code = "already_final"
    remedy = "Start a new payment."


class AlreadyExists(Conflict):
    """Something is registered under this name already."""

    code = "already_exists"
    remedy = "Choose another name, or change the existing entry."


class InFlight(Conflict):
    """A request with this Idempotency-Key is being answered just now."""

    code = "idempotency_in_flight"
    remedy = "Wait for its answer, or repeat the request a second later."


class Unprocessable(Refused):
    """The message is well formed but cannot be meant."""

    code = "unprocessable"
    remedy = "Correct the request."


class IdempotencyMismatch(Unprocessable):
    """This Idempotency-Key was used with a different content."""

    code = "idempotency_mismatch"
    remedy = "Use a new Idempotency-Key for a new message; repeat one only with the same content."


class PolicyUnknown(Unprocessable):
    """No split policy has this name."""

    code = "policy_unknown"
    remedy = "Name one of the policies listed at /.well-known/tallystick-keys."


class TooMany(Refused):
    """A bound on tries or rates is reached; `wait_ms` is when to come back, 0 where nobody knows."""

    code = "too_many"
    remedy = "Wait, then try again."

    def __init__(self, detail: str, *, field: str | None = None, wait_ms: int = 0) -> None:
        super().__init__(detail, field=field)
        self.wait_ms = wait_ms


class Unavailable(Refused):
    """The platform cannot take this now; nothing was accepted."""

    code = "unavailable"
    remedy = "Try again after the time in Retry-After."


class Misconfigured(TallystickError):
    """Settings, keys or files of the operator are wrong; the process refuses to go on."""

    code = "misconfigured"
    remedy = "Run tallystick doctor."


class StoreFailed(TallystickError):
    """The store could not make the change durable; nothing was acknowledged."""

    code = "store_failed"
    remedy = "Send it again under the same Idempotency-Key; who runs the platform finds the cause by tallystick doctor."


class CredentialRefused(TallystickError):
    """The joined parts give no credential; `reason` is a stable word for the record, never shown to guessers."""

    code = "credential_refused"
    remedy = "Start a new payment with the right password and the current number."

    def __init__(self, reason: str) -> None:
        super().__init__(f"the joined parts give no credential: {reason}")
        self.reason = reason


class NoRoute(TallystickError):
    """No back end in the routing table serves this credential."""

    code = "no_route"
    remedy = "See tallystick routes explain for the table's answer."


class DeliveryError(TallystickError):
    """A back end did not give a definite answer."""

    code = "delivery_error"


class NotSent(DeliveryError):
    """No byte of the request left this process: the next candidate may be tried."""

    code = "not_sent"


class Unfit(NotSent):
    """This instruction cannot go to this back end: it says nothing about the back end's health."""

    code = "unfit"


class OutcomeUnknown(DeliveryError):
    """The request may have been acted on: record UNKNOWN, never send a new authorisation for it."""

    code = "outcome_unknown"


class OutcomePending(OutcomeUnknown):
    """The back end took the request and will tell its outcome later, by a notification or when it is asked."""

    code = "outcome_pending"


class ReversalRefused(DeliveryError):
    """The back end will not undo a request: its reversal is not repeated, a person decides."""

    code = "reversal_refused"
