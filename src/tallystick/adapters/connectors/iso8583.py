"""The connector to ISO 8583 back ends such as UnionPay: TLS, a MAC on every message, PIN blocks under a zone key."""

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from tallystick.adapters.connectors.iso8583_answers import KEY_TROUBLE, SIGN_ON_AGAIN, acknowledged, found, judge
from tallystick.adapters.connectors.iso8583_keys import SessionKeys
from tallystick.adapters.connectors.iso8583_link import Link
from tallystick.adapters.connectors.iso8583_matching import Counts, Matcher
from tallystick.adapters.connectors.iso8583_messages import authorisation, inquiry, pin_elements, reversal
from tallystick.adapters.connectors.iso8583_pool import Pool
from tallystick.adapters.connectors.iso8583_session import Session
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings
from tallystick.delivery.model import Answer, Finding, Instruction, MessageIds, Original, Recovery
from tallystick.delivery.ports import PinTranslator
from tallystick.errors import DeliveryError, NotSent, OutcomeUnknown, Refused, ReversalRefused, Unavailable, Unfit
from tallystick.runtime import Clock
from tallystick.vault.model import CardCredential

CONNECT_TIMEOUT_S: Final = 5.0  # s for TCP and TLS together
SIGN_OFF_TIMEOUT_S: Final = 1.0  # s for the answer to a sign-off
CLOSE_TIMEOUT_S: Final = 2.0  # s for the back end to confirm the end of TLS


class Iso8583Connector:
    """One back end (`delivery.ports.Connector`): several connections, opened and signed on when they are needed.

    `ssl_context` trusts the back end's authority and presents the platform's certificate (`crypto.tls.client_context`).
    Many requests share a connection; `iso8583_matching` finds their answers. Nothing is ever sent twice.
    """

    def __init__(
        self, settings: Iso8583Settings, ssl_context: ssl.SSLContext, clock: Clock, pins: PinTranslator
    ) -> None:
        self.counts = Counts()
        self._settings = settings
        self._ssl_context = ssl_context
        self._zone: dt.tzinfo = ZoneInfo(settings.zone)
        self._pins = pins
        self._keys = SessionKeys(settings, clock)
        self._session = Session(settings, self._keys, clock)
        self._matcher = Matcher(self.counts)
        self._pool = Pool(settings.connections, self._open)

    @property
    def recovery(self) -> frozenset[Recovery]:
        """Say what can be done about an unknown outcome."""
        return frozenset({Recovery.REVERSAL, Recovery.INQUIRY} if self._settings.inquiry else {Recovery.REVERSAL})

    @property
    def keeps_account(self) -> bool:
        """Say that a reversal names the card again (DE2)."""
        return True

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send an 0200 or 0100 and judge its answer (`delivery.ports.Connector.deliver`).

        1. The request can be built: else Unfit.
        2. A connection is up and signed on, and session keys are there: else NotSent.
        3. Its PIN block is translated for this back end by the PIN process, which is there (else NotSent), and its
           elements have the agreed form: else Unfit.
        4. The answer is authenticated (`Link.exchange`), belongs to the request and tells an outcome (`judge`): else
           OutcomeUnknown.

        When the caller is cancelled after the write, the outcome is unknown too: the caller records it.
        """
        card = instruction.credential
        # 1.
        if not isinstance(card, CardCredential):
            raise Unfit("this back end takes cards only")
        try:
            request = authorisation(instruction, card, self._settings, self._zone)
        except Refused as unfit:
            raise _unfit(unfit) from unfit
        # 2.
        link = await self._link()
        # 3.
        try:
            if (entered := card.pin or card.pin_block) is not None:
                block = await self._pins.translate(entered, card.pan, self._keys.pin_zone())
                request |= pin_elements(request, block, self._settings)
            signed = self._keys.sign(request)
        except Unavailable as away:
            raise NotSent("the PIN cannot be translated now") from away
        except Refused as unfit:
            raise _unfit(unfit) from unfit
        # 4.
        return judge(request, await self._exchange(link, request, signed))

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:
        """Ask what became of a request (`delivery.ports.Connector.inquire`); its form is agreed with the back end."""
        try:
            request = inquiry(original, ids, self._settings, self._zone)
        except Refused as unfit:
            raise _unfit(unfit) from unfit
        link = await self._link()
        return found(request, await self._exchange(link, request, self._keys.sign(request)))

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:
        """Undo a request (`delivery.ports.Connector.reverse`); `acknowledged` says which answers end it."""
        try:
            request = reversal(original, ids, self._settings, self._zone, repeat=repeat)
        except Refused as unfit:
            raise ReversalRefused(f"the reversal cannot be built: {unfit.detail}") from unfit
        link = await self._link()
        return acknowledged(request, await self._exchange(link, request, self._keys.sign(request)), repeat=repeat)

    async def echo(self) -> None:
        """Exchange an 0800 echo on every connection, and open those that are missing.

        A connection without an answer is dropped. Raises NotSent when there is no connection at all, and what the
        first one met when none has a right answer.
        """
        self._renew()
        links = await self._pool.fill()
        results = await asyncio.gather(*map(self._echo, links), return_exceptions=True)
        failed = [result for result in results if result is not None]
        if len(failed) == len(links):
            raise failed[0]

    async def aclose(self) -> None:
        """Sign off and close; requests in flight end as OutcomeUnknown, later ones as NotSent."""
        await asyncio.gather(*map(self._end, await self._pool.aclose()))

    async def _link(self) -> Link:
        self._renew()
        return await self._pool.link()

    def _renew(self) -> None:
        """Let connections end whose keys are worn or broken: the next one exchanges keys before it signs on."""
        if not self._keys.usable:
            self._pool.retire()

    async def _exchange(self, link: Link, request: Mapping[str, str], signed: bytes) -> dict[str, str]:
        answer = await link.exchange(request, signed)
        code = answer.get("39", "")
        if code in KEY_TROUBLE:
            self._keys.trouble()
        else:
            self._keys.fine()
        if code == SIGN_ON_AGAIN:
            link.retire()
        return answer

    async def _open(self) -> Link:
        settings = self._settings
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, link = await asyncio.get_running_loop().create_connection(
                    lambda: Link(settings, self._keys, self._matcher, self.counts, self._session.serve),
                    settings.host,
                    settings.port,
                    ssl=self._ssl_context,
                    server_hostname=settings.server_name,
                    ssl_shutdown_timeout=CLOSE_TIMEOUT_S,
                )
        except OSError as unreachable:  # ssl.SSLError and TimeoutError are OSErrors
            raise NotSent("no connection to the back end") from unreachable
        alone = not self._pool.usable
        try:
            await self._session.begin(link, exchange=self._keys.exchanged and (alone or not self._keys.usable))
        except BaseException as failed:
            link.abort()
            if isinstance(failed, DeliveryError):
                raise NotSent(f"the back end did not accept the sign-on: {failed.detail}") from failed
            raise
        return link

    async def _echo(self, link: Link) -> None:
        try:
            await self._session.echo(link)
        except OutcomeUnknown:
            link.abort()
            raise

    async def _end(self, link: Link) -> None:
        if link.usable:
            with contextlib.suppress(DeliveryError, TimeoutError):
                async with asyncio.timeout(SIGN_OFF_TIMEOUT_S):
                    await self._session.end(link)
        await link.aclose()


def _unfit(reason: Refused) -> Unfit:
    return Unfit(f"the request cannot be built: {reason.detail}")
