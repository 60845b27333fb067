"""Carry notices by SMS: one JSON request per notice to a provider's address."""

import ssl
from dataclasses import dataclass
from typing import Final

import httpx2

from tallystick.adapters.notify.transport import is_loopback, machine_trust
from tallystick.errors import Misconfigured, Unavailable
from tallystick.secret import Secret

TIMEOUT_S: Final = 20.0  # s for connecting and for each read
CONNECTIONS_MAX: Final = 16  # connections to the provider


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsSettings:
    """Which provider takes our messages: `url` takes the POST, `token` is its bearer token.

    Raises:
        Misconfigured: the token and the notices would cross a network unprotected.
    """

    url: str
    token: Secret

    def __post_init__(self) -> None:
        """Refuse an address that is neither https nor on this machine."""
        url = httpx2.URL(self.url)
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
            raise Misconfigured("the SMS provider's address is not https")


class SmsCarrier:
    """Send notices as text messages (`vault.ports.Carrier`).

    The request is `{"to": E.164, "text": …, "reference": …}` with the reference also as Idempotency-Key; any 2xx answer
    counts as taken. Providers with another shape get a small proxy, or a carrier of their own.
    """

    def __init__(self, settings: SmsSettings, trust: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._client = httpx2.AsyncClient(
            verify=trust or machine_trust(),
            timeout=TIMEOUT_S,
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX),
            follow_redirects=False,  # the token goes to the configured address only
            trust_env=False,  # as above: no proxy from the environment
        )

    async def send(self, reference: str, address: str, subject: str, text: str) -> None:  # noqa: ARG002  # no subject
        """Hand one message over; raises Unavailable for every answer but 2xx: the caller's attempts are bounded."""
        try:
            async with self._client.stream(
                "POST",
                self._settings.url,
                json={"to": address, "text": text, "reference": reference},
                headers={"Authorization": f"Bearer {self._settings.token.reveal()}", "Idempotency-Key": reference},
            ) as answer:
                status = answer.status_code  # the body is not read: nothing in it counts
        except httpx2.HTTPError as failed:
            raise Unavailable(f"the SMS provider did not take the message ({type(failed).__name__})") from None
        if not httpx2.codes.is_success(status):
            raise Unavailable(f"the SMS provider did not take the message ({status})")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
