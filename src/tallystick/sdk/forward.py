"""Forward events to an address on this machine as signed webhooks: what a platform would send, while developing."""

from typing import Final, Self
from urllib.parse import urlsplit

import httpx2
import msgspec

from tallystick.crypto import webhooks
from tallystick.errors import FieldInvalid, Unavailable
from tallystick.runtime import Clock
from tallystick.sdk.client import NO_ANSWER, TIMEOUT_S
from tallystick.secret import Secret
from tallystick.wire.merchant import MerchantEvent
from tallystick.wire.outcome import OutcomeData, OutcomeMessage, rfc3339

HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Forwarder:
    """Post events to one address, signed with one secret; `sdk.webhooks.unwrap` reads them."""

    def __init__(self, url: str, secret: Secret, clock: Clock) -> None:
        """Take an address on this machine; raises FieldInvalid for any other one: what is told is not for others."""
        if urlsplit(url).hostname not in HERE:
            raise FieldInvalid("events are forwarded to an address on this machine", field="forward_to")
        self._url = url
        self._secret = secret
        self._clock = clock
        self._http = httpx2.Client(trust_env=False, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def forward(self, event: MerchantEvent) -> int:
        """Post one event and return the receiver's status; raises Unavailable when no answer came."""
        message = as_webhook(event)
        body = msgspec.json.encode(message)
        signed = webhooks.sign(message.id, self._clock.now(), body, [self._secret])
        try:
            answer = self._http.post(self._url, content=body, headers={"content-type": "application/json", **signed})
        except NO_ANSWER as error:
            raise Unavailable("the local address does not answer") from error
        return answer.status_code


def as_webhook(event: MerchantEvent) -> OutcomeMessage:
    """Return the webhook that tells an event; its id is the same whenever the event is told."""
    payment, state = event.payment, event.type.partition(".")[2]
    code = payment.response_code if payment.state == state else None
    data = OutcomeData(payment=payment.id, state=state, response_code=code)
    return OutcomeMessage(type=event.type, id=f"evt_{event.seq:032x}", timestamp=rfc3339(event.created_at), data=data)
