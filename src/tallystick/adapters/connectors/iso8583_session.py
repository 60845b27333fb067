"""Network management on a connection: sign-on, key exchange, echo, sign-off, and what the switch asks for."""

import datetime as dt
import itertools
import logging
from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from tallystick.adapters.connectors.iso8583_answers import DONE
from tallystick.adapters.connectors.iso8583_keys import KeyType, SessionKeys
from tallystick.adapters.connectors.iso8583_link import Link
from tallystick.adapters.connectors.iso8583_messages import Manage, management, reply
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings
from tallystick.channels.admit import INSTITUTION_URI
from tallystick.crypto.x509 import read_certificate
from tallystick.errors import Misconfigured, NotSent, OutcomeUnknown, Refused
from tallystick.iso8583.message import Codec
from tallystick.runtime import Clock

STAN_COUNT: Final = 999_999  # trace numbers 000001 to 999999
NOT_KNOWN: Final = "12"  # DE39 for a request that is not agreed on
KEY_REFUSED: Final = "99"  # DE39 for a session key that is not taken
AGREED: Final = frozenset({Manage.SIGN_OFF, Manage.CUT_OVER, Manage.CUT_OVER_DONE, Manage.ECHO})

_log = logging.getLogger(__name__)


class Session:
    """Bring a connection into use and take it out again.

    Trace numbers of network messages are counted here: those of payments never meet them, as the types differ.
    """

    def __init__(self, settings: Iso8583Settings, keys: SessionKeys, clock: Clock) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._zone: dt.tzinfo = ZoneInfo(settings.zone)
        self._stans = itertools.count()

    async def begin(self, link: Link, *, exchange: bool) -> None:
        """Prove the peer, get session keys when told, sign on.

        1. The certificate names the institution of the settings, when they name one.
        2. Both session keys are fresh, with `exchange`.
        3. The switch accepts the sign-on.

        Raises NotSent or OutcomeUnknown: nothing may be sent over this connection.
        """
        # 1.
        self._check_peer(link.certificate)
        # 2.
        if exchange:
            await self._get_key(link, KeyType.MAC)
            await self._get_key(link, KeyType.PIN)
        # 3.
        await self._manage(link, Manage.SIGN_ON)

    async def echo(self, link: Link) -> None:
        """Exchange an echo; raises NotSent or OutcomeUnknown."""
        await self._manage(link, Manage.ECHO)

    async def end(self, link: Link) -> None:
        """Sign off; raises NotSent or OutcomeUnknown."""
        await self._manage(link, Manage.SIGN_OFF)

    def serve(self, link: Link, request: dict[str, str], codec: Codec) -> None:
        """Answer an authenticated request of the switch, under the MAC key that it came under."""
        code = NOT_KNOWN
        more: dict[str, str] = {}
        if request["t"] == "0800":
            what = request.get("70", "")
            if what == Manage.KEY_RESET and self._keys.exchanged:
                code, more = self._take_key(request)
            elif what in AGREED:
                code = DONE
        link.write(codec.sign({**reply(request, code), **more}))
        if code == DONE and request["70"] == Manage.SIGN_OFF:
            link.retire()

    def _check_peer(self, certificate: bytes | None) -> None:
        if self._settings.institution is None:
            return
        try:
            uri = None if certificate is None else read_certificate(certificate).uri
        except Refused:
            uri = None
        if uri != f"{INSTITUTION_URI}{self._settings.institution}":
            raise NotSent("the certificate is not the one of this institution")

    async def _get_key(self, link: Link, kind: KeyType) -> None:
        """Ask for a session key and take it into use.

        The request for a MAC key has no MAC, and neither has its answer: it is sent when there is no key that both
        sides trust. The key block in the answer proves itself under the zone key.
        """
        request = self._message(Manage.KEY_RESET, self._keys.control(kind))
        bare = kind is KeyType.MAC
        encoded = self._keys.encode_bare(request) if bare else self._keys.sign(request)
        answer = await link.exchange(request, encoded, bare=bare)
        _require_done(request, answer)
        try:
            self._keys.install(kind, answer.get("48", ""))
        except (Refused, Misconfigured) as refused:
            raise OutcomeUnknown(f"the {kind.name} key is not usable: {refused.detail}") from refused

    def _take_key(self, request: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Take a key that the switch pushes; the answer tells the check value, so that the switch compares it too."""
        try:
            value = self._keys.install(self._keys.kind_of(request.get("53", "")), request.get("48", ""))
        except (Refused, Misconfigured) as refused:
            _log.error("a session key of the switch is not usable: %s", refused.detail)
            return KEY_REFUSED, {}
        return DONE, {"44": value}

    async def _manage(self, link: Link, what: Manage) -> None:
        request = self._message(what)
        _require_done(request, await link.exchange(request, self._keys.sign(request)))

    def _message(self, what: Manage, control: str | None = None) -> dict[str, str]:
        stan = f"{next(self._stans) % STAN_COUNT + 1:06d}"
        return management(what, stan, self._clock.now(), self._settings, self._zone, control)


def _require_done(request: Mapping[str, str], answer: Mapping[str, str]) -> None:
    if answer.get("39") != DONE or answer.get("70") != request["70"] or answer.get("53") != request.get("53"):
        raise OutcomeUnknown(f"the back end refused a network message: {answer.get('39', 'none')}")
