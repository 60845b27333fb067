"""The connector to REST back ends: third-party account systems and wallets (docs/reference/rest-back-end.md).

Four layers: mutual TLS to the back end, a JWE around the credential to the back end's own key, an RFC 9421 signature of
the platform over the request, and one of the back end over its answer. Nothing is ever sent twice.
"""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx2

from tallystick import limits
from tallystick.adapters.connectors.rest_settings import RestSettings, read_verify_key
from tallystick.assembly.facts import CredentialKind
from tallystick.crypto.binding import bind
from tallystick.crypto.httpsig import sign_request, verify_response
from tallystick.crypto.jose import seal_jwe
from tallystick.crypto.signing import Signer, Verifier
from tallystick.delivery.model import Answer, Instruction, Verdict
from tallystick.errors import DeliveryError, NotSent, OutcomeUnknown, TallystickError
from tallystick.runtime import Clock, Randomness
from tallystick.vault.model import AccountCredential, CardCredential, Credential
from tallystick.wire import rest as wire

CONNECTIONS_MAX: Final = 100  # connections to one back end; a request that gets none in time is not sent
KEEP_ALIVE_S: Final = 30.0  # s an idle connection is kept: less than servers commonly do, so that we close first
RESPONSE_MAX: Final = limits.BODY_MAX  # bytes of an answer
NONCE_BYTES: Final = 16  # random bytes
OK: Final = 200
CLIENT_ERRORS: Final = range(400, 500)

NOTHING_LEFT: Final = (httpx2.PoolTimeout, httpx2.ConnectTimeout, httpx2.ConnectError)
"""What httpx2 raises only before the first byte of a request: no free connection, TCP or TLS not established.

They come from the pool's queue, `connect_tcp` and `start_tls` of `httpcore2` alone. `WriteError` is not among them: a
part of the request may have left. Nor is a server's refusal of our certificate: in TLS 1.3 that comes after our part of
the handshake and shows as an error of reading, which is why `echo` proves a link before the first payment.
"""


class RestConnector:
    """One back end (`delivery.ports.Connector`) over a pool of HTTP/1.1 connections.

    `ssl_context` trusts the back end's authority and presents the platform's certificate (`crypto.tls.client_context`).
    `signer` is the platform's key, known to the back end as `keyid`.
    """

    def __init__(
        self,
        settings: RestSettings,
        ssl_context: ssl.SSLContext,
        *,
        signer: Signer,
        keyid: str,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._settings = settings
        self._verify_key = read_verify_key(settings.verify_key)
        self._signer = signer
        self._keyid = keyid
        self._clock = clock
        self._randomness = randomness
        self._client = _client(settings, ssl_context)

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send one authorisation and judge its answer (`delivery.ports.Connector.deliver`).

        1. The back end takes this kind of credential: else NotSent.
        2. The request can be built, sealed and signed, and has the form that was agreed: else NotSent.
        3. The exchange ends (`_exchange`), with a signed answer to this very request (`judge`): else OutcomeUnknown.

        When the caller is cancelled, the outcome is unknown too: the caller records it.
        """
        # 1.
        credential = instruction.credential
        if _kind(credential) not in self._settings.accepts:
            raise NotSent("this back end does not take this kind of credential")
        # 2.
        nonce = self._nonce()
        try:
            request = self._authorisation(instruction, nonce)
        except (TallystickError, ValueError):
            request = None  # the reason may hold what was to be encoded
        if request is None:
            raise NotSent("the request cannot be built from this instruction")
        # 3.
        response, body = await self._exchange(request)
        return judge(self._verify_key, response.status_code, response.headers, body, nonce, instruction.ids.key)

    async def echo(self) -> None:
        """Prove link, certificates and both signature keys by a health call; raises DeliveryError."""
        nonce = self._nonce()
        request = self._request("GET", wire.HEALTH, b"", {}, wire.HEALTH_COVERED, nonce)
        response, body = await self._exchange(request)
        try:
            verify_response(
                self._verify_key, status=response.status_code, body=body, headers=response.headers, nonce=nonce
            )
            wire.decode(body, wire.HealthResponse)
        except TallystickError as wrong:
            raise OutcomeUnknown(f"the back end does not answer its health call: {wrong.detail}") from wrong
        if response.status_code != OK:
            raise OutcomeUnknown("the back end does not answer its health call with 200")

    async def aclose(self) -> None:
        """Close all connections; requests in flight end as OutcomeUnknown, later ones as NotSent."""
        await self._client.aclose()

    def _authorisation(self, instruction: Instruction, nonce: str) -> httpx2.Request:
        """Build the request; its own decoding proves the form, so that nothing leaves that must be refused."""
        order, key = instruction.order, instruction.ids.key
        info = bind(
            wire.CREDENTIAL_CONTEXT, self._settings.institution, key, order.payee, str(order.amount), order.currency
        )
        clear = wire.encode(_wire_credential(instruction.credential))
        message = wire.AuthorisationRequest(
            version=1,
            payment_key=key,
            order=wire.RestOrder(
                payee=order.payee, amount=order.amount, currency=order.currency, reference=order.reference
            ),
            sent_at=instruction.ids.at,
            credential=seal_jwe(self._settings.encryption_jwk, clear, info, wire.CREDENTIAL_TYPE),
        )
        body = wire.encode(message)
        wire.decode_credential(clear)
        wire.decode(body, wire.AuthorisationRequest)
        headers = {"content-type": wire.MEDIA_TYPE, "idempotency-key": key}
        return self._request("POST", wire.AUTHORISATIONS, body, headers, wire.REQUEST_COVERED, nonce)

    def _request(
        self, method: str, path: str, body: bytes, headers: dict[str, str], covered: tuple[str, ...], nonce: str
    ) -> httpx2.Request:
        """Sign a request; it is sent as it stands, without any header that the client would add."""
        url = httpx2.URL(self._settings.base_url + path)
        signature = sign_request(
            self._signer,
            keyid=self._keyid,
            method=method,
            target=url.raw_path.decode(),
            body=body,
            headers=headers,
            covered=covered,
            created=self._clock.now() // 1000,
            nonce=nonce,
        )
        extensions: dict[str, Any] = {}
        if self._settings.server_name is not None:
            extensions["sni_hostname"] = self._settings.server_name
        return httpx2.Request(method, url, headers={**headers, **signature}, content=body, extensions=extensions)

    async def _exchange(self, request: httpx2.Request) -> tuple[httpx2.Response, bytes]:
        """Send once and read the whole answer, within the time of the settings.

        Raises NotSent for what `NOTHING_LEFT` lists and for a closed connector; everything else is OutcomeUnknown. The
        limits in `_client` end every phase before the first byte earlier than the whole, so that a timeout of the
        whole never hides a request that was not sent.
        """
        if self._client.is_closed:
            raise NotSent("the connector is closed")
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                response = await self._client.send(request, stream=True)
                try:
                    return response, await _read(response)
                finally:
                    await response.aclose()
        except NOTHING_LEFT as failure:
            raise NotSent(f"no connection to the back end: {type(failure).__name__}") from failure
        except DeliveryError:
            raise
        except Exception as failure:  # anyio lets some TLS errors through as they are: none proves anything
            raise OutcomeUnknown(f"no answer of the back end: {type(failure).__name__}") from failure

    def _nonce(self) -> str:
        return base64.urlsafe_b64encode(self._randomness.token(NONCE_BYTES)).decode().rstrip("=")


def judge(key: Verifier, status: int, headers: Mapping[str, str], body: bytes, nonce: str, payment_key: str) -> Answer:
    """Take an answer for a decision only when all of this holds, else raise OutcomeUnknown.

    1. It is signed by the back end over status and body, for the nonce of this request (`verify_response`).
    2. It has exactly the form of an authorisation response.
    3. It names this payment's key.
    4. Its status is 200, or 4xx with the verdict declined: a refusal approves nothing.
    """
    try:
        # 1.
        verify_response(key, status=status, body=body, headers=headers, nonce=nonce)
        # 2.
        response = wire.decode(body, wire.AuthorisationResponse)
    except TallystickError as wrong:
        raise OutcomeUnknown(f"the answer of the back end proves nothing: {wrong.detail}") from wrong
    # 3.
    if response.payment_key != payment_key:
        raise OutcomeUnknown("the answer of the back end is about another payment")
    # 4.
    verdict = Verdict(response.verdict)
    if status != OK and not (status in CLIENT_ERRORS and verdict is Verdict.DECLINED):
        raise OutcomeUnknown("the answer of the back end contradicts its status")
    return Answer(verdict=verdict, code=response.code, approval=response.approval)


async def _read(response: httpx2.Response) -> bytes:
    """Read a bounded body as it was sent: Content-Digest is over the coded content (RFC 9530), and nothing inflates."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > RESPONSE_MAX:
            raise OutcomeUnknown(f"the answer of the back end has more than {RESPONSE_MAX} bytes")
    return bytes(body)


def _client(settings: RestSettings, ssl_context: ssl.SSLContext) -> httpx2.AsyncClient:
    """Make a client without retries, redirects, cookies, proxies or anything else of the environment."""
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(
            verify=ssl_context,
            trust_env=False,
            retries=0,
            limits=httpx2.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
        ),
        # a quarter each for the pool, TCP and TLS: see `_exchange`
        timeout=httpx2.Timeout(settings.timeout_s, pool=settings.timeout_s / 4, connect=settings.timeout_s / 4),
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        trust_env=False,
    )


def _kind(credential: Credential) -> CredentialKind:
    return CredentialKind.CARD if isinstance(credential, CardCredential) else CredentialKind.ACCOUNT


def _wire_credential(credential: Credential) -> wire.WireCredential:
    match credential:
        case AccountCredential():
            return wire.WireAccount(account=credential.account, secret=credential.secret)
        case CardCredential():
            return wire.WireCard(pan=credential.pan, expiry=credential.expiry, pin_block=credential.pin_block)
