"""A node's lease: it sends only while no other node can take it for dead, and what it left unfinished is found.

A node renews its lease every BEAT_EVERY_S. One that cannot stops beginning sends FENCE_MS before the lease is over.
The others bury it TAKEOVER_MS after that, by when whatever it began to send has left; from then on its intents are lost
(`IntentBook.lost_intents`) and its chores free. A process that was only hung comes back under a new id.
"""

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from msgspec.structs import replace

from tallystick.delivery.books import Store
from tallystick.delivery.model import Node, NodeKind
from tallystick.delivery.ports import NodeBook, Witness
from tallystick.errors import NotSent, TallystickError
from tallystick.runtime import Clock, Millis, Randomness, beside, new_id

LEASE_MS: Final = 15_000  # ms a lease lasts from its renewal
BEAT_EVERY_S: Final = 3.0  # s between renewals: four may fail
FENCE_MS: Final = 2_000  # ms before the end of its lease a node begins no send any more
TAKEOVER_MS: Final = 25_000  # ms after the end of its lease a node is dead: longer than a back end's usual time-out

_log = logging.getLogger(__name__)


class LeasedNode:
    """This process as a node on a store (`delivery.ports.OwnNode`); `enter` before the first send.

    `lease_ms` is LEASE_MS but in tests.
    """

    def __init__(
        self,
        store: Store[NodeBook],
        clock: Clock,
        randomness: Randomness,
        *,
        kind: NodeKind,
        name: str,
        release: str,
        witness: Witness | None = None,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._witness = witness
        self._lease_ms = lease_ms
        self._node = Node(
            id="",
            kind=kind,
            name=name,
            place=witness.place if witness is not None else "",
            release=release,
            started_at=clock.now(),
            lease_until=Millis(0),
        )
        self._peers = 1

    @property
    def id(self) -> str:
        """Its id now; it is another one after the others took it for dead."""
        return self._node.id

    @property
    def peers(self) -> int:
        """How many nodes are alive, this one included, as of the last renewal."""
        return self._peers

    def require_lease(self) -> None:
        """Raise NotSent when others may soon take this node for dead: it begins no send then.

        Only what the store has durably is counted on: a renewal whose outcome is not known is none. A lease that ends
        later than any renewal of now would is none either: the clock was set back.
        """
        left_ms = self._node.lease_until - self._clock.now()
        if not FENCE_MS < left_ms <= self._lease_ms:
            raise NotSent("this node's lease is over: others may take it for dead")

    async def holds(self, chore: str) -> bool:
        """Say whether this node does a chore that only one may do; it keeps it while it is alive."""
        try:
            self.require_lease()
        except NotSent:
            return False
        node_id = self._node.id
        holder = await self._store.read(lambda books: books.chore_holder(chore))
        return holder == node_id or await self._store.transact(lambda books: books.hold_chore(chore, node_id))

    async def enter(self) -> None:
        """Join the nodes under a new id, and bury those that are dead; raises StoreFailed, Unavailable."""
        now = self._clock.now()
        node = replace(
            self._node, id=new_id("node", self._randomness), started_at=now, lease_until=Millis(now + self._lease_ms)
        )
        if self._witness is not None:
            self._witness.attest(node.id)
        try:
            await self._store.transact(lambda books: books.add_node(node))
        except BaseException:
            self._forget(node.id)
            raise
        self._node = node
        await self.beat()

    async def beat(self) -> None:
        """Renew the lease, bury who is dead and count who is alive; raises StoreFailed, Unavailable."""
        node, now = self._node, self._clock.now()
        until = Millis(now + self._lease_ms)
        over = [each for each in await self._store.read(lambda books: books.nodes()) if self._is_over(each, now)]

        async def work(books: NodeBook) -> tuple[bool, list[str], int]:
            renewed = await books.renew_node(node.id, until)
            buried = [each.id for each in over if await books.drop_node(each)]
            return renewed, buried, len(await books.nodes())

        renewed, buried, alive = await self._store.transact(work)
        for node_id in buried:
            _log.warning("node %s is dead: what it was sending is in doubt now", node_id)
            self._forget(node_id)
        self._peers = max(alive, 1)
        if renewed:
            self._node = replace(node, lease_until=until)
            return
        _log.warning("the others took this node for dead: it goes on as another one")
        self._forget(node.id)
        await self.enter()

    async def leave(self) -> None:
        """Leave the nodes; what was not finished is in doubt at once."""
        node, self._node = self._node, replace(self._node, lease_until=Millis(0))
        await self._store.transact(lambda books: books.drop_node(node))
        self._forget(node.id)

    @contextlib.asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Be a node while the context lasts; raises StoreFailed, Unavailable when it cannot become one."""
        await self.enter()
        try:
            async with beside(self._run()):
                yield
        finally:
            try:
                await self.leave()
            except TallystickError as error:
                _log.warning("this node could not leave the others, who wait for its lease: %s", error.code)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(BEAT_EVERY_S)
            try:
                await self.beat()
            except TallystickError as error:
                _log.error("this node's lease was not renewed: %s: %s", error.code, error.detail)
            except Exception as error:  # noqa: BLE001 - without a next try this node would never send again
                _log.error("this node's lease was not renewed: %s", type(error).__name__)

    def _is_over(self, other: Node, now: Millis) -> bool:
        if other.id == self._node.id:
            return False
        return other.lease_until + TAKEOVER_MS <= now or (self._witness is not None and self._witness.is_dead(other))

    def _forget(self, node_id: str) -> None:
        if self._witness is not None:
            self._witness.forget(node_id)


class NoNode:
    """A process that is no node (`delivery.ports.OwnNode`): an operator's command may echo to a back end, not pay."""

    id = ""
    peers = 1

    def require_lease(self) -> None:
        """Raise NotSent: who has no lease sends nothing."""
        raise NotSent("this process is no node")

    async def holds(self, chore: str) -> bool:  # noqa: ARG002  # whatever it is called
        """Do no chore."""
        return False
