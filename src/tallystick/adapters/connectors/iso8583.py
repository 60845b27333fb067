"""The connector to ISO 8583 back ends such as UnionPay: TLS, a MAC on every message, PIN blocks under a zone key."""

import asyncio
import itertools
import ssl
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from tallystick.adapters.connectors.iso8583_link import Counts, Link
from tallystick.adapters.connectors.iso8583_messages import DONE, ECHO, SIGN_ON, judge, management, purchase
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings, key_bytes
from tallystick.crypto import mac, pin
from tallystick.crypto.pin import PinFormat
from tallystick.delivery.model import Answer, Instruction
from tallystick.errors import DeliveryError, NotSent, OutcomeUnknown, Refused
from tallystick.iso8583.framing import frame
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import specification
from tallystick.runtime import Clock
from tallystick.vault.model import CardCredential

CONNECT_TIMEOUT_S: Final = 5.0  # s for TCP and TLS together
CLOSE_TIMEOUT_S: Final = 2.0  # s for the back end to confirm the end of TLS
STAN_COUNT: Final = 999_999  # trace numbers 000001 to 999999


class Iso8583Connector:
    """One back end (`delivery.ports.Connector`): one connection, opened and signed on when the first request needs it.

    `ssl_context` trusts the back end's authority and presents the platform's certificate (`crypto.tls.client_context`).
    Many requests share the connection; answers are found by message type, DE11 and DE7. Nothing is ever sent twice.
    Trace numbers of network messages are counted here: `ids.stan` and they never meet, as the message types differ.
    """

    def __init__(self, settings: Iso8583Settings, ssl_context: ssl.SSLContext, clock: Clock) -> None:
        self.counts = Counts()
        self._settings = settings
        self._ssl_context = ssl_context
        self._clock = clock
        self._zone = ZoneInfo(settings.zone)
        self._pin_format = PinFormat(settings.pin_format)
        self._pin_key = key_bytes(settings.pin_key)
        mac_key = key_bytes(settings.mac_key)
        self._codec = Codec(
            specification(16 if self._pin_format is PinFormat.ISO_4 else 8),
            partial(mac.tag, settings.mac, mac_key),
            partial(mac.verify, settings.mac, mac_key),
        )
        self._stans = itertools.count()
        self._link: Link | None = None
        self._opening: asyncio.Task[Link] | None = None
        self._closed = False

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send an 0200 and judge its 0210 (`delivery.ports.Connector.deliver`).

        1. The request can be built and signed, its PIN block translated: else NotSent.
        2. The connection is up and signed on: else NotSent.
        3. The answer is authenticated (`Link.exchange`), belongs to the request and tells an outcome (`judge`): else
           OutcomeUnknown.

        When the caller is cancelled after the write, the outcome is unknown too: the caller records it.
        """
        # 1.
        try:
            request = self._request(instruction)
            signed = self._signed(request)
        except Refused as unfit:
            raise NotSent(f"the request cannot be built: {unfit.detail}") from unfit
        # 2.
        link = await self._connected()
        # 3.
        return judge(request, await link.exchange(request, signed, self._settings.timeout_s))

    async def echo(self) -> None:
        """Exchange an 0800 echo; when it fails the connection is dropped, so that the next request opens a new one.

        Raises NotSent when there is no connection, OutcomeUnknown when no right answer comes.
        """
        link = await self._connected()
        try:
            await self._manage(link, ECHO)
        except OutcomeUnknown:
            link.abort()
            raise

    async def aclose(self) -> None:
        """Close the connection; requests in flight end as OutcomeUnknown, later ones as NotSent."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._link is not None:
            await self._link.aclose()

    def _request(self, instruction: Instruction) -> dict[str, str]:
        card = instruction.credential
        if not isinstance(card, CardCredential):
            raise NotSent("this back end takes cards only")
        block = None
        if card.pin_block is not None:
            block = pin.translate(card.pin_block, card.pan, self._pin_key, self._pin_format)
        return purchase(instruction, card, block, self._settings, self._zone)

    async def _connected(self) -> Link:
        """Return the connection; concurrent callers share one attempt to open it, and its failure."""
        if self._link is not None and self._link.usable:
            return self._link
        if self._closed:
            raise NotSent("the connector is closed")
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        attempt = self._opening
        await asyncio.wait({attempt})  # unlike awaiting it, this passes no cancellation on, in either direction
        if attempt.cancelled():
            raise NotSent("the connector is closed")
        return attempt.result()

    def _opened(self, attempt: asyncio.Task[Link]) -> None:
        self._opening = None
        if not attempt.cancelled() and attempt.exception() is None:
            self._link = attempt.result()

    async def _open(self) -> Link:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, link = await asyncio.get_running_loop().create_connection(
                    lambda: Link(self._codec, self._settings.header, self.counts),
                    self._settings.host,
                    self._settings.port,
                    ssl=self._ssl_context,
                    server_hostname=self._settings.server_name,
                    ssl_shutdown_timeout=CLOSE_TIMEOUT_S,
                )
        except OSError as unreachable:  # ssl.SSLError and TimeoutError are OSErrors
            raise NotSent("no connection to the back end") from unreachable
        try:
            await self._manage(link, SIGN_ON)
        except BaseException as failed:
            link.abort()
            if isinstance(failed, DeliveryError):
                raise NotSent(f"the back end did not accept the sign-on: {failed.detail}") from failed
            raise
        return link

    async def _manage(self, link: Link, what: str) -> None:
        stan = f"{next(self._stans) % STAN_COUNT + 1:06d}"
        request = management(what, stan, self._clock.now(), self._settings, self._zone)
        answer = await link.exchange(request, self._signed(request), self._settings.timeout_s)
        if answer.get("39") != DONE or answer.get("70") != what:
            raise OutcomeUnknown("the back end refused a network message")

    def _signed(self, request: dict[str, str]) -> bytes:
        return frame(self._codec.sign(request), self._settings.header)
