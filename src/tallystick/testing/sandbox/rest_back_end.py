"""What a REST back end checks and remembers, without sockets (docs/reference/rest-back-end.md is the text to it)."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from tallystick import limits
from tallystick.crypto import httpsig
from tallystick.crypto.binding import bind
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import Verifier
from tallystick.errors import (
    Conflict,
    IdempotencyMismatch,
    Malformed,
    NotAuthentic,
    NotFound,
    Refused,
    Replayed,
    SignatureInvalid,
    Stale,
    TooLarge,
    Unprocessable,
    WrongMediaType,
)
from tallystick.runtime import Clock, Millis
from tallystick.testing.sandbox.record import Entry, Record
from tallystick.testing.sandbox.rest_rules import APPROVED, Magic, Ruling, magic_of, masked
from tallystick.wire import rest as wire

UNREADABLE: Final = Ruling("credential_unreadable", None)
"""The JWE does not open for this payment, or what is in it is no credential."""

STATUSES: Final = ((NotAuthentic, 401), (NotFound, 404), (Conflict, 409), (TooLarge, 413), (Unprocessable, 422))
OK: Final = 200
MALFORMED: Final = 400
UNPROCESSABLE: Final = 422
APPROVAL_DIGITS: Final = 6

Rules = Callable[[wire.WireCredential, int], Ruling]


class Reply(Struct, frozen=True):
    """An answer before it is signed: it stays unsigned without a `nonce`, and is sent as `magic` says."""

    status: int
    body: bytes
    nonce: str | None = None
    magic: Magic | None = None


class _Decided(Struct, frozen=True):
    """What is remembered of a payment key for ever."""

    content: bytes
    status: int
    response: wire.AuthorisationResponse


class RestBackEnd:
    """Check requests of the one platform that signs with `platform_key` as `platform_keyid`, and decide by `rules`.

    Each payment key is decided once for ever; `record` has every request.
    """

    def __init__(
        self,
        *,
        institution: str,
        platform_key: Verifier,
        platform_keyid: str,
        encryption_key: JweKey,
        rules: Rules,
        record: Record,
        clock: Clock,
    ) -> None:
        self._institution = institution
        self._platform_key = platform_key
        self._platform_keyid = platform_keyid
        self._encryption_key = encryption_key
        self._rules = rules
        self._record = record
        self._clock = clock
        self._nonces: dict[str, Millis] = {}
        self._decided: dict[str, _Decided] = {}

    def reply(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Check one request and answer it.

        1. The body is within its bound.
        2. The signature is the platform's and covers all that it must.
        3. It is fresh, and its nonce is new: no request is taken twice.
        4. The address is known and the message has its form.

        A refusal before 3. is not signed: a signature under a nonce that somebody else chose could be misused.
        """
        nonce = None
        try:
            # 1.
            if len(body) > limits.BODY_MAX:
                raise TooLarge(f"a request has at most {limits.BODY_MAX} bytes")
            # 2.
            params = self._verified(method, target, headers, body)
            # 3.
            self._check_fresh(params)
            nonce = params.nonce
            # 4.
            match method, target:
                case "POST", wire.AUTHORISATIONS:
                    return self._authorise(headers, body, nonce)
                case "GET", wire.HEALTH:
                    self._note("health", outcome="answered")
                    return Reply(OK, wire.encode(wire.HealthResponse(version=1, status="ok")), nonce)
            raise NotFound("there is nothing at this address")
        except Refused as refusal:
            self._note("refused", outcome=refusal.code)
            status = next((status for kind, status in STATUSES if isinstance(refusal, kind)), MALFORMED)
            problem = {"type": "about:blank", "title": refusal.detail, "status": status, "code": refusal.code}
            return Reply(status, msgspec.json.encode(problem), nonce)

    def _verified(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> httpsig.SignatureParams:
        params = httpsig.parse_signature(headers)
        if params.keyid != self._platform_keyid:
            raise SignatureInvalid("the key of the signature is not known here")
        required = wire.REQUEST_COVERED if body else wire.HEALTH_COVERED
        httpsig.verify_request(
            params, self._platform_key, method=method, target=target, body=body, headers=headers, required=required
        )
        return params

    def _check_fresh(self, params: httpsig.SignatureParams) -> None:
        now = self._clock.now()
        if abs(now - params.created * 1000) > limits.FRESHNESS_MS:
            raise Stale("the signature was not made just now")
        while self._nonces and now - next(iter(self._nonces.values())) > limits.NONCE_KEPT_MS:
            del self._nonces[next(iter(self._nonces))]
        if params.nonce in self._nonces:
            raise Replayed("the nonce was used before")
        self._nonces[params.nonce] = now

    def _authorise(self, headers: Mapping[str, str], body: bytes, nonce: str) -> Reply:
        """Answer an authorisation: decide it, or repeat the decision for the same key, order and credential."""
        if headers.get("content-type") != wire.MEDIA_TYPE:
            raise WrongMediaType(f"this address takes {wire.MEDIA_TYPE}")
        message = wire.decode(body, wire.AuthorisationRequest)
        if headers.get("idempotency-key") != message.payment_key:
            raise Malformed("the Idempotency-Key is not the payment key")
        clear, credential = self._opened(message)
        content = hashlib.sha256(wire.encode(message.order) + b"\0" + clear).digest()
        known = self._decided.get(message.payment_key)
        if known is not None and known.content != content:
            raise IdempotencyMismatch("the payment key stands for another request")
        ruling = UNREADABLE if credential is None else self._rules(credential, message.order.amount)
        decided = known or self._decide(message.payment_key, content, ruling)
        self._note(
            "authorisation",
            payment_key=message.payment_key,
            amount=message.order.amount,
            currency=message.order.currency,
            payee=message.order.payee,
            credential=None if credential is None else masked(credential),
            secret=ruling.secret,
            outcome=decided.response.verdict,
            code=decided.response.code,
            effective=known is None and decided.response.verdict == "approved",
        )
        return Reply(decided.status, wire.encode(decided.response), nonce, magic_of(message.order.amount))

    def _opened(self, message: wire.AuthorisationRequest) -> tuple[bytes, wire.WireCredential | None]:
        """Open the credential for exactly this institution, key and order; what does not open is told by its token."""
        order = message.order
        info = bind(
            wire.CREDENTIAL_CONTEXT,
            self._institution,
            message.payment_key,
            order.payee,
            str(order.amount),
            order.currency,
        )
        try:
            clear = self._encryption_key.open(message.credential, info, wire.CREDENTIAL_TYPE)
            return clear, wire.decode_credential(clear)
        except Refused:
            return message.credential.encode(), None

    def _decide(self, payment_key: str, content: bytes, ruling: Ruling) -> _Decided:
        approved = ruling.code == APPROVED
        response = wire.AuthorisationResponse(
            version=1,
            payment_key=payment_key,
            verdict="approved" if approved else "declined",
            code=ruling.code,
            approval=f"{len(self._decided) + 1:0{APPROVAL_DIGITS}d}" if approved else None,
        )
        decided = _Decided(content, UNPROCESSABLE if ruling is UNREADABLE else OK, response)
        self._decided[payment_key] = decided
        return decided

    def _note(self, kind: str, **facts: str | int | bool | None) -> None:
        entry: Entry = {"at": self._clock.now(), "kind": kind, **facts}
        self._record.append(entry)
