"""What an account system checks and remembers, without sockets (docs/reference/account-back-end.md is its text)."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from tallystick import limits
from tallystick.crypto.binding import bind
from tallystick.crypto.jose import JweKey
from tallystick.crypto.rsa_sign import RsaPublic, verify_message
from tallystick.errors import IdempotencyMismatch, NotAuthentic, NotFound, Refused, TooLarge
from tallystick.runtime import Clock
from tallystick.testing.sandbox.account_rules import NO_FUNDS, rule
from tallystick.testing.sandbox.http_failures import NEVER_ACTED, Failure, failure_of
from tallystick.testing.sandbox.http_server import Received
from tallystick.testing.sandbox.ledger import NOT_LOOKED_AT, Ledger, Payment, Standing
from tallystick.testing.sandbox.record import Entry, Record
from tallystick.testing.sandbox.rest_rules import masked
from tallystick.wire import account as wire
from tallystick.wire.rest import WireCredential, decode_credential

OK: Final = 200
MALFORMED: Final = 400
STATUSES: Final = ((NotAuthentic, 401), (NotFound, 404), (TooLarge, 413))
REFUSED: Final = "CANCEL_NOT_ALLOWED"

_STATUSES: Final[Mapping[Standing, Literal["PROCESSING", "SUCCESS", "FAIL", "CANCELLED"]]] = {
    Standing.PENDING: "PROCESSING",
    Standing.APPROVED: "SUCCESS",
    Standing.DECLINED: "FAIL",
    Standing.REVERSED: "CANCELLED",
}


class Reply(Struct, frozen=True, kw_only=True):
    """An answer before it is signed; a refusal stays unsigned. `pending` is the key of a payment decided later."""

    status: int
    body: bytes
    signed: bool
    failure: Failure | None = None
    pending: str | None = None


class AccountBackEnd:
    """Check requests of the one platform that is `client_id` and has `platform_keys`, and decide them.

    Each payment request id is decided once for ever (`ledger`); `record` has every request.
    """

    def __init__(
        self,
        *,
        client_id: str,
        platform_keys: Mapping[int, RsaPublic],
        encryption_key: JweKey,
        accounts: Mapping[str, str],
        record: Record,
        clock: Clock,
    ) -> None:
        self.ledger = Ledger(approved=wire.SUCCESS, declined=NO_FUNDS)
        self.ledger.recall(record.entries, wire.CANCELLED)
        self._client_id = client_id
        self._platform_keys = platform_keys
        self._encryption_key = encryption_key
        self._accounts = accounts
        self._record = record
        self._clock = clock

    def reply(self, request: Received) -> Reply:
        """Check one request and answer it.

        1. The body is within its bound.
        2. The platform signed the request just now. A repeat is let through: it has the same answer.
        3. The address is known and the message has its form.
        """
        try:
            # 1.
            if len(request.body) > limits.BODY_MAX:
                raise TooLarge(f"a request has at most {limits.BODY_MAX} bytes")
            # 2.
            verify_message(
                self._platform_keys,
                method=request.method,
                path=request.target,
                client_id=self._client_id,
                time_header="request-time",
                headers=request.headers,
                body=request.body,
                now=self._clock.now(),
            )
            # 3.
            answer = self._handlers().get((request.method, request.target))
            if answer is None:
                raise NotFound("there is nothing at this address")
            return answer(request.body)
        except Refused as refusal:
            self._note("refused", outcome=refusal.code)
            status = next((status for kind, status in STATUSES if isinstance(refusal, kind)), MALFORMED)
            return Reply(status=status, body=_encode({"result": _result("F", refusal.code)}), signed=False)

    def note_decision(self, key: str, payment: Payment) -> None:
        """Record that a pending payment was decided."""
        effective = payment.standing is Standing.APPROVED
        self._note("decision", payment_key=key, amount=payment.amount, outcome=payment.standing, effective=effective)

    def note_told(self, key: str, answer: str) -> None:
        """Record that the platform was told of a decision, and what it answered."""
        self._note("told", payment_key=key, outcome=answer)

    def _handlers(self) -> Mapping[tuple[str, str], Callable[[bytes], Reply]]:
        return {
            ("POST", wire.PAY): self._pay,
            ("POST", wire.INQUIRE): self._inquire,
            ("POST", wire.CANCEL): self._cancel,
            ("POST", wire.HEALTH): self._health,
        }

    def _pay(self, body: bytes) -> Reply:
        """Answer a payment: decide it, or repeat the decision for the same id, order and credential."""
        message = wire.decode(body, wire.PayRequest)
        key, amount, currency = message.payment_request_id, message.payment_amount, message.payment_amount.currency
        clear, credential = self._opened(message)
        failure = failure_of(int(amount.value))
        ruling = rule(self._accounts, credential, int(amount.value))
        seen: dict[str, str | int | None] = {
            "payment_key": key,
            "amount": int(amount.value),
            "currency": currency,
            "payee": message.order.order_description,
            "credential": None if credential is None else masked(credential),
            "secret": ruling.secret,
        }
        if failure in NEVER_ACTED and self.ledger.find(key) is None:
            self._note("pay", **seen, outcome=NOT_LOOKED_AT, code=None)
            return Reply(status=OK, body=b"", signed=True, failure=failure)
        content = hashlib.sha256(_encode((message.order, amount)) + b"\0" + clear).digest()
        try:
            payment, moved = self.ledger.enter(
                key, content, ruling.code, amount=int(amount.value), currency=currency, failure=failure
            )
        except IdempotencyMismatch as mismatch:
            self._note("pay", **seen, outcome=mismatch.code, code=wire.INCONSISTENT)
            answer = wire.PayAnswer(result=_result("F", wire.INCONSISTENT), payment_request_id=key)
            return Reply(status=OK, body=_encode(answer), signed=True, failure=failure)
        answer = wire.PayAnswer(
            result=result_of(payment),
            payment_request_id=key,
            payment_amount=paid_of(payment),
            payment_id=f"P{payment.number}",
        )
        self._note("pay", **seen, outcome=payment.standing, code=answer.result.result_code, effective=moved)
        pending = key if payment.standing is Standing.PENDING else None
        return Reply(status=OK, body=_encode(answer), signed=True, failure=failure, pending=pending)

    def _inquire(self, body: bytes) -> Reply:
        """Tell what is known of a payment."""
        key = wire.decode(body, wire.NamedRequest).payment_request_id
        payment = self.ledger.find(key)
        if payment is None or payment.failure is Failure.UNLISTED:
            answer = wire.InquiryAnswer(result=_result("F", wire.NOT_FOUND), payment_request_id=key)
            self._note("inquiry", payment_key=key, outcome="not_found")
        else:
            answer = wire.InquiryAnswer(
                result=_result("S", wire.SUCCESS),
                payment_request_id=key,
                payment_status=_STATUSES[payment.standing],
                payment_result_code=result_of(payment).result_code,
                payment_amount=paid_of(payment),
            )
            self._note("inquiry", payment_key=key, outcome=payment.standing)
        return Reply(status=OK, body=_encode(answer), signed=True)

    def _cancel(self, body: bytes) -> Reply:
        """Undo a payment, also one that never came."""
        key = wire.decode(body, wire.NamedRequest).payment_request_id
        payment = self.ledger.find(key)
        refused = payment is not None and payment.failure is Failure.IRREVERSIBLE
        undone = not refused and self.ledger.reverse(key, wire.CANCELLED)
        result = _result("F", REFUSED) if refused else _result("S", wire.SUCCESS)
        self._note("reversal", payment_key=key, outcome=result.result_code, undone=undone)
        answer = wire.CancelAnswer(result=result, payment_request_id=key)
        return Reply(status=OK, body=_encode(answer), signed=True)

    def _health(self, body: bytes) -> Reply:
        wire.decode(body, wire.HealthRequest)
        self._note("health", outcome="answered")
        return Reply(status=OK, body=_encode(wire.HealthAnswer(result=_result("S", wire.SUCCESS))), signed=True)

    def _opened(self, message: wire.PayRequest) -> tuple[bytes, WireCredential | None]:
        """Open the credential for exactly this client, id and order; what does not open is told by its token."""
        paid, token = message.payment_amount, message.payment_method.payment_method_id
        info = bind(
            wire.CREDENTIAL_CONTEXT,
            self._client_id,
            message.payment_request_id,
            message.order.order_description,
            paid.value,
            paid.currency,
        )
        try:
            clear = self._encryption_key.open(token, info, wire.CREDENTIAL_TYPE)
            return clear, decode_credential(clear)
        except Refused:
            return token.encode(), None

    def _note(self, kind: str, **facts: str | int | bool | None) -> None:
        entry: Entry = {"at": self._clock.now(), "kind": kind, "effective": False, **facts}
        self._record.append(entry)


def result_of(payment: Payment) -> wire.Result:
    """Return the result by which a payment is told."""
    match payment.standing:
        case Standing.PENDING:
            return _result("U", wire.IN_PROCESS)
        case Standing.APPROVED:
            return _result("S", payment.code)
        case Standing.DECLINED | Standing.REVERSED:
            return _result("F", payment.code)


def paid_of(payment: Payment) -> wire.Amount | None:
    """Return what was paid."""
    if payment.standing is not Standing.APPROVED:
        return None
    return wire.Amount(currency=payment.currency, value=str(payment.amount))


def _result(status: Literal["S", "F", "U"], code: str) -> wire.Result:
    return wire.Result(result_code=code, result_status=status, result_message=code.lower())


def _encode(message: object) -> bytes:
    return msgspec.json.encode(message)
