"""A whole platform in memory: deterministic behaviour, no sockets, no files, every port in the test's hand."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from tallystick import limits
from tallystick.adapters.keys.epochs import EPOCH_OVER_MS, RECOVERY_OVER_MS
from tallystick.adapters.keys.opening import JweOpener
from tallystick.assembly import policy as policies
from tallystick.assembly.model import SplitPolicy
from tallystick.channels.limiting import Limiter
from tallystick.channels.model import Channel, ChannelKind, ChannelState
from tallystick.crypto import kdf
from tallystick.crypto.box import SealingKey
from tallystick.crypto.hpke import OpeningKey, Suite
from tallystick.crypto.jose import JweKey, sign_jws
from tallystick.crypto.signing import Ed25519Private, HmacKey
from tallystick.delivery.model import NodeKind
from tallystick.delivery.nodes import LeasedNode
from tallystick.doubts import give_up_lost
from tallystick.errors import KeyUnknown
from tallystick.path import Platform
from tallystick.routing.issuer_file import shipped_rules
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import BackEnd, Status
from tallystick.runtime import Millis, Randomness
from tallystick.security.model import Sender
from tallystick.security.ports import Opener
from tallystick.security.verify import seal_sender_key
from tallystick.testing.clock import SeededRandomness, VirtualClock
from tallystick.testing.connector import ScriptedConnector, ScriptedConnectors
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.pins import MemoryPins
from tallystick.testing.quick_stretcher import QuickStretcher
from tallystick.testing.routes import put_back_end, put_issuer_rules
from tallystick.wire.keys import IDENTITY_KID, JWE_SUITE, PublishedKey
from tallystick.wire.receipt import RECEIPT_TYPE, PartProof

HPKE_KEY: Final = "pk_hpke"
BROWSER_KEY: Final = "pk_browser"
JWE_KEY: Final = "pk_jwe"
LONG_LEASE_MS: Final = 400 * 24 * 3_600_000  # ms
ALL_FIELDS: Final = frozenset(
    {
        "pan",
        "expiry",
        "pin_block",
        "account",
        "secret",
        "username",
        "password",
        "institution",
        "number",
        "scheme",
        "share",
        "order",
    }
)


class MemoryEpochs:
    """Epoch keys in memory, of parts and of account numbers in doubt, with the life that file keys have.

    Implements `security.ports.EpochKeys` and `delivery.ports.RecoveryKeys`.
    """

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._keys: dict[int, SealingKey] = {}

    def current(self, now: Millis) -> str:
        """Return the epoch that `now` lies in, and make its key where there is none."""
        begins = now - now % limits.EPOCH_MS
        if begins not in self._keys:
            self._keys[begins] = SealingKey(self._randomness.token(kdf.KEY_BYTES))
        return f"ep_{begins}"

    def key(self, epoch: str) -> SealingKey:
        """Return an epoch's key; raises KeyUnknown once it is destroyed."""
        begins = int(epoch.removeprefix("ep_"))
        if begins not in self._keys:
            raise KeyUnknown("this epoch's key is destroyed")
        return self._keys[begins]

    def destroy_before(self, now: Millis) -> list[str]:
        """Destroy every key older than `limits.EPOCH_KEPT_MS`."""
        return self._destroy([begins for begins in self._keys if begins + limits.EPOCH_KEPT_MS <= now])

    def destroy_unused(self, now: Millis, in_use: frozenset[str]) -> list[str]:
        """Destroy the keys of epochs that are over and not in use, or older than any recovery."""
        over = [begins for begins in self._keys if begins + EPOCH_OVER_MS <= now]
        return self._destroy([b for b in over if f"ep_{b}" not in in_use or b + RECOVERY_OVER_MS <= now])

    def _destroy(self, over: list[int]) -> list[str]:
        for begins in over:
            del self._keys[begins]
        return [f"ep_{begins}" for begins in over]


class MemoryOpeningKeys:
    """One opening key of each suite that lives until it is withdrawn (`security.ports.OpeningKeys`)."""

    def __init__(self) -> None:
        self._openers: dict[str, Opener] = {}
        self.keys: dict[str, PublishedKey] = {}
        for key_id, suite in ((HPKE_KEY, Suite.MLKEM768_X25519), (BROWSER_KEY, Suite.P256)):
            key = OpeningKey.generate(suite)
            self._openers[key_id] = key
            public = urlsafe_b64encode(key.public).decode().rstrip("=")
            self.keys[key_id] = PublishedKey(
                id=key_id, format="hpke", suite=suite, public=public, not_before=0, not_after=2**52
            )
        jwe = JweKey.generate(JWE_KEY)
        self._openers[JWE_KEY] = JweOpener(jwe)
        self.keys[JWE_KEY] = PublishedKey(
            id=JWE_KEY, format="jwe", suite=JWE_SUITE, public=jwe.public_jwk(), not_before=0, not_after=2**52
        )

    def opener(self, key_id: str, now: Millis) -> Opener:  # noqa: ARG002  # a memory key has no age
        """Return the opener; raises KeyUnknown."""
        if key_id not in self._openers:
            raise KeyUnknown("the platform holds no such opening key now")
        return self._openers[key_id]

    def published(self, now: Millis) -> str:  # noqa: ARG002  # as above
        """Return the ids; a test takes the keys themselves from `keys`."""
        return " ".join(self.keys)

    def rotate(self, now: Millis) -> list[str]:  # noqa: ARG002  # as above
        """Change nothing: the keys live until `withdraw`."""
        return []

    def withdraw(self, key_id: str) -> None:
        """Destroy one key."""
        del self._openers[key_id], self.keys[key_id]


class MemoryReceipts:
    """Receipts under a key of its own (`assembly.ports.ReceiptSigner`)."""

    def __init__(self) -> None:
        self.identity = Ed25519Private()

    def sign(self, proof: PartProof) -> str:
        """Return the receipt as a compact JWS."""
        return sign_jws(self.identity, msgspec.json.encode(proof), IDENTITY_KID, RECEIPT_TYPE)


@dataclass(frozen=True, slots=True)
class Member:
    """A registered channel of a memory platform with its key and the fingerprint of its certificate."""

    channel: Channel
    key: HmacKey
    certificate: str

    @property
    def sender(self) -> Sender:
        """Return the channel as the sender of a message."""
        return Sender(id=self.channel.id, algorithm=self.channel.algorithm, sealed_key=self.channel.sealed_key)


@dataclass(frozen=True, slots=True)
class MemoryPlatform:
    """A platform and the fakes it stands on."""

    platform: Platform
    store: MemoryStore
    clock: VirtualClock
    connectors: ScriptedConnectors
    keyring: MemoryKeyring
    opening_keys: MemoryOpeningKeys
    epochs: MemoryEpochs
    recovery_keys: MemoryEpochs
    randomness: SeededRandomness
    receipts: MemoryReceipts
    pins: MemoryPins
    node: LeasedNode
    members: dict[str, Member] = field(default_factory=dict)

    async def channel(
        self,
        channel_id: str,
        fields: Iterable[str] = ALL_FIELDS,
        *,
        proves_payer: bool = False,
        certificate: str | None = None,
        state: ChannelState = ChannelState.ACTIVE,
    ) -> Member:
        """Register a channel with an HMAC key of its own."""
        secret = kdf.derive(b"tallystick memory channel keys", channel_id)
        channel = Channel(
            id=channel_id,
            name=f"Channel {channel_id}",
            kind=ChannelKind.BANK_APP if proves_payer else ChannelKind.PC_BROWSER,
            state=state,
            fields=frozenset(fields),
            proves_payer=proves_payer,
            algorithm=HmacKey.algorithm,
            sealed_key=seal_sender_key(self.keyring, channel_id, secret),
            created_at=self.clock.now(),
        )
        await self.store.transact(lambda books: books.add_channel(channel))
        member = Member(channel, HmacKey(secret), certificate or f"certificate of {channel_id}")
        self.members[channel_id] = member
        return member

    async def back_end(self, back_end: BackEnd, connector: ScriptedConnector | None = None) -> ScriptedConnector:
        """Put a back end into the routing table, with a connector that approves unless another one is given."""
        await self.store.transact(lambda books: put_back_end(books, back_end))
        self.connectors.by_institution[back_end.id] = connector or ScriptedConnector()
        return self.connectors.by_institution[back_end.id]

    async def peer(self, *, lease_ms: int = LONG_LEASE_MS) -> "MemoryPlatform":
        """Return a further node on the same store, with the same keys and connectors."""
        node = memory_node(self.store, self.clock, self.randomness, lease_ms=lease_ms)
        await node.enter()
        return replace(self, platform=replace(self.platform, node=node), node=node)

    async def crash(self) -> int:
        """Let the others bury this node, begin anew as another one, and give up what it was sending: returns how much.

        Left to the caller: to stop what still runs.
        """
        await self.node.leave()
        await self.node.enter()
        return await give_up_lost(self.platform)

    async def rules(self, rules: tuple[IssuerRule, ...]) -> None:
        """Replace the issuer rules."""
        await self.store.transact(lambda books: put_issuer_rules(books, rules))


def bank(institution: str = "10000001", **facts: object) -> BackEnd:
    """Return an active back end for UnionPay and VISA cards, with whatever `facts` say instead."""
    usual = {
        "name": f"Bank {institution}",
        "connector": "scripted",
        "status": Status.ACTIVE,
        "schemes": frozenset({"unionpay", "visa"}),
    }
    return BackEnd(**{"id": institution, **usual, **facts})  # type: ignore[arg-type]  # a test names the right kinds


def memory_node(
    store: MemoryStore, clock: VirtualClock, randomness: Randomness, *, lease_ms: int = LONG_LEASE_MS
) -> LeasedNode:
    """Return a node that is about to enter; without renewals a long lease lets a test go on for days."""
    return LeasedNode(
        store, clock, randomness, kind=NodeKind.SERVE, name="memory", release="0", witness=None, lease_ms=lease_ms
    )


async def memory_platform(*, seed: int = 0, own_policies: tuple[SplitPolicy, ...] = ()) -> MemoryPlatform:
    """Return a platform with the built-in policies and shipped issuer rules; it has no channel and no back end yet."""
    clock, randomness, pins = VirtualClock(), SeededRandomness(seed), MemoryPins()
    store = MemoryStore(clock)
    connectors, keyring, receipts = ScriptedConnectors(), MemoryKeyring(), MemoryReceipts()
    opening_keys, epochs, recovery_keys = MemoryOpeningKeys(), MemoryEpochs(randomness), MemoryEpochs(randomness)
    node = memory_node(store, clock, randomness)
    platform = Platform(
        store=store,
        keyring=keyring,
        opening_keys=opening_keys,
        epochs=epochs,
        recovery_keys=recovery_keys,
        connectors=connectors,
        stretcher=QuickStretcher(),
        counter=Limiter(clock, b"buckets"),
        node=node,
        pins=pins,
        policies=policies.load((*policies.BUILT_IN, *own_policies)),
        clock=clock,
        randomness=randomness,
        receipts=receipts,
    )
    made = MemoryPlatform(
        platform,
        store,
        clock,
        connectors,
        keyring,
        opening_keys,
        epochs,
        recovery_keys,
        randomness,
        receipts,
        pins,
        node,
    )
    await node.enter()
    await made.rules(shipped_rules())
    return made
