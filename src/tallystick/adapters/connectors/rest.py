"""The connector to REST back ends: third-party account systems and wallets (docs/reference/rest-back-end.md).

Four layers: mutual TLS to the back end, a JWE around the credential to the back end's own key, an RFC 9421 signature of
the platform over the request, and one of the back end over its answer.
"""

import base64
import ssl
from typing import Final

from tallystick.adapters.connectors import rest_answers as answers
from tallystick.adapters.connectors.http_exchange import HttpExchange
from tallystick.adapters.connectors.rest_settings import RestSettings, read_verify_key
from tallystick.adapters.connectors.wire_credential import kind_of, wire_credential
from tallystick.crypto.binding import bind
from tallystick.crypto.httpsig import sign_request
from tallystick.crypto.jose import seal_jwe
from tallystick.crypto.signing import Signer
from tallystick.delivery.model import Answer, Finding, Instruction, MessageIds, Original, Recovery
from tallystick.errors import OutcomeUnknown, TallystickError, Unfit
from tallystick.runtime import Clock, Randomness
from tallystick.wire import rest as wire

NONCE_BYTES: Final = 16  # random bytes
RECOVERY: Final = frozenset({Recovery.RETRY, Recovery.INQUIRY, Recovery.REVERSAL})


class RestConnector:
    """One back end (`delivery.ports.Connector`) over a pool of HTTP/1.1 connections.

    `ssl_context` trusts the back end's authority and presents the platform's certificate (`crypto.tls.client_context`).
    `signer` is the platform's key, known to the back end as `keyid`.
    """

    recovery: Final = RECOVERY
    keeps_account: Final = False

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
        self._http = HttpExchange(settings.base_url, ssl_context, settings.timeout_s, settings.server_name)

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send one authorisation and judge its answer (`delivery.ports.Connector.deliver`).

        1. The back end takes this kind of credential, and the request can be built and has the agreed form: else Unfit.
        2. The exchange ends with a signed answer to this very request (`rest_answers.judge`): else as
           `HttpExchange.send` says.

        The request may be repeated: the back end decides each key once.
        """
        # 1.
        body, key = self._authorisation(instruction), instruction.ids.key
        # 2.
        return answers.judge(await self._post(wire.AUTHORISATIONS, body, key), key)

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:  # noqa: ARG002  # an inquiry has no id here
        """Ask what became of a request (`delivery.ports.Connector.inquire`)."""
        key = original.ids.key
        return answers.found(await self._get(wire.authorisation(key)), key)

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:  # noqa: ARG002  # all are alike
        """Undo a request, also one that has not arrived (`delivery.ports.Connector.reverse`)."""
        key = original.ids.key
        body = wire.encode(wire.ReversalRequest(version=1, payment_key=key))
        return answers.acknowledged(await self._post(wire.reversal(key), body, ids.key), key)

    async def echo(self) -> None:
        """Prove link, certificates and both signature keys by a health call; raises DeliveryError."""
        answers.require_health(await self._get(wire.HEALTH))

    async def aclose(self) -> None:
        """Close all connections; requests in flight end as OutcomeUnknown, later ones as NotSent."""
        await self._http.aclose()

    def _authorisation(self, instruction: Instruction) -> bytes:
        """Build the request; its own decoding proves the form, so that nothing leaves that must be refused."""
        if kind_of(instruction.credential) not in self._settings.accepts:
            raise Unfit("this back end does not take this kind of credential")
        order, key = instruction.order, instruction.ids.key
        try:
            info = bind(
                wire.CREDENTIAL_CONTEXT, self._settings.institution, key, order.payee, str(order.amount), order.currency
            )
            clear = wire.encode(wire_credential(instruction.credential))
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
        except (TallystickError, ValueError):
            body = None  # the reason may hold what was to be encoded
        if body is None:
            raise Unfit("the request cannot be built from this instruction")
        return body

    async def _post(self, path: str, body: bytes, idempotency_key: str) -> answers.Received:
        headers = {"content-type": wire.MEDIA_TYPE, "idempotency-key": idempotency_key}
        return await self._exchange("POST", path, headers, body, wire.REQUEST_COVERED)

    async def _get(self, path: str) -> answers.Received:
        return await self._exchange("GET", path, {}, b"", wire.BARE_COVERED)

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes, covered: tuple[str, ...]
    ) -> answers.Received:
        """Sign a request, send it once as it stands, and prove its answer; raises as `HttpExchange.send`."""
        nonce = base64.urlsafe_b64encode(self._randomness.token(NONCE_BYTES)).decode().rstrip("=")
        signature = sign_request(
            self._signer,
            keyid=self._keyid,
            method=method,
            target=self._http.target(path),
            body=body,
            headers=headers,
            covered=covered,
            created=self._clock.now() // 1000,
            nonce=nonce,
        )
        response, answer = await self._http.send(method, path, {**headers, **signature}, body)
        try:
            return answers.prove(self._verify_key, response.status_code, response.headers, answer, nonce)
        except OutcomeUnknown:
            await self._http.distrust(response)
            raise
