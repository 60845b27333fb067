"""Talk to the merchants' API: pure request builders, and two thin clients over them (docs/reference/merchants.md).

    with Merchant.connect("https://pay.example:8445", key, ca=Path("trust.pem")) as merchant:
        created = merchant.ask(create_payment(NewPayment(policy="account", order=order)))

A builder makes a request with its Idempotency-Key; `ask` sends it, again where that is safe, and reads the answer.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar
from urllib.parse import urlencode

import httpx2
import msgspec

from tallystick.crypto.tls import client_context
from tallystick.errors import TallystickError
from tallystick.runtime import Randomness, SystemRandomness, new_id
from tallystick.sdk.answers import FAILURE_MIN, Answer, problem_of
from tallystick.sdk.client import ANSWER_MAX, COME_BACK_S, NO_ANSWER, SILENCE_S, TIMEOUT_S
from tallystick.sdk.errors import AnswerUnreadable, PlatformUnreachable
from tallystick.sdk.requests import target_of
from tallystick.sdk.retry import wait_before
from tallystick.secret import Secret
from tallystick.wire import merchant as wire
from tallystick.wire.payment import NewPayment

ANSWER_LIST_MAX: Final = 16 * ANSWER_MAX  # bytes of one page of a list
_RANDOMNESS: Final = SystemRandomness()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """One request, ready to send and to repeat; `kind` is what the answer is read as."""

    method: str
    target: str
    kind: type[T]
    body: bytes = b""
    idempotency_key: str = ""

    def headers(self, key: Secret) -> dict[str, str]:
        """Return its headers, the key among them: for the request alone, never for a log."""
        lines = {"authorization": f"Bearer {key.reveal()}", wire.VERSION_HEADER: wire.API_VERSION}
        if self.method == "POST":
            lines |= {"content-type": "application/json", "idempotency-key": self.idempotency_key}
        return lines

    def read(self, answer: Answer) -> T:
        """Return what an answer says; raises PlatformProblem, or AnswerUnreadable for one of another shape."""
        if len(answer.body) > ANSWER_LIST_MAX:
            raise AnswerUnreadable(f"an answer has at most {ANSWER_LIST_MAX} bytes")
        if answer.status >= FAILURE_MIN:
            raise problem_of(answer, proven=True)
        try:
            return msgspec.json.decode(answer.body, type=self.kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AnswerUnreadable("the answer has not the documented shape") from error


def create_payment(new: NewPayment, *, idempotency_key: str | None = None) -> Asked[wire.MerchantPaymentCreated]:
    """Create a payment; with your own order number as the Idempotency-Key, it is created once whatever happens."""
    return _post(wire.PAYMENTS, new, wire.MerchantPaymentCreated, idempotency_key)


def get_payment(payment: str) -> Asked[wire.MerchantPayment]:
    """Read a payment."""
    return Asked("GET", target_of(wire.PAYMENTS, payment), wire.MerchantPayment)


def list_payments(
    *, limit: int | None = None, cursor: str | None = None, state: str | None = None
) -> Asked[wire.PaymentList]:
    """Read one page of payments, newest first; `next_cursor` of the answer is the `cursor` of the next page."""
    asked = {"limit": limit, "cursor": cursor, "state": state}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return Asked("GET", f"{wire.PAYMENTS}?{query}" if query else wire.PAYMENTS, wire.PaymentList)


def cancel_payment(payment: str, *, idempotency_key: str | None = None) -> Asked[wire.MerchantPayment]:
    """Cancel a payment; PlatformProblem `already_final` when it was joined or ended before."""
    return _post(target_of(wire.PAYMENTS, payment, "cancel"), wire.Empty(), wire.MerchantPayment, idempotency_key)


def refund_payment(
    payment: str, amount: int | None = None, reason: str = "", *, idempotency_key: str | None = None
) -> Asked[wire.MerchantRefund]:
    """Record a refund of `amount` minor units, or of all that is left."""
    new = wire.NewRefund(amount=amount, reason=reason)
    return _post(target_of(wire.PAYMENTS, payment, "refunds"), new, wire.MerchantRefund, idempotency_key)


def list_refunds(payment: str) -> Asked[wire.RefundList]:
    """Read the refunds of a payment."""
    return Asked("GET", target_of(wire.PAYMENTS, payment, "refunds"), wire.RefundList)


def play_payment(
    payment: str, asked: wire.TestPay, *, idempotency_key: str | None = None
) -> Asked[wire.MerchantPayment]:
    """Let the platform play halves of a payment of test mode."""
    return _post(
        target_of(wire.TEST.removesuffix("/{id}"), payment, "pay"), asked, wire.MerchantPayment, idempotency_key
    )


def advance_payment(payment: str, seconds: int, *, idempotency_key: str | None = None) -> Asked[wire.MerchantPayment]:
    """Let time go by for a payment of test mode."""
    target = target_of(wire.TEST.removesuffix("/{id}"), payment, "advance")
    return _post(target, wire.TestAdvance(seconds=seconds), wire.MerchantPayment, idempotency_key)


class Merchant:
    """The client for programs without an event loop."""

    def __init__(self, http: httpx2.Client, key: Secret, *, randomness: Randomness = _RANDOMNESS) -> None:
        """Take an HTTP client that has the platform's origin as base; own it from now."""
        self._http = http
        self._key = key
        self._randomness = randomness

    @classmethod
    def connect(cls, url: str, key: Secret, *, ca: Path) -> Self:
        """Make a client that trusts `ca` (PEM), and no proxy or other setting of the environment; Misconfigured."""
        return cls(httpx2.Client(base_url=url, verify=client_context(ca), trust_env=False, timeout=TIMEOUT_S), key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ask(self, asked: Asked[T]) -> T:
        """Send a request and return what the platform answered; raises the errors of `sdk.errors`."""
        attempt = 1
        while True:
            try:
                return asked.read(self._send(asked))
            except TallystickError as failure:
                wait = wait_before(attempt, failure, self._randomness)
                if wait is None:
                    raise
            time.sleep(wait)
            attempt += 1

    def events(self, after: int = 0) -> Iterator[wire.MerchantEvent]:
        """Yield every event after `after`, and go on for ever; its `seq` is where to go on after a restart."""
        while True:
            try:
                with self._http.stream("GET", **_stream(self._key, after)) as response:
                    _check(response.status_code, response.headers, b"" if response.is_success else response.read())
                    for event in _events(response.iter_lines()):
                        after = event.seq
                        yield event
            except NO_ANSWER:
                pass  # cut: what was missed comes after the last one seen
            time.sleep(COME_BACK_S)

    def _send(self, asked: Asked[Any]) -> Answer:
        try:
            sent = self._http.request(asked.method, asked.target, headers=asked.headers(self._key), content=asked.body)
        except NO_ANSWER as error:
            raise PlatformUnreachable("no answer came from the platform") from error
        return _answer(sent)


class AsyncMerchant:
    """The client for programs with an event loop."""

    def __init__(self, http: httpx2.AsyncClient, key: Secret, *, randomness: Randomness = _RANDOMNESS) -> None:
        """Take an HTTP client that has the platform's origin as base; own it from now."""
        self._http = http
        self._key = key
        self._randomness = randomness

    @classmethod
    def connect(cls, url: str, key: Secret, *, ca: Path) -> Self:
        """Make a client as `Merchant.connect` does."""
        http = httpx2.AsyncClient(base_url=url, verify=client_context(ca), trust_env=False, timeout=TIMEOUT_S)
        return cls(http, key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ask(self, asked: Asked[T]) -> T:
        """Send a request and return what the platform answered; raises the errors of `sdk.errors`."""
        attempt = 1
        while True:
            try:
                return asked.read(await self._send(asked))
            except TallystickError as failure:
                wait = wait_before(attempt, failure, self._randomness)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            attempt += 1

    async def events(self, after: int = 0) -> AsyncIterator[wire.MerchantEvent]:
        """Yield events as `Merchant.events` does; bound the time with `asyncio.timeout`."""
        while True:
            try:
                async with self._http.stream("GET", **_stream(self._key, after)) as response:
                    _check(
                        response.status_code, response.headers, b"" if response.is_success else await response.aread()
                    )
                    async for line in response.aiter_lines():
                        for event in _events([line]):
                            after = event.seq
                            yield event
            except NO_ANSWER:
                pass  # as in `Merchant.events`
            await asyncio.sleep(COME_BACK_S)

    async def _send(self, asked: Asked[Any]) -> Answer:
        try:
            sent = await self._http.request(
                asked.method, asked.target, headers=asked.headers(self._key), content=asked.body
            )
        except NO_ANSWER as error:
            raise PlatformUnreachable("no answer came from the platform") from error
        return _answer(sent)


def _post(target: str, content: msgspec.Struct, kind: type[T], idempotency_key: str | None) -> Asked[T]:
    key = idempotency_key or new_id("idem", _RANDOMNESS)
    return Asked("POST", target, kind, msgspec.json.encode(content), key)


def _stream(key: Secret, after: int) -> dict[str, Any]:
    asked: Asked[wire.MerchantEvent] = Asked("GET", f"{wire.EVENTS}?after={after}", wire.MerchantEvent)
    headers = {**asked.headers(key), "accept-encoding": "identity"}
    return {"url": asked.target, "headers": headers, "timeout": httpx2.Timeout(TIMEOUT_S, read=SILENCE_S)}


def _check(status: int, headers: Mapping[str, str], body: bytes) -> None:
    if status >= FAILURE_MIN:
        raise problem_of(Answer(status, _lower(headers), body), proven=True)


def _events(lines: Iterable[str]) -> Iterator[wire.MerchantEvent]:
    for line in lines:
        if line.startswith("data: "):
            yield msgspec.json.decode(line.removeprefix("data: "), type=wire.MerchantEvent)


def _answer(sent: httpx2.Response) -> Answer:
    return Answer(sent.status_code, _lower(sent.headers), sent.content)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
