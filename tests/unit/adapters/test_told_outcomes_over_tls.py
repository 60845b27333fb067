"""A pending payment settles when its back end tells the outcome: real sandboxes, a real listener, mutual TLS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from account_world import AccountSite
from rest_world import INSTITUTION, Site

from tallystick import doubts
from tallystick.adapters.connectors.account import AccountConnector
from tallystick.adapters.connectors.rest import RestConnector
from tallystick.assembly.facts import PaymentState
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.tls import server_context
from tallystick.crypto.x509 import PeerCertificate
from tallystick.delivery.notification import Notifier
from tallystick.path import carry
from tallystick.routing.model import BackEnd
from tallystick.runtime import SystemRandomness
from tallystick.security.model import Sender
from tallystick.security.verify import seal_sender_key
from tallystick.service.background import Carriers
from tallystick.service.gateway import Gateway
from tallystick.service.notifications import Notifications
from tallystick.service.outcomes import Outcomes
from tallystick.service.server import Listener
from tallystick.testing.messages import send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform
from tallystick.testing.sandbox.account import AccountSandbox
from tallystick.testing.sandbox.record import Entry, effective
from tallystick.testing.sandbox.rest import RestSandbox

BACK_END = bank(INSTITUTION, schemes=frozenset({"alipay"}))
TELLING_MS = 60_000  # ms, more than any wait before an inquiry


@dataclass
class Institution:
    """The one institution of the platform: how it signs, or which connector reads what it signs."""

    world: MemoryPlatform
    key: Ed25519Private | None = None
    notifier: Notifier | None = None

    def check(self, peer: PeerCertificate, *_: object) -> PeerCertificate:
        return peer

    async def sender(self, institution: str) -> tuple[BackEnd, Sender]:
        assert self.key is not None
        sealed = seal_sender_key(self.world.keyring, institution, self.key.public().pem())
        return BACK_END, Sender(id=institution, algorithm=self.key.algorithm, sealed_key=sealed)

    async def notified_by(self, _: str) -> tuple[BackEnd, Notifier]:
        assert self.notifier is not None
        return BACK_END, self.notifier


@dataclass
class Line:
    """A platform that listens, connected to a sandbox that tells it."""

    world: MemoryPlatform
    entries: Callable[[], list[Entry]]

    async def pay(self, amount: int) -> str:
        """Send one payment; it comes to rest pending."""
        account = {"policy": "account", "element": {"kind": "phone", "phone": f"+86138001{amount:05d}"}}
        order = {"payee": "Tea House", "amount": amount, "currency": "CNY"}
        members = self.world.members
        await send_part(
            self.world, members["pc"], {**account, "fields": {"account": "alipay:alice@example.com"}, "order": order}
        )
        secret = {**account, "fields": {"secret": "correct horse battery"}}
        payment_id = (await send_part(self.world, members["phone"], secret)).joined
        assert payment_id is not None
        await carry(self.world.platform, payment_id)
        return payment_id

    async def state(self, payment_id: str) -> PaymentState:
        payment = await self.world.store.read(lambda books: books.payment(payment_id))
        assert payment is not None
        return payment.state

    async def told(self, times: int) -> list[Any]:
        """Return what the platform answered, once the sandbox told so many times."""
        async with asyncio.timeout(20):
            while True:
                said = [entry["outcome"] for entry in self.entries() if entry["kind"] == "told"]
                if len(said) >= times:
                    return said
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def listening(world: MemoryPlatform, institution: Institution, site: Site | AccountSite) -> AsyncIterator[str]:
    gateway = Gateway(
        world.platform,
        standing=institution,
        institutions=institution,
        identity=Ed25519Private(),
        carriers=Carriers(world.platform),
        more=Outcomes(world.platform).handlers(),
        guests=Notifications(world.platform, institution).handlers(),
    )
    context = server_context(site.place / "platform.pem", site.place / "platform.key", site.ca.trust)
    async with Listener(gateway.app(), host="127.0.0.1", port=0, context=context) as listener:
        yield f"https://localhost:{listener.port}"


async def world_with_channels() -> MemoryPlatform:
    world = await memory_platform()
    for name in ("pc", "phone"):
        await world.channel(name)
    return world


@contextlib.asynccontextmanager
async def account_line(place: Path) -> AsyncIterator[Line]:
    world = await world_with_channels()
    site, institution = AccountSite.make(place, world.clock), Institution(world)
    async with listening(world, institution, site) as url:
        config = msgspec.structs.replace(site.config, platform_url=url)
        async with AccountSandbox(config, world.clock) as sandbox, site.connector(sandbox.port) as connector:
            assert isinstance(connector, AccountConnector)
            institution.notifier = connector
            await world.back_end(BACK_END, connector)  # type: ignore[arg-type]  # any connector will do
            yield Line(world, lambda: sandbox.record.entries)


@contextlib.asynccontextmanager
async def rest_line(place: Path) -> AsyncIterator[Line]:
    world = await world_with_channels()
    site = Site.make(place)
    institution = Institution(world, key=site.signing_key)
    async with listening(world, institution, site) as url:
        config = msgspec.structs.replace(site.config, platform_url=url)
        async with RestSandbox(config, world.clock) as sandbox:
            connector = RestConnector(
                sandbox.settings(),
                site.context(),
                signer=site.platform_key,
                keyid="platform-1",
                clock=world.clock,
                randomness=SystemRandomness(),
            )
            await world.back_end(BACK_END, connector)  # type: ignore[arg-type]  # any connector will do
            yield Line(world, lambda: sandbox.record.entries)
            await connector.aclose()


@pytest.fixture(params=[account_line, rest_line], ids=["account", "rest"])
async def line(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Line]:
    async with request.param(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("amount", "state", "answers"),
    [
        (9920, PaymentState.APPROVED, ["200"]),
        (9921, PaymentState.DECLINED, ["200"]),
        (9923, PaymentState.APPROVED, ["200", "200"]),
    ],
    ids=["approved", "declined", "told twice"],
)
async def test_a_pending_payment_settles_when_it_is_told(
    line: Line, amount: int, state: PaymentState, answers: list[str]
) -> None:
    payment_id = await line.pay(amount)
    assert answers == await line.told(len(answers))
    assert state is await line.state(payment_id)
    assert (1 if state is PaymentState.APPROVED else 0) == effective(line.entries())


async def test_a_wrong_signature_settles_nothing_and_the_inquiry_does_later(line: Line) -> None:
    payment_id = await line.pay(9924)
    assert ["401"] == await line.told(1)
    assert PaymentState.INQUIRY is await line.state(payment_id)
    await line.world.clock.advance(TELLING_MS)
    await doubts.pursue_due(line.world.platform)
    assert PaymentState.APPROVED is await line.state(payment_id)
    assert 1 == effective(line.entries())


async def test_a_payment_of_which_nothing_is_ever_told_waits_and_is_asked_for(line: Line) -> None:
    payment_id = await line.pay(9922)
    assert PaymentState.INQUIRY is await line.state(payment_id)
    kinds = [entry["kind"] for entry in line.entries()]
    assert "inquiry" in kinds
    assert "told" not in kinds
