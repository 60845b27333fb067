"""The connector to account systems of third parties in the style of Antom (docs/reference/account-back-end.md).

Mutual TLS; every request signed with our RSA key and every answer with theirs, over the raw bytes; account and secret
only inside a JWE to the account system. An outcome that is not known at once follows by a callback, or is asked for.
"""

import ssl
from typing import Final

import msgspec

from tallystick.adapters.connectors import account_answers as answers
from tallystick.adapters.connectors.account_settings import AccountSettings, read_private_key, read_verify_keys
from tallystick.adapters.connectors.http_exchange import HttpExchange
from tallystick.adapters.connectors.wire_credential import wire_credential
from tallystick.crypto.binding import bind
from tallystick.crypto.jose import seal_jwe
from tallystick.crypto.rsa_sign import sign_message, verify_message
from tallystick.delivery.model import Answer, Finding, Instruction, MessageIds, Original, Recovery
from tallystick.delivery.notification import Acknowledgement, Notification
from tallystick.errors import OutcomeUnknown, SignatureInvalid, TallystickError, Unfit
from tallystick.runtime import Clock
from tallystick.security.model import Arrival
from tallystick.vault.model import AccountCredential
from tallystick.wire import account as wire
from tallystick.wire.rest import encode as encode_credential

OK: Final = 200
RECOVERY: Final = frozenset({Recovery.RETRY, Recovery.INQUIRY, Recovery.REVERSAL})


class AccountConnector:
    """One account system (`delivery.ports.Connector`, `delivery.notification.Notifier`).

    `ssl_context` trusts its authority and presents the platform's certificate (`crypto.tls.client_context`).
    """

    recovery: Final = RECOVERY
    keeps_account: Final = False

    def __init__(self, settings: AccountSettings, ssl_context: ssl.SSLContext, clock: Clock) -> None:
        self._settings = settings
        self._private_key = read_private_key(settings)
        self._verify_keys = read_verify_keys(settings)
        self._clock = clock
        self._http = HttpExchange(settings.base_url, ssl_context, settings.timeout_s, settings.server_name)

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send one payment and judge its answer (`delivery.ports.Connector.deliver`).

        1. The credential is an account, the currency one that is taken, and the request has the agreed form: else
           Unfit.
        2. The exchange ends with an answer about this payment, signed by the account system just now: else as `_ask`.
        3. The answer tells an outcome: else as `account_answers.judge` says.

        The request may be repeated: the account system decides each id once.
        """
        # 1.
        request = self._request(instruction)
        # 2.
        answer = await self._ask(wire.PAY, request, request.payment_request_id)
        # 3.
        return answers.judge(answer, instruction.order)

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:  # noqa: ARG002  # an inquiry has no id here
        """Ask what became of a payment (`delivery.ports.Connector.inquire`)."""
        return answers.found(await self._ask_about(original, wire.INQUIRE), original.order)

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:  # noqa: ARG002  # as above
        """Cancel a payment, also one that has not arrived (`delivery.ports.Connector.reverse`)."""
        return answers.acknowledged(await self._ask_about(original, wire.CANCEL))

    async def echo(self) -> None:
        """Prove link, certificates and both signature keys by a health call; raises DeliveryError."""
        answers.require_health(await self._ask(wire.HEALTH, wire.HealthRequest()))

    async def aclose(self) -> None:
        """Close all connections; requests in flight end as OutcomeUnknown, later ones as NotSent."""
        await self._http.aclose()

    def read_notification(self, arrival: Arrival) -> Notification:
        """Verify and read a callback (`delivery.notification.Notifier.read_notification`)."""
        verify_message(
            self._verify_keys,
            method=arrival.method,
            path=arrival.target,
            client_id=self._settings.client_id,
            time_header="request-time",
            headers=arrival.headers,
            body=arrival.body,
            now=arrival.at,
        )
        return answers.told(arrival.body)

    def acknowledge(self, arrival: Arrival, notification: Notification) -> Acknowledgement:
        """Answer a callback with success, signed with our key."""
        result = wire.Result(result_code=wire.SUCCESS, result_status="S", result_message="success")
        body = msgspec.json.encode(wire.Acknowledgement(result=result, payment_request_id=notification.key))
        headers = sign_message(
            self._private_key,
            self._settings.key_version,
            method=arrival.method,
            path=arrival.target,
            client_id=self._settings.client_id,
            time_header="response-time",
            at=self._clock.now(),
            body=body,
        )
        return Acknowledgement(headers=headers, body=body)

    def _request(self, instruction: Instruction) -> wire.PayRequest:
        """Build the request; its own decoding proves the form, so that nothing leaves that must be refused."""
        credential, order = instruction.credential, instruction.order
        if not isinstance(credential, AccountCredential):
            raise Unfit("this back end takes accounts only")
        if order.currency not in self._settings.currencies:
            raise Unfit("this back end does not take the currency")
        key, amount = instruction.ids.key, answers.amount_of(order)
        try:
            info = bind(
                wire.CREDENTIAL_CONTEXT, self._settings.client_id, key, order.payee, amount.value, amount.currency
            )
            clear = encode_credential(wire_credential(credential))
            sealed = seal_jwe(self._settings.encryption_jwk, clear, info, wire.CREDENTIAL_TYPE)
            request = wire.PayRequest(
                payment_request_id=key,
                order=wire.Order(order_description=order.payee, reference_order_id=order.reference),
                payment_amount=amount,
                payment_method=wire.PaymentMethod(payment_method_type="ACCOUNT", payment_method_id=sealed),
            )
            return wire.decode(msgspec.json.encode(request), wire.PayRequest)
        except (TallystickError, ValueError):
            pass  # the reason may hold what was to be encoded
        raise Unfit("the request cannot be built from this instruction")

    async def _ask_about(self, original: Original, path: str) -> bytes:
        key = original.ids.key
        return await self._ask(path, wire.NamedRequest(payment_request_id=key), key)

    async def _ask(self, path: str, message: msgspec.Struct, key: str | None = None) -> bytes:
        """Send a signed request once, and return the raw bytes of its answer.

        1. The exchange ends with the status 200: else NotSent and OutcomeUnknown, as `HttpExchange.send`.
        2. The account system signed the answer to this address just now: else OutcomeUnknown.
        3. The answer is about the payment `key`, where there is one: else OutcomeUnknown.

        What fails 2. or 3. may be the answer to another request: its connection is not used again.
        """
        body, client_id, target = msgspec.json.encode(message), self._settings.client_id, self._http.target(path)
        signature = sign_message(
            self._private_key,
            self._settings.key_version,
            method="POST",
            path=target,
            client_id=client_id,
            time_header="request-time",
            at=self._clock.now(),
            body=body,
        )
        # 1.
        response, answer = await self._http.send("POST", path, {"content-type": wire.MEDIA_TYPE, **signature}, body)
        if response.status_code != OK:
            raise OutcomeUnknown(f"the account system answers with status {response.status_code}")
        try:
            # 2.
            verify_message(
                self._verify_keys,
                method="POST",
                path=target,
                client_id=client_id,
                time_header="response-time",
                headers=response.headers,
                body=answer,
                now=self._clock.now(),
            )
            # 3.
            if key is not None:
                answers.require_named(answer, key)
        except (SignatureInvalid, OutcomeUnknown) as wrong:
            await self._http.distrust(response)
            raise OutcomeUnknown(f"the answer proves nothing: {wrong.detail}") from wrong
        return answer
