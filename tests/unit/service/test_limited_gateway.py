"""The gateway counts before it works: what is over a limit is answered 429, known or not."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tallystick.channels.limiting import DEFAULTS, Limiter
from tallystick.channels.model import LimitKind, RateLimit
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.x509 import PeerCertificate
from tallystick.errors import ChannelUnknown, TooMany
from tallystick.path import carry
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis
from tallystick.security.model import Sender
from tallystick.service.background import Carriers
from tallystick.service.gateway import Gateway
from tallystick.service.problems import retry_after
from tallystick.service.server import PEER
from tallystick.testing.asgi import Reply, ask
from tallystick.testing.messages import arrival_of, send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform

PAN = "6250947000000014"
ORDER = {"payee": "Bookshop", "amount": 1250, "currency": "CNY", "reference": "A-1"}
MINUTE = 60_000


class AllStand:
    def check(self, peer: PeerCertificate, now: Millis) -> PeerCertificate:
        return peer


class NoInstitutions:
    async def sender(self, institution: str) -> tuple[BackEnd, Sender]:
        raise ChannelUnknown("there is none")


def part(phone: int = 0, **fields: str) -> dict[str, Any]:
    element = {"kind": "phone", "phone": f"+8613800138{phone:03d}"}
    return {"policy": "card", "element": element, "fields": fields or {"pan": PAN, "expiry": "3012"}, "order": ORDER}


Post = Callable[..., Awaitable[Reply]]


async def world_with(**counts: int) -> tuple[MemoryPlatform, Post]:
    """Return a platform with these limits a minute, and a way to post parts to its gateway."""
    made = await memory_platform()
    given = {LimitKind(kind): RateLimit(count=count, window=MINUTE) for kind, count in counts.items()}
    limits: Mapping[LimitKind, RateLimit] = {**DEFAULTS, **given}
    world = replace(made, platform=replace(made.platform, counter=Limiter(made.clock, b"secret", limits)))
    for name in ("pc", "phone"):
        await world.channel(name)
    gateway = Gateway(
        world.platform,
        standing=AllStand(),
        institutions=NoInstitutions(),
        identity=Ed25519Private(),
        carriers=Carriers(world.platform),
    ).app()

    async def post(content: object, who: str = "pc", peer: str | None = None) -> Reply:
        member = world.members[who]
        arrival = arrival_of(world, member, content)
        certificate = PeerCertificate(
            serial=who,
            fingerprint=f"certificate of {who}",
            uri=f"tallystick:channel:{peer or who}",
            purposes=frozenset(),
            not_before=Millis(0),
            not_after=Millis(2**52),
        )
        return await ask(
            gateway,
            "POST",
            "/v1/parts",
            headers=list(arrival.headers.items()),
            body=arrival.body,
            scope={PEER: certificate},
        )

    return world, post


def code(reply: Reply) -> str:
    return str(msgspec.json.decode(reply.body)["code"])


async def test_a_channel_that_sends_too_much_waits_and_another_one_does_not() -> None:
    world, post = await world_with(channel=2)
    assert [202, 202, 429] == [(await post(part(n))).status for n in range(3)]
    reply = await post(part(9))
    assert ("too_many", "60") == (code(reply), reply.headers["retry-after"])
    assert 202 == (await post(part(8), "phone")).status
    await world.clock.advance(MINUTE)
    assert 202 == (await post(part(7))).status


async def test_an_address_that_sends_too_much_is_refused_before_its_certificate_is_looked_at() -> None:
    _, post = await world_with(network=1)
    assert 403 == (await post(part(), peer="nobody")).status
    assert (429, 429) == ((await post(part(), peer="nobody")).status, (await post(part())).status)


async def test_an_element_tried_too_often_is_refused_alike_whether_a_payment_waits_under_it_or_not() -> None:
    world, post = await world_with(element=3)
    await send_part(world, world.members["phone"], part(1, pin_block="1412348F0A3B5C7D"))
    refusals = {}
    for phone in (1, 2):
        replies = [await post(part(phone)) for _ in range(4)]
        refusals[phone] = replies[-1]
        assert 429 == replies[-1].status
    known, unknown = (
        {name: value for name, value in msgspec.json.decode(reply.body).items() if name != "request_id"}
        for reply in refusals.values()
    )
    assert known == unknown
    assert refusals[1].headers["retry-after"] == refusals[2].headers["retry-after"]


async def test_a_card_tried_too_often_ends_the_payment_and_not_the_card() -> None:
    world, _ = await world_with(credential=2)
    await world.back_end(bank())

    async def pay(phone: int) -> str | None:
        await send_part(world, world.members["pc"], part(phone))
        pin = {**part(phone, pin_block="1412348F0A3B5C7D"), "order": None}
        joined = (await send_part(world, world.members["phone"], pin)).joined
        assert joined is not None
        await carry(world.platform, joined)
        payment = await world.store.read(lambda books: books.payment(joined))
        assert payment is not None
        return payment.reason or payment.state.value

    assert ["approved", "approved", "too_many_attempts"] == [await pay(n) for n in range(3)]
    assert 2 == len(world.connectors.sent())
    await world.clock.advance(MINUTE)
    assert "approved" == await pay(3)


@pytest.mark.parametrize(("wait_ms", "header"), [(0, None), (1, "1"), (1_000, "1"), (1_001, "2")])
def test_the_time_to_wait_is_told_in_whole_seconds_never_too_short(wait_ms: int, header: str | None) -> None:
    assert header == retry_after(TooMany("", wait_ms=wait_ms)).get("retry-after")
