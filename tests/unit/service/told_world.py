"""A gateway over a memory platform with one payment in doubt, and the institution that can tell of it."""

import ssl
from typing import Any

from tallystick.adapters.connectors.account import AccountConnector
from tallystick.adapters.connectors.account_settings import AccountSettings
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import Payment
from tallystick.crypto.jose import JweKey
from tallystick.crypto.rsa_sign import RsaPrivate
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.x509 import PeerCertificate
from tallystick.delivery.deliver import request_key
from tallystick.delivery.model import Finding, Known, Recovery
from tallystick.delivery.notification import Notifier
from tallystick.errors import CertificateRevoked, ChannelUnknown, NotFound, OutcomePending
from tallystick.path import carry
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis
from tallystick.secret import Secret
from tallystick.security.model import Sender
from tallystick.service.background import Carriers
from tallystick.service.gateway import Gateway
from tallystick.service.notifications import Notifications
from tallystick.service.outcomes import Outcomes
from tallystick.service.server import PEER
from tallystick.testing.asgi import Reply, ask
from tallystick.testing.connector import ScriptedConnector
from tallystick.testing.messages import send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform

INSTITUTION, OTHER = "10000001", "10000002"
CLIENT_ID = "CLIENT_1"
AMOUNT = 1250
OURS, THEIRS = RsaPrivate(), RsaPrivate()
PHONE = {"policy": "card", "element": {"kind": "phone", "phone": "+8613800138000"}}
ORDER = {"payee": "Tea House", "amount": AMOUNT, "currency": "CNY"}


def account_settings(**others: Any) -> AccountSettings:
    told = {
        "base_url": "https://pay.example",
        "client_id": CLIENT_ID,
        "key_version": 3,
        "private_key": Secret(OURS.pem().decode()),
        "verify_keys": {7: THEIRS.public().pem().decode()},
        "encryption_jwk": JweKey.generate("enc-1").public_jwk(),
        "currencies": frozenset({"CNY"}),
    }
    return AccountSettings(**{**told, **others})


class ToldWorld:
    """One payment, sent to INSTITUTION and pending there; OTHER is an institution too.

    `settled` has the ids of the payments that the gateway reported as settled.
    """

    def __init__(self, world: MemoryPlatform, payment_id: str) -> None:
        self.world, self.payment_id = world, payment_id
        self.key = request_key(payment_id, 1)
        self.settled: list[str] = []
        self.revoked: set[str] = set()
        self.connector = AccountConnector(
            account_settings(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), world.platform.clock
        )
        gateway = Gateway(
            world.platform,
            standing=self,
            institutions=self,
            identity=Ed25519Private(),
            carriers=Carriers(world.platform),
            more=Outcomes(world.platform, self.settled.append).handlers(),
            guests=Notifications(world.platform, self, self.settled.append).handlers(),
        )
        self.app = gateway.app()

    def check(self, peer: PeerCertificate, _: Millis) -> PeerCertificate:
        if peer.serial in self.revoked:
            raise CertificateRevoked("the client certificate was revoked")
        return peer

    async def sender(self, institution: str) -> tuple[BackEnd, Sender]:
        if institution not in {INSTITUTION, OTHER}:
            raise ChannelUnknown("no institution is registered as a sender under this certificate")
        return bank(institution), self.world.members[institution].sender

    async def notified_by(self, institution: str) -> tuple[BackEnd, Notifier]:
        if institution not in {INSTITUTION, OTHER}:
            raise NotFound("no institution that tells outcomes by notifications has this id")
        return bank(institution), self.connector

    async def ask(self, target: str, headers: dict[str, str], body: bytes, *, uri: str | None, method: str) -> Reply:
        peer = PeerCertificate(
            serial=f"serial of {uri}",
            fingerprint=f"certificate of {uri}",
            uri=uri,
            purposes=frozenset(),
            not_before=Millis(0),
            not_after=Millis(2**52),
        )
        scope = {PEER: None if uri is None else peer}
        return await ask(self.app, method, target, headers=list(headers.items()), body=body, scope=scope)

    async def payment(self) -> Payment:
        found = await self.world.store.read(lambda books: books.payment(self.payment_id))
        assert found is not None
        return found

    async def state(self) -> PaymentState:
        return (await self.payment()).state


async def told_world(*, recovery: frozenset[Recovery] = frozenset({Recovery.INQUIRY, Recovery.REVERSAL})) -> ToldWorld:
    """Let a payment become pending; without INQUIRY it is reversed at once."""
    world = await memory_platform()
    for name in ("pc", "phone", INSTITUTION, OTHER):
        await world.channel(name)
    pending = Finding(known=Known.PENDING)
    step = OutcomePending("decides later")
    await world.back_end(bank(INSTITUTION), ScriptedConnector(step, recovery=recovery, findings=[pending] * 9))
    card = {**PHONE, "fields": {"pan": "6212142600000000043", "expiry": "3012"}, "order": ORDER}
    await send_part(world, world.members["pc"], card)
    payment_id = (
        await send_part(world, world.members["phone"], {**PHONE, "fields": {"pin_block": "1412348F0A3B5C7D"}})
    ).joined
    assert payment_id is not None
    await carry(world.platform, payment_id)
    return ToldWorld(world, payment_id)
