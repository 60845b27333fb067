"""Callbacks: a third party's account system tells an outcome in a manner of its own (delivery/notification.py)."""

import logging
from collections.abc import Callable
from typing import Final

from starlette.requests import Request

from tallystick.channels.admit import INSTITUTION_URI, named
from tallystick.delivery.notification import Notifiers, take, told_payment
from tallystick.errors import CertificateWrongPurpose
from tallystick.path import Platform
from tallystick.service.handling import Guest, GuestHandlers, Reply
from tallystick.wire.account import NOTIFICATIONS

OK: Final = 200

_log = logging.getLogger(__name__)


class Notifications:
    """The address for callbacks; `settled` hears the id of each payment that one of them settled."""

    def __init__(
        self, platform: Platform, notifiers: Notifiers, settled: Callable[[str], None] = lambda _: None
    ) -> None:
        self._platform = platform
        self._notifiers = notifiers
        self._settled = settled

    def handlers(self) -> GuestHandlers:
        """Return what the gateway serves."""
        return {NOTIFICATIONS: {"POST": self._notified}}

    async def _notified(self, request: Request, guest: Guest) -> Reply:
        """Take one callback.

        1. The certificate names the institution of the address: CertificateWrongPurpose.
        2. That institution is one that tells outcomes by callbacks: NotFound.
        3. It signed the message, just now: SignatureInvalid, Malformed.
        4. The message is about a request that went there, for its amount: NotFound, Conflict.

        A repeat, also one by somebody who overheard it, settles nothing and gets the same acknowledgement: no nonce is
        kept.
        """
        # 1.
        institution = request.path_params["institution"]
        if named(guest.peer, INSTITUTION_URI) != institution:
            raise CertificateWrongPurpose("the client certificate names another institution than the address")
        # 2.
        back_end, notifier = await self._notifiers.notified_by(institution)
        # 3.
        notification = notifier.read_notification(guest.arrival)
        # 4.
        at = guest.arrival.at
        if await self._platform.store.transact(lambda books: take(books, back_end.id, notification, at)):
            payment_id = told_payment(notification)
            _log.info("payment %s was settled by a callback of %s", payment_id, back_end.id)
            self._settled(payment_id)
        acknowledgement = notifier.acknowledge(guest.arrival, notification)
        return Reply(OK, acknowledgement.body, headers=acknowledgement.headers)
