"""One node of a simulated platform: the real path and timers over ports that fail."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from sim_banks import Line, Lines

from tallystick.assembly import policy as policies
from tallystick.channels.limiting import Limiter
from tallystick.crypto import box
from tallystick.delivery.guard import GuardedConnector
from tallystick.delivery.model import NodeKind
from tallystick.delivery.nodes import LeasedNode
from tallystick.errors import KeyUnknown
from tallystick.outcomes.courier import Courier
from tallystick.outcomes.send import Sender
from tallystick.path import Platform
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis
from tallystick.service.background import Carriers
from tallystick.sweep import Sweep
from tallystick.testing.clock import SeededRandomness
from tallystick.testing.quick_stretcher import QuickStretcher
from tallystick.testing.simulation.node import Node, NodeClock, NodeStore

if TYPE_CHECKING:
    from sim_world import World

SEALING: Final = bytes(32)
KEY_ID: Final = "pk_quick"
POLICIES: Final = policies.load(policies.BUILT_IN)


class QuickKeys:
    """Opening keys without asymmetric cryptography (`security.ports.OpeningKeys`): cheap, and bound to `info` alike."""

    def opener(self, key_id: str, now: Millis) -> "QuickKeys":
        if key_id != KEY_ID:
            raise KeyUnknown("the platform holds no such opening key now")
        return self

    def open(self, sealed: bytes, info: bytes) -> bytes:
        return box.unseal(SEALING, sealed, info)

    def published(self, now: Millis) -> str:
        return KEY_ID

    def rotate(self, now: Millis) -> list[str]:
        return []


class Process:
    """One start of a node: a platform with its timers, which lives until it dies."""

    def __init__(self, world: "World", name: str, ahead_ms: int) -> None:
        self.node = node = Node(name, world.loop, world.faults, ahead_ms=ahead_ms)
        self.clock = NodeClock(node, world.oversleep)
        self.store: Any = NodeStore(world.store, node, world.committed)
        self.ready = False
        self._world = world
        randomness = SeededRandomness(world.faults.random.getrandbits(64))
        self.leased = LeasedNode(
            self.store,
            self.clock,
            randomness,
            kind=NodeKind.SERVE,
            name=name,
            release="simulated",
            lease_ms=world.lease_ms,
        )
        self.platform = Platform(
            store=self.store,
            keyring=world.keyring,
            opening_keys=QuickKeys(),
            epochs=world.epochs,
            recovery_keys=world.recovery_keys,
            connectors=Lines(world.banks, node, world, self._guarded),
            stretcher=QuickStretcher(),
            pins=world.pins,
            policies=POLICIES,
            counter=Limiter(self.clock, b"buckets"),
            node=self.leased,
            clock=self.clock,
            randomness=randomness,
        )
        self.carriers = Carriers(self.platform)

    def _guarded(self, line: Line, back_end: BackEnd) -> GuardedConnector:
        return GuardedConnector(line, back_end, self.clock, self.leased)

    async def run(self) -> None:
        """Take a lease, then serve and keep the timers going until the node dies."""
        async with self.leased.living():
            self.ready = True
            self._world.faults.note("node serves", self.node.name)
            await self._serve()

    async def _serve(self) -> None:
        platform, world = self.platform, self._world
        sender = Sender(
            self.store,
            world.receiver.of(self.node),
            platform.keyring,
            identity=None,
            clock=self.clock,
            randomness=platform.randomness,
        )
        sweep = Sweep(platform, world.carriage.of(self.node))
        courier = Courier(self.store, sender, self.clock, platform.randomness)
        await asyncio.gather(sweep.run(), courier.run())
