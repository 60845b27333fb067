"""What a wallet in Visa's style checks of a request, without sockets (docs/reference/visa-back-end.md is its text)."""

import hashlib
from typing import Final, TypeVar

from msgspec import Struct

from tallystick import limits
from tallystick.crypto import pay_token
from tallystick.crypto.mle import MleKey
from tallystick.crypto.pay_token import ResourcePath
from tallystick.errors import (
    Conflict,
    FieldInvalid,
    Malformed,
    NotAuthentic,
    NotFound,
    Refused,
    SignatureInvalid,
    TooLarge,
    WrongMediaType,
)
from tallystick.runtime import Clock
from tallystick.secret import Secret
from tallystick.testing.sandbox.http_failures import Failure
from tallystick.testing.sandbox.http_server import Received
from tallystick.testing.sandbox.visa_ledger import Ledger
from tallystick.testing.sandbox.visa_rules import failing
from tallystick.wire import visa as wire
from tallystick.wire.rest import decode

STATUSES: Final = ((NotAuthentic, 401), (NotFound, 404), (Conflict, 409), (TooLarge, 413), (WrongMediaType, 415))
OK: Final = 200
MALFORMED: Final = 400
ADDRESSES: Final = (wire.AUTHORIZATIONS, wire.QUERIES, wire.REVERSALS, wire.HEALTH)

_M = TypeVar("_M", bound=wire.Request)


class Agreed(Struct, frozen=True, kw_only=True):
    """What both sides exchanged; `login` is the header of HTTP Basic, where it is asked for."""

    api_key: str
    shared_secret: Secret
    key: MleKey
    token_path: ResourcePath
    login: Secret | None = None


class Reply(Struct, frozen=True):
    """An answer before it is sealed, or why there is none; it is sent as `failure` says."""

    status: int
    answer: wire.Answer | None = None
    refusal: str | None = None
    failure: Failure | None = None


class VisaBackEnd:
    """Check the platform's requests and answer them from the ledger."""

    def __init__(self, agreed: Agreed, ledger: Ledger, clock: Clock) -> None:
        self._agreed = agreed
        self._ledger = ledger
        self._clock = clock

    def reply(self, request: Received) -> Reply:
        """Check one request and answer it.

        1. The body is within its bound, the address is known and takes it.
        2. It names our API key, and its token is made with the shared secret for this very request, just now.
        3. It brings the login, where one is asked for.
        4. It is sealed for our key, just now.
        5. It is the kind of message that belongs to the address, and its key is that of the header.

        A refusal is neither sealed nor under a token: it decides nothing.
        """
        path, _, query = request.target.partition("?")
        try:
            # 1.
            _check_address(request, path)
            # 2. and 3.
            self._check_sender(request, query)
            # 4.
            if request.headers.get("keyid") != self._agreed.key.kid:
                raise FieldInvalid("the key of the header is not known here", field="keyId")
            clear = self._agreed.key.open(decode(request.body, wire.Sealed).enc_data, self._clock.now())
            # 5.
            return self._answer(path, clear, request.headers.get("idempotency-key", ""))
        except Refused as refusal:
            self._ledger.note("refused", outcome=refusal.code)
            status = next((status for kind, status in STATUSES if isinstance(refusal, kind)), MALFORMED)
            return Reply(status, refusal=refusal.code)

    def _check_sender(self, request: Received, query: str) -> None:
        agreed = self._agreed
        if query != f"apikey={agreed.api_key}":
            raise SignatureInvalid("the API key is not known here")
        text = pay_token.request_text(agreed.token_path.of(request.target), request.body)
        token = request.headers.get(pay_token.HEADER, "")
        pay_token.verify(agreed.shared_secret, token, text, self._clock.now())
        if agreed.login is not None and Secret(request.headers.get("authorization", "")) != agreed.login:
            raise NotAuthentic("the login is wrong")

    def _answer(self, path: str, clear: bytes, key: str) -> Reply:
        match path:
            case wire.AUTHORIZATIONS:
                message = _read(clear, wire.Authorization, key)
                decision = self._ledger.authorize(message, hashlib.sha256(clear).digest())
                return Reply(OK, decision, failure=failing(message.amount))
            case wire.QUERIES:
                return Reply(OK, self._ledger.query(_read(clear, wire.Query, key)))
            case wire.REVERSALS:
                undone = self._ledger.reverse(_read(clear, wire.Reversal, key))
                return Reply(OK, undone, failure=Failure.SILENT if undone is None else None)
        _read(clear, wire.Health, key)
        self._ledger.note("health", outcome="answered")
        return Reply(OK, wire.HealthAnswer(idempotency_key=key, status="ok"))


def _check_address(request: Received, path: str) -> None:
    if len(request.body) > limits.BODY_MAX:
        raise TooLarge(f"a request has at most {limits.BODY_MAX} bytes")
    if request.method != "POST" or path not in ADDRESSES:
        raise NotFound("there is nothing at this address")
    if request.headers.get("content-type") != wire.MEDIA_TYPE:
        raise WrongMediaType(f"this address takes {wire.MEDIA_TYPE}")


def _read(clear: bytes, kind: type[_M], key: str) -> _M:
    message = decode(clear, kind)
    if message.idempotency_key != key:
        raise Malformed("the Idempotency-Key is not the key of the message")
    return message
