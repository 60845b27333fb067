"""What a REST back end checks and remembers, without sockets (docs/reference/rest-back-end.md is the text to it)."""

import hashlib
import re
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
from tallystick.testing.sandbox.http_failures import NEVER_ACTED, Failure, failure_of
from tallystick.testing.sandbox.ledger import NOT_LOOKED_AT, Ledger, Payment, Standing
from tallystick.testing.sandbox.record import Entry, Record
from tallystick.testing.sandbox.rest_rules import APPROVED, NO_FUNDS, Ruling, masked
from tallystick.wire import rest as wire

UNREADABLE: Final = Ruling("credential_unreadable", None)
"""The JWE does not open for this payment, or what is in it is no credential."""

STATUSES: Final = ((NotAuthentic, 401), (NotFound, 404), (Conflict, 409), (TooLarge, 413), (Unprocessable, 422))
OK: Final = 200
MALFORMED: Final = 400
UNKNOWN: Final = 404
UNPROCESSABLE: Final = 422
APPROVAL_DIGITS: Final = 6
PENDING: Final = "09"  # the codes are those of ISO 8583 DE39
REVERSED: Final = "21"
REFUSED: Final = "12"

_ONE: Final = re.compile(rf"{wire.AUTHORISATIONS}/(?P<key>[A-Za-z0-9_-]{{1,64}})(?P<reversal>/reversal)?")

Rules = Callable[[wire.WireCredential, int], Ruling]


class Reply(Struct, frozen=True):
    """An answer before it is signed: it stays unsigned without a `nonce`, and is sent as `failure` says.

    `pending` is the key of a request that is decided later.
    """

    status: int
    body: bytes
    nonce: str | None = None
    failure: Failure | None = None
    pending: str | None = None


class RestBackEnd:
    """Check requests of the one platform that signs with `platform_key` as `platform_keyid`, and decide by `rules`.

    Each payment key is decided once for ever (`ledger`); `record` has every request.
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
        self.ledger = Ledger(approved=APPROVED, declined=NO_FUNDS)
        self.ledger.recall(record.entries, REVERSED)

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
            one = _ONE.fullmatch(target)
            if one is not None and (method, one["reversal"]) == ("GET", None):
                return self._inquire(one["key"], nonce)
            if one is not None and method == "POST" and one["reversal"]:
                return self._reverse(one["key"], body, nonce)
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
        required = wire.REQUEST_COVERED if body else wire.BARE_COVERED
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
        order, key, failure = message.order, message.payment_key, failure_of(message.order.amount)
        clear, credential = self._opened(message)
        ruling = UNREADABLE if credential is None else self._rules(credential, order.amount)
        seen: dict[str, str | int | None] = {
            "payment_key": key,
            "amount": order.amount,
            "currency": order.currency,
            "payee": order.payee,
            "credential": None if credential is None else masked(credential),
            "secret": ruling.secret,
        }
        if failure in NEVER_ACTED and self.ledger.find(key) is None:
            self._note("authorisation", **seen, outcome=NOT_LOOKED_AT, code=None)
            return Reply(OK, b"", nonce, failure)
        content = hashlib.sha256(wire.encode(order) + b"\0" + clear).digest()
        payment, moved = self.ledger.enter(
            key, content, ruling.code, amount=order.amount, currency=order.currency, failure=failure
        )
        answer = _decision(key, payment)
        self._note("authorisation", **seen, outcome=answer.verdict, code=answer.code, effective=moved)
        status = UNPROCESSABLE if payment.code == UNREADABLE.code else OK
        pending = key if payment.standing is Standing.PENDING else None
        return Reply(status, wire.encode(answer), nonce, failure, pending)

    def _inquire(self, key: str, nonce: str) -> Reply:
        """Tell what is known of a key."""
        payment = self.ledger.find(key)
        if payment is None or payment.failure is Failure.UNLISTED:
            self._note("inquiry", payment_key=key, outcome="not_found")
            return Reply(
                UNKNOWN, wire.encode(wire.RequestStatus(version=1, payment_key=key, status="not_found")), nonce
            )
        code = PENDING if payment.standing is Standing.PENDING else payment.code
        status = wire.RequestStatus(version=1, payment_key=key, status=payment.standing.value, code=code)
        self._note("inquiry", payment_key=key, outcome=status.status, code=code)
        return Reply(OK, wire.encode(status), nonce)

    def _reverse(self, key: str, body: bytes, nonce: str) -> Reply:
        """Undo a request, also one that never came."""
        if wire.decode(body, wire.ReversalRequest).payment_key != key:
            raise Malformed("the payment key is not that of the address")
        payment = self.ledger.find(key)
        refused = payment is not None and payment.failure is Failure.IRREVERSIBLE
        undone = not refused and self.ledger.reverse(key, REVERSED)
        answer = wire.ReversalResponse(
            version=1,
            payment_key=key,
            verdict="refused" if refused else "reversed",
            code=REFUSED if refused else REVERSED,
        )
        self._note("reversal", payment_key=key, outcome=answer.verdict, code=answer.code, undone=undone)
        return Reply(OK, wire.encode(answer), nonce)

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

    def note_decision(self, key: str, payment: Payment) -> None:
        """Record that a pending request was decided."""
        effective = payment.standing is Standing.APPROVED
        self._note("decision", payment_key=key, amount=payment.amount, outcome=payment.standing, effective=effective)

    def note_told(self, key: str, answer: str) -> None:
        """Record that the platform was told of a decision, and what it answered."""
        self._note("told", payment_key=key, outcome=answer)

    def _note(self, kind: str, **facts: str | int | bool | None) -> None:
        entry: Entry = {"at": self._clock.now(), "kind": kind, "effective": False, **facts}
        self._record.append(entry)


def _decision(key: str, payment: Payment) -> wire.AuthorisationResponse:
    """Say how a request stands; one that was reversed is declined."""
    approved, pending = payment.standing is Standing.APPROVED, payment.standing is Standing.PENDING
    return wire.AuthorisationResponse(
        version=1,
        payment_key=key,
        verdict="pending" if pending else "approved" if approved else "declined",
        code=PENDING if pending else payment.code,
        approval=f"{payment.number:0{APPROVAL_DIGITS}d}" if approved else None,
    )
