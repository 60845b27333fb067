"""A gateway over a platform in memory, and the judgement every piece of bad input gets."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from tallystick.channels.model import ChannelState
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.x509 import PeerCertificate
from tallystick.errors import CertificateRevoked, ChannelUnknown
from tallystick.routing.model import BackEnd, NumberPolicy
from tallystick.runtime import Millis
from tallystick.security.model import Arrival, Sender
from tallystick.service.background import Carriers
from tallystick.service.gateway import Gateway
from tallystick.service.server import PEER
from tallystick.testing.asgi import Reply, ask
from tallystick.testing.messages import arrival_of
from tallystick.testing.platform import Member, MemoryPlatform, bank, memory_platform

CANARY = "CANARY7351"
PAN, PIN_BLOCK = "6212142600000000043", "1412348F0A3B5C7D"
PHONE = {"kind": "phone", "phone": "+8613800138000"}
ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY", "reference": "order 7"}
CARD = {"policy": "card", "element": PHONE, "fields": {"pan": PAN, "expiry": "3012"}, "order": ORDER}
SECRETS = (CANARY, PAN, PIN_BLOCK, "13800138000", "correct horse")
INSTITUTION = "20000001"


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A problem document as its reader expects it."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    remedy: str
    request_id: str
    field: str | None = None


class Revoked:
    """Refuse the serial numbers that a test puts into it (`channels.admit.Standing`)."""

    def __init__(self) -> None:
        self.serials: set[str] = set()

    def check(self, peer: PeerCertificate, _now: Millis) -> PeerCertificate:
        if peer.serial in self.serials:
            raise CertificateRevoked("the client certificate was revoked")
        return peer


class OneInstitution:
    """Know one institution as a sender (`service.senders.Institutions`)."""

    def __init__(self, back_end: BackEnd, sender: Sender) -> None:
        self._known = back_end, sender

    async def sender(self, institution: str) -> tuple[BackEnd, Sender]:
        if institution != self._known[0].id:
            raise ChannelUnknown("no institution is registered as a sender under this certificate")
        return self._known


@dataclass
class Edge:
    """The gateway, what it stands on, and all that it wrote to the log."""

    world: MemoryPlatform
    app: Any
    revoked: Revoked
    carriers: Carriers
    log: pytest.LogCaptureFixture

    def member(self, name: str) -> Member:
        return self.world.members[name]

    async def ask(
        self,
        arrival: Arrival,
        *,
        who: str | None = "pc",
        uri: str | None = None,
        headers: list[tuple[str, str]] | None = None,
        method: str | None = None,
        target: str | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Send an arrival as `who` with its certificate, changed on the way as the other arguments say."""
        peer = None if who is None else self.peer(who, uri)
        return await ask(
            self.app,
            method or arrival.method,
            target or arrival.target,
            headers=list(arrival.headers.items()) if headers is None else headers,
            body=arrival.body if body is None else body,
            scope={PEER: peer},
        )

    def peer(self, who: str, uri: str | None = None) -> PeerCertificate:
        kind = "institution" if who == INSTITUTION else "channel"
        return PeerCertificate(
            serial=f"serial of {who}",
            fingerprint=f"certificate of {who}",
            uri=uri or f"tallystick:{kind}:{who}",
            purposes=frozenset(),
            not_before=Millis(0),
            not_after=Millis(2**52),
        )

    async def post(self, content: object, *, who: str = "pc", target: str = "/v1/parts", **how: Any) -> Reply:
        return await self.ask(arrival_of(self.world, self.member(who), content, target=target, **how), who=who)

    def rows(self) -> str:
        """Return everything that is stored, as text."""
        tables = {name: table for name, table in vars(self.world.store._books).items() if hasattr(table, "items")}
        return repr({name: table.items() for name, table in tables.items()})


async def make_edge(log: pytest.LogCaptureFixture) -> Edge:
    log.set_level(logging.DEBUG)
    world = await memory_platform()
    for name in ("pc", "phone", "shop", INSTITUTION):
        await world.channel(name)
    await world.channel("keypad", fields={"pin_block"})
    await world.channel("app", proves_payer=True)
    await world.channel("old", state=ChannelState.SUSPENDED)
    back_end = bank(INSTITUTION, numbers=NumberPolicy.BACK_END)
    await world.back_end(back_end)
    revoked, carriers = Revoked(), Carriers(world.platform)
    gateway = Gateway(
        world.platform,
        standing=revoked,
        institutions=OneInstitution(back_end, world.members[INSTITUTION].sender),
        identity=Ed25519Private(),
        carriers=carriers,
    )
    return Edge(world, gateway.app(), revoked, carriers, log)


def judge(edge: Edge, reply: Reply, before: str) -> Problem:
    """Show what holds for every refusal; return its problem document for what holds for this one."""
    assert "application/problem+json" == reply.headers["content-type"]
    problem = msgspec.json.decode(reply.body, type=Problem)
    assert reply.status == problem.status
    assert problem.status < 500
    assert problem.remedy.endswith(".")
    assert before == edge.rows()
    assert_no_secret(edge, reply)
    return problem


def assert_no_secret(edge: Edge, reply: Reply) -> None:
    shown = reply.body.decode() + repr(reply.headers) + edge.log.text
    assert [] == [secret for secret in SECRETS if secret in shown]


def changed(content: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy of JSON data with the value at a dotted path replaced, or taken away for `...`."""
    name, _, rest = path.partition(".")
    copy = dict(content)
    if rest:
        copy[name] = changed(copy.get(name) or {}, rest, value)
    elif value is ...:
        del copy[name]
    else:
        copy[name] = value
    return copy


def leaves(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List the dotted paths of all fields, also those that hold fields themselves."""
    found = []
    for name, value in content.items():
        found.append(prefix + name)
        if isinstance(value, dict):
            found += leaves(value, f"{prefix}{name}.")
    return found
