"""The connector to wallets in Visa's style: REST, sealed messages, request tokens (docs/reference/visa-back-end.md).

Four layers: mutual TLS, perhaps a login (HTTP Basic), an X-Pay-Token over every message, and a JWE around its whole
content. Card number, expiry and PIN block are nowhere but inside the JWE.
"""

import base64
import ssl
from collections.abc import Mapping
from typing import Final, TypeVar

from tallystick.adapters.connectors.http_exchange import HttpExchange
from tallystick.adapters.connectors.visa_settings import VisaSettings, read_own_key, read_wallet_key
from tallystick.crypto import pay_token
from tallystick.delivery.model import (
    Answer,
    Finding,
    Instruction,
    Known,
    MessageIds,
    Original,
    Recovery,
    Verdict,
)
from tallystick.errors import OutcomePending, OutcomeUnknown, ReversalRefused, TallystickError, Unfit
from tallystick.iso8583.responses import Effect, find
from tallystick.runtime import Clock, Randomness, new_id
from tallystick.vault.model import CardCredential
from tallystick.wire import visa as wire
from tallystick.wire.rest import decode, encode

OK: Final = 200

_A = TypeVar("_A", bound=wire.Answer)


class VisaConnector:
    """One wallet (`delivery.ports.Connector`) over a pool of HTTP/1.1 connections.

    `ssl_context` trusts the wallet's authority and presents the platform's certificate (`crypto.tls.client_context`).
    """

    keeps_account: Final = False

    def __init__(
        self, settings: VisaSettings, ssl_context: ssl.SSLContext, *, clock: Clock, randomness: Randomness
    ) -> None:
        self._settings = settings
        self._wallet_key = read_wallet_key(settings)
        self._own_key = read_own_key(settings)
        self._http = HttpExchange(settings.base_url, ssl_context, settings.timeout_s, settings.server_name)
        self._clock = clock
        self._randomness = randomness

    @property
    def recovery(self) -> frozenset[Recovery]:
        """Say what can be done about an unknown outcome: a key is decided once, so a request may be sent again."""
        reversal = {Recovery.REVERSAL} if self._settings.reversal else set[Recovery]()
        return frozenset({Recovery.RETRY, Recovery.INQUIRY} | reversal)

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send one authorization and judge its answer (`delivery.ports.Connector.deliver`).

        1. The credential is a card with an expiry and without chip data, which no member has a place for: else Unfit.
        2. The wallet gives an authentic answer to this very request (`_ask`).
        3. It is a decision: else OutcomePending.
        """
        # 1.
        card = instruction.credential
        if not isinstance(card, CardCredential) or card.expiry is None or card.chip is not None or card.pin is not None:
            raise Unfit("the wallet takes a card number with its expiry, perhaps a clear PIN block, and nothing else")
        order, ids = instruction.order, instruction.ids
        request = wire.Authorization(
            idempotency_key=ids.key,
            merchant_name=order.payee,
            amount=order.amount,
            currency=order.currency,
            sent_at=ids.at,
            card=wire.WalletCard(primary_account_number=card.pan, expiration=card.expiry, pin_block=card.pin_block),
            reference=order.reference,
        )
        # 2.
        answer = await self._ask(wire.AUTHORIZATIONS, request, wire.AuthorizationAnswer)
        # 3.
        if answer.status == "pending":
            raise OutcomePending("the wallet has not decided yet")
        return Answer(
            verdict=Verdict(answer.status),
            code=answer.code,
            approval=answer.approval_code,
            elsewhere=answer.status == "declined" and find(answer.code).effect is Effect.ELSEWHERE,
        )

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:
        """Ask what became of an authorization (`delivery.ports.Connector.inquire`)."""
        request = wire.Query(idempotency_key=ids.key, original_key=original.ids.key)
        answer = await self._ask(wire.QUERIES, request, wire.QueryAnswer)
        _check_original(answer.original_key, original)
        return Finding(known=Known(answer.status), code=answer.code)

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:  # noqa: ARG002  # the key tells
        """Undo an authorization by its key (`delivery.ports.Connector.reverse`)."""
        request = wire.Reversal(idempotency_key=ids.key, original_key=original.ids.key)
        answer = await self._ask(wire.REVERSALS, request, wire.ReversalAnswer)
        _check_original(answer.original_key, original)
        if answer.status == "refused":
            raise ReversalRefused(f"the wallet refuses to reverse the authorization: code {answer.code}")
        return answer.code

    async def echo(self) -> None:
        """Prove link, certificates, login, shared secret and both encryption keys; raises DeliveryError."""
        await self._ask(wire.HEALTH, wire.Health(idempotency_key=new_id("health", self._randomness)), wire.HealthAnswer)

    async def aclose(self) -> None:
        """Close all connections; requests in flight end as OutcomeUnknown, later ones as NotSent."""
        await self._http.aclose()

    async def _ask(self, path: str, request: wire.Request, kind: type[_A]) -> _A:
        """Send a request and return its answer.

        Raises Unfit when the request has not its agreed form, and otherwise as `HttpExchange.send` and `_opened` do.
        """
        body = self._sealed(request)
        path = f"{path}?apikey={self._settings.api_key}"
        resource = self._settings.token_path.of(self._http.target(path))
        token = pay_token.make(self._settings.shared_secret, self._clock.now(), pay_token.request_text(resource, body))
        headers = {
            "content-type": wire.MEDIA_TYPE,
            "keyid": self._settings.mle_kid,
            "idempotency-key": request.idempotency_key,
            pay_token.HEADER: token,
            **self._login(),
        }
        response, answer = await self._http.send("POST", path, headers, body)
        key, status = request.idempotency_key, response.status_code
        try:
            return self._opened(status, response.headers, resource, answer, key, kind)
        except OutcomeUnknown:
            await self._http.distrust(response)
            raise

    def _sealed(self, request: wire.Request) -> bytes:
        """Seal a request; its own decoding proves the form, so that nothing leaves that must be refused."""
        try:
            clear = encode(request)
            decode(clear, type(request))
            token = self._wallet_key.seal(clear, self._clock.now(), self._settings.encryption)
            return encode(wire.Sealed(enc_data=token))
        except (TallystickError, ValueError):
            pass  # the reason may hold what was to be encoded
        raise Unfit("the request cannot be built from this instruction")

    def _opened(
        self, status: int, headers: Mapping[str, str], resource: str, body: bytes, key: str, kind: type[_A]
    ) -> _A:
        """Take an answer only when all of this holds, else raise OutcomeUnknown.

        1. Its status is 200: no other tells an outcome, whatever stands below it.
        2. Its token is made with the shared secret, for this status, address and body, just now: that is what proves
           who answers, since everybody may seal for our key.
        3. It is sealed for our own key, just now.
        4. It is the kind of answer that belongs to the request, and names the key of this very request.
        """
        # 1.
        if status != OK:
            raise OutcomeUnknown(f"the wallet answered with status {status}")
        now = self._clock.now()
        try:
            # 2.
            text = pay_token.response_text(status, resource, body)
            pay_token.verify(self._settings.shared_secret, headers.get(pay_token.HEADER, ""), text, now)
            # 3.
            clear = self._own_key.open(decode(body, wire.Sealed).enc_data, now)
            # 4.
            answer = decode(clear, kind)
        except TallystickError as wrong:
            raise OutcomeUnknown(f"the answer of the wallet proves nothing: {wrong.detail}") from wrong
        if answer.idempotency_key != key:
            raise OutcomeUnknown("the answer of the wallet is about another request")
        return answer

    def _login(self) -> dict[str, str]:
        """Return the header of HTTP Basic (RFC 7617), if the wallet has given us a login."""
        user_id, password = self._settings.user_id, self._settings.password
        if user_id is None or password is None:
            return {}
        both = f"{user_id.reveal()}:{password.reveal()}".encode()
        return {"authorization": f"Basic {base64.b64encode(both).decode()}"}


def _check_original(named: str, original: Original) -> None:
    if named != original.ids.key:
        raise OutcomeUnknown("the answer of the wallet is about another authorization")
