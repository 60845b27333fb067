"""The pages on which payers sign up: the PC takes one half, the phone, which has the code, the other."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request

from tallystick import signups
from tallystick.channels.model import LimitKind, PageKind
from tallystick.path import Platform
from tallystick.security.model import Arrival
from tallystick.service.handling import Reply, network_of
from tallystick.service.pages.origins import Handler, Origins, qr_rows
from tallystick.wire import signup as wire

JOIN: Final = "/join"


class JoinDesk:
    """Answer the sign-up page of one origin; what is wrong is refused as on every page."""

    def __init__(self, platform: Platform, origins: Origins) -> None:
        self._platform = platform
        self._origins = origins

    def handlers(self, kind: PageKind) -> Mapping[str, Mapping[str, Handler]]:
        """Return the addresses of a page."""
        if kind is PageKind.PC:
            return {wire.OFFER: {"POST": self._offer}, wire.FIRST: {"POST": self._first}}
        return {wire.WAITING: {"GET": self._waiting}, wire.SECOND: {"POST": self._second}}

    async def _offer(self, request: Request, arrival: Arrival) -> Reply:
        self._count(request)
        return Reply(200, msgspec.json.encode(await signups.offer(self._platform, arrival.at)))

    async def _first(self, request: Request, arrival: Arrival) -> Reply:
        self._count(request)
        expires_at = await signups.first(self._platform, arrival)
        where = f"{self._origins.phone}{JOIN}"
        return Reply(202, msgspec.json.encode(wire.CodeSent(where=where, qr=qr_rows(where), expires_at=expires_at)))

    def _count(self, request: Request) -> None:
        """Count strangers as closely as those who ask for certificates: each of them may cost a message."""
        self._platform.counter.count(LimitKind.ENROLMENT, network_of(request))

    async def _waiting(self, _: Request, arrival: Arrival) -> Reply:
        return Reply(200, msgspec.json.encode(await signups.waiting(self._platform, arrival)))

    async def _second(self, _: Request, arrival: Arrival) -> Reply:
        issuer = self._origins.pc.partition("://")[2]
        return Reply(201, msgspec.json.encode(await signups.second(self._platform, arrival, issuer)))
