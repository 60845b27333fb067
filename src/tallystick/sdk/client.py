"""The asynchronous client of channels, merchants and institutions: fetch keys, seal, sign, send, verify."""

import asyncio
import logging
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx2
from msgspec import Struct

from tallystick.assembly.facts import FINAL_STATES
from tallystick.crypto.signing import Pinned
from tallystick.crypto.tls import client_context
from tallystick.errors import TallystickError
from tallystick.runtime import Clock, Randomness, SystemClock, SystemRandomness, new_id
from tallystick.sdk.answers import FAILURE_MIN, Answer, answer_key, problem_of, read_answer
from tallystick.sdk.errors import AnswerUnreadable, PlatformUnreachable
from tallystick.sdk.keys import KEYS_TARGET, HeldKeys
from tallystick.sdk.requests import Credentials, PaymentBinding, Request, seal_request, sign_get, sign_post, target_of
from tallystick.sdk.retry import is_unknown_key, wait_before
from tallystick.sdk.settings import DEFAULT_SUITE, Profile
from tallystick.secret import Secret
from tallystick.wire.enrolment import CERTIFICATES, Renewal, Renewed
from tallystick.wire.keys import PublishedKey
from tallystick.wire.part import PartContent, PartReceipt, PartStatus, WireElement
from tallystick.wire.payment import (
    Candidates,
    Choice,
    Done,
    IssuedNumber,
    IssuedValue,
    NewPayment,
    Nothing,
    PaymentCreated,
    PaymentStatus,
    PinTokenGiven,
)

TIMEOUT_S: Final = 10.0  # s to connect, and to wait for each piece of an answer
ANSWER_MAX: Final = 64 * 1024  # bytes; the longest answer is a key list of about 4 kB
NONCE_BYTES: Final = 16
SILENCE_S: Final = 30.0  # s without a word after which a stream of events counts as cut: two heartbeats
COME_BACK_S: Final = 2.0  # s before a stream that ended is opened again
NO_ANSWER: Final = (httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError)

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def http_client(profile: Profile) -> httpx2.AsyncClient:
    """Make an HTTP client with the certificate that a profile's files hold now; Misconfigured."""
    context = client_context(profile.ca, profile.certificate, profile.private_key)
    return httpx2.AsyncClient(base_url=profile.base_url, verify=context, trust_env=False, timeout=TIMEOUT_S)


class TallystickClient:
    """Talk to one platform as one sender; safe for concurrent use on one event loop.

    Every method that changes something takes an `idempotency_key` of up to 64 ASCII characters: give your own to repeat
    a call after a crash; without one the client makes a new one and repeats within the call only.

    Every method raises the errors of `sdk.errors`; a call that raised PlatformUnreachable may have had its effect.
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        credentials: Credentials,
        identity: Pinned,
        *,
        suite: str = DEFAULT_SUITE,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        """Take an HTTP client that has the platform's origin as base and the sender's certificate; own it from now."""
        self._http = http
        self._credentials = credentials
        self._answer_key = answer_key(credentials, identity)
        self._held = HeldKeys(identity, suite)
        self._fetching = asyncio.Lock()
        self._clock = clock or SystemClock()
        self._randomness = randomness or SystemRandomness()

    @classmethod
    def connect(cls, profile: Profile) -> Self:
        """Make a client for a profile: mutual TLS, no proxy or other setting from the environment; Misconfigured."""
        http = http_client(profile)
        return cls(http, profile.credentials, profile.identity, suite=profile.suite)

    def use(self, http: httpx2.AsyncClient) -> httpx2.AsyncClient:
        """Send over another HTTP client from now on; returns the one before, for the caller to close once idle."""
        before, self._http = self._http, http
        return before

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send_part(
        self, content: PartContent, *, payment: PaymentBinding | None = None, idempotency_key: str | None = None
    ) -> PartReceipt:
        """Send one part; with `payment`, for that created payment and no other."""
        return await self._post("/v1/parts", content, PartReceipt, idempotency_key, payment)

    async def pin_token(self, *, idempotency_key: str | None = None) -> PinTokenGiven:
        """Ask for a token to build one PIN block over (`sdk.pins.DevicePinKey.block`)."""
        return await self._post("/v1/pin-tokens", Nothing(), PinTokenGiven, idempotency_key)

    async def part_status(self, part: str) -> PartStatus:
        """Ask what became of a part this sender sent."""
        return await self._get(target_of("/v1/parts", part), PartStatus)

    async def create_payment(self, content: NewPayment, *, idempotency_key: str | None = None) -> PaymentCreated:
        """Create a payment that parts will be sent for."""
        return await self._post("/v1/payments", content, PaymentCreated, idempotency_key)

    async def payment_status(self, payment: str) -> PaymentStatus:
        """Ask where a payment of this sender stands."""
        return await self._get(target_of("/v1/payments", payment), PaymentStatus)

    async def cancel(self, payment: str, *, idempotency_key: str | None = None) -> Done:
        """Cancel a payment; PlatformProblem `already_final` when it was joined or ended before."""
        return await self._post(target_of("/v1/payments", payment, "cancel"), Nothing(), Done, idempotency_key)

    def payment_events(self, payment: str) -> AsyncIterator[PaymentStatus]:
        """Yield where a payment of this sender stands, then each new state until the final one.

        The platform's stream of events only rings the bell: what is yielded was read and proven as by
        `payment_status`. Where there is no stream the client looks every `COME_BACK_S`. A state that passes quickly may
        be left out. Bound the time with `asyncio.timeout`: a payment in doubt may take a day.
        """
        target = target_of("/v1/payments", payment, "events")
        return self._follow(target, lambda: self.payment_status(payment), lambda status: status.state)

    def part_events(self, part: str) -> AsyncIterator[PartStatus]:
        """Yield what became of a part this sender sent, then each new status until the final one.

        As `payment_events`; `accepted`, `unknown` and `manual` are not final.
        """
        target = target_of("/v1/parts", part, "events")
        return self._follow(target, lambda: self.part_status(part), lambda status: status.status)

    async def candidates(self, policy: str, element: WireElement, *, idempotency_key: str | None = None) -> Candidates:
        """List the rival parts under an element, as the payer's proven channel."""
        return await self._post("/v1/choices", Choice(policy=policy, element=element), Candidates, idempotency_key)

    async def choose(
        self, policy: str, element: WireElement, part: str, *, idempotency_key: str | None = None
    ) -> Candidates:
        """Choose one of the rival parts for the payer."""
        choice = Choice(policy=policy, element=element, part=part)
        return await self._post("/v1/choices", choice, Candidates, idempotency_key)

    async def set_number(self, username: Secret, number: str, *, idempotency_key: str | None = None) -> Done:
        """Set a user's dynamic number, as an institution that makes its own (patent claim 4)."""
        return await self._post("/v1/numbers", IssuedNumber(username=username, number=number), Done, idempotency_key)

    async def issue_value(self, value: str, valid_for: int, *, idempotency_key: str | None = None) -> Done:
        """Announce a value that the institution issued to a payer; `valid_for` in seconds (patent claim 10)."""
        return await self._post("/v1/values", IssuedValue(value=value, valid_for=valid_for), Done, idempotency_key)

    async def renew_certificate(self, csr: bytes, *, idempotency_key: str | None = None) -> Renewed:
        """Get the next certificate for `csr` (PEM, best of a new key), in the last third of this one's life.

        This client goes on with the old one, which stays valid until its end: make a new client with the new one, then
        close this. PlatformProblem `conflict` when it is too early.
        """
        return await self.post(CERTIFICATES, Renewal(csr=csr.decode()), Renewed, idempotency_key=idempotency_key)

    async def post(
        self, target: str, content: Struct, kind: type[_T], *, idempotency_key: str | None = None, wait_s: float = 0
    ) -> _T:
        """Send a signed message that is not sealed, to an address that takes such; for `sdk.deliveries`.

        `wait_s` is how long the platform may hold its answer back.
        """
        kept = idempotency_key or new_id("idem", self._randomness)

        async def build() -> Request:
            created, nonce = self._seconds(), self._nonce()
            return sign_post(self._credentials, target, content, created=created, nonce=nonce, idempotency_key=kept)

        return await self._exchange(build, kind, wait_s)

    async def policies(self) -> tuple[str, ...]:
        """Return the names of the platform's split policies."""
        await self._opening_key()
        return self._held.policies()

    async def _post(
        self,
        target: str,
        content: Struct,
        kind: type[_T],
        idempotency_key: str | None,
        payment: PaymentBinding | None = None,
    ) -> _T:
        kept = idempotency_key or new_id("idem", self._randomness)

        async def build() -> Request:
            key = await self._opening_key()
            return seal_request(
                self._credentials,
                key,
                target,
                content,
                created=self._seconds(),
                nonce=self._nonce(),
                idempotency_key=kept,
                payment=payment,
            )

        return await self._exchange(build, kind)

    async def _get(self, target: str, kind: type[_T]) -> _T:
        async def build() -> Request:
            return sign_get(self._credentials, target, created=self._seconds(), nonce=self._nonce())

        return await self._exchange(build, kind)

    async def _exchange(self, build: Callable[[], Awaitable[Request]], kind: type[_T], wait_s: float = 0) -> _T:
        """Build, send and read, again and anew while `wait_before` says so."""
        attempt = 1
        while True:
            try:
                request = await build()
                answer = await self._send(request, wait_s)
                return read_answer(answer, self._answer_key, request.nonce, kind)
            except TallystickError as failure:
                wait = wait_before(attempt, failure, self._randomness)
                if wait is None:
                    raise
                if is_unknown_key(failure):
                    self._held.forget()
                _log.info("send %d failed (%s), again in %.1f s", attempt, failure.code, wait)
            await self._clock.sleep(wait)
            attempt += 1

    async def _opening_key(self) -> PublishedKey:
        """Return the key to seal for; a failed fetch is an error only when no held key is valid."""
        async with self._fetching:
            now = self._clock.now()
            if self._held.due(now):
                try:
                    await self._fetch_keys()
                except TallystickError as failure:
                    if not self._held.usable(now):
                        raise
                    _log.warning("the key list could not be fetched (%s); the last one still serves", failure.code)
        return self._held.newest(self._clock.now())

    async def _fetch_keys(self) -> None:
        answer = await self._send(Request(method="GET", target=KEYS_TARGET, headers={}, body=b"", nonce=""))
        if answer.status >= FAILURE_MIN:
            raise problem_of(answer, proven=False)
        self._held.take(answer.body, self._clock.now())

    async def _send(self, request: Request, wait_s: float = 0) -> Answer:
        headers = {"accept-encoding": "identity", **request.headers}
        timeout = httpx2.Timeout(TIMEOUT_S, read=TIMEOUT_S + wait_s) if wait_s else httpx2.USE_CLIENT_DEFAULT
        body = bytearray()
        try:
            async with self._http.stream(
                request.method, request.target, headers=headers, content=request.body, timeout=timeout
            ) as response:
                if "content-encoding" in response.headers:
                    raise AnswerUnreadable("the answer has a content coding, which was not asked for")
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > ANSWER_MAX:
                        raise AnswerUnreadable(f"an answer has at most {ANSWER_MAX} bytes")
        except NO_ANSWER as error:
            raise PlatformUnreachable("no answer came from the platform") from error
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status_code, headers=found, body=bytes(body))

    async def _follow(
        self, target: str, read: Callable[[], Awaitable[_T]], word_of: Callable[[_T], str]
    ) -> AsyncIterator[_T]:
        told = ""
        while told not in FINAL_STATES:
            if told:
                await self._wait_for_news(target, told)
            status = await read()
            if word_of(status) != told:
                told = word_of(status)
                yield status

    async def _wait_for_news(self, target: str, told: str) -> None:
        """Return when the platform's stream tells something after `told`, or soon after it ended or did not begin.

        Nothing in the stream is believed: it is not signed.
        """
        request = sign_get(self._credentials, target, created=self._seconds(), nonce=self._nonce())
        headers = {"accept-encoding": "identity", "last-event-id": told, **request.headers}
        timeout = httpx2.Timeout(TIMEOUT_S, read=SILENCE_S)
        try:
            async with self._http.stream("GET", target, headers=headers, timeout=timeout) as response:
                if response.status_code < FAILURE_MIN:
                    async for line in response.aiter_lines():
                        if line.startswith("data:"):
                            return
        except NO_ANSWER:
            _log.info("the stream of events was cut")
        await self._clock.sleep(COME_BACK_S)

    def _seconds(self) -> int:
        return self._clock.now() // 1000

    def _nonce(self) -> str:
        return urlsafe_b64encode(self._randomness.token(NONCE_BYTES)).decode().rstrip("=")
