"""What this stage needs of a store and of a back end."""

from typing import Protocol

from tallystick.crypto.box import SealingKey
from tallystick.delivery.model import (
    Answer,
    Finding,
    Instruction,
    Intent,
    IntentState,
    MessageIds,
    Node,
    Original,
    PullDelivery,
    PullState,
    Recovery,
    ZoneKey,
)
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis
from tallystick.secret import Pan, Secret
from tallystick.vault.model import EncipheredPin


class IntentBook(Protocol):
    """Intents: written before a send, settled after it."""

    async def next_stan(self, back_end: str, day: str) -> int:
        """Return the next trace number of a back end and hour (YYYYMMDDHH): 1 to 999999, never twice; then TooMany."""
        ...

    async def add_intent(self, intent: Intent) -> None:
        """Record an intent; raises AlreadyExists when the payment has one with this `n`."""
        ...

    async def settle_intent(
        self,
        payment_id: str,
        n: int,
        *,
        state: IntentState,
        code: str | None,
        at: Millis,
        expected: IntentState = IntentState.SENDING,
    ) -> bool:
        """Move an intent from `expected` to `state` by compare-and-set; True if moved.

        Its sealed account is erased unless it is now UNKNOWN.
        """
        ...

    async def schedule_intent(self, payment_id: str, n: int, *, tried: int, tries: int, due_at: Millis) -> bool:
        """Set the sends and the next time of an inquiry or reversal that is SENDING and was sent `tried` times.

        False when another caller was first: only the winner sends.
        """
        ...

    async def intents(self, payment_id: str) -> list[Intent]:
        """List the intents of a payment by `n`."""
        ...

    async def lost_intents(self, before: Millis, limit: int) -> list[Intent]:
        """List authorisations that are SENDING and that nobody sends any more, oldest first: their outcome is open.

        That is so when their node is not among the nodes, or when they were recorded at `before` or earlier.
        """
        ...

    async def due_intents(self, now: Millis, limit: int) -> list[Intent]:
        """List inquiries and reversals that are SENDING and due at `now`, longest due first."""
        ...

    async def unsettled_intents(self, back_end: str) -> int:
        """Count a back end's intents that are SENDING or UNKNOWN: what a drain waits for."""
        ...

    async def accounts_kept(self) -> frozenset[str]:
        """Return the recovery epochs under which an account number is still sealed."""
        ...


class NodeBook(Protocol):
    """The nodes that are alive, and which of them does the chores that only one may do."""

    async def add_node(self, node: Node) -> None:
        """Add a node; raises AlreadyExists when its id is taken."""
        ...

    async def renew_node(self, node_id: str, lease_until: Millis) -> bool:
        """Move the end of a node's lease; False when the node is not there any more: the others buried it."""
        ...

    async def nodes(self) -> list[Node]:
        """List all nodes, longest there first."""
        ...

    async def drop_node(self, node: Node) -> bool:
        """Take a node away, if its lease still ends when `node` says, and free its chores; True if that was done."""
        ...

    async def hold_chore(self, chore: str, node_id: str) -> bool:
        """Give a chore to a node that is there, unless another one that is there has it; True when it has it now."""
        ...

    async def chore_holder(self, chore: str) -> str | None:
        """Return the id of the node that has a chore."""
        ...


class OwnNode(Protocol):
    """This process as one of the nodes on a store."""

    @property
    def id(self) -> str:
        """Its id now; it is another one after the others took it for dead."""
        ...

    @property
    def peers(self) -> int:
        """How many nodes are alive, this one included; at least 1."""
        ...

    def require_lease(self) -> None:
        """Raise NotSent when others may soon take this node for dead: it begins no send then."""
        ...

    async def holds(self, chore: str) -> bool:
        """Say whether this node does a chore that only one may do; it keeps it while it is alive.

        Raises StoreFailed when the store cannot tell: it is not done then.
        """
        ...


class Witness(Protocol):
    """A proof that a process of this machine is dead, long before its lease is over."""

    @property
    def place(self) -> str:
        """Where the proofs of this process are found; "" when it can give none."""
        ...

    def attest(self, node_id: str) -> None:
        """Prove from now on, until this process ends, that the node lives."""
        ...

    def is_dead(self, node: Node) -> bool:
        """Say that a node's process has certainly ended; False when that is not known."""
        ...

    def forget(self, node_id: str) -> None:
        """Clear away what is left of a node that is over."""
        ...


class ConnectorBook(Protocol):
    """The sealed settings of each back end's connector."""

    async def connector_settings(self, institution: str) -> bytes | None:
        """Return the sealed settings."""
        ...

    async def put_connector_settings(self, institution: str, sealed: bytes) -> None:
        """Store or replace the sealed settings."""
        ...


class PinTranslator(Protocol):
    """The key boundary of PINs: the only place where one is clear (PCI PIN 1, 3-3)."""

    async def translate(self, pin: Secret | EncipheredPin, pan: Pan, zone: ZoneKey) -> bytes:
        """Turn a sender's PIN block into one over `pan` under the back end's key.

        `pin` is a clear format 1 block, or one under the sender's key. Raises Forbidden for a translation that no rule
        allows or a token that is bound elsewhere, Malformed for a block that is not valid, FieldInvalid and
        Misconfigured for a number or key that does not fit: this request can never be built. Raises Unavailable when
        there is no answer: nothing was sent, try again.
        """
        ...


class Connectors(Protocol):
    """The connectors by back end."""

    async def connector(self, back_end: BackEnd) -> "Connector":
        """Return the back end's connector; raises NotSent when it has none that can be used."""
        ...


class Connector(Protocol):
    """A back end as delivery sees it. It never resends by itself."""

    @property
    def recovery(self) -> frozenset[Recovery]:
        """Say what can be done about an unknown outcome."""
        ...

    @property
    def keeps_account(self) -> bool:
        """Say whether `inquire` and `reverse` need the card number again; it is then kept sealed until the outcome."""
        ...

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send one request and wait for its definite answer.

        With Recovery.RETRY, the same instruction may be sent again after OutcomeUnknown: the back end acts on it once.

        Raises NotSent when no byte of the request left: the caller may try another candidate; its subclass Unfit when
        that is the instruction's fault and not the connection's. Raises OutcomeUnknown for
        everything after the first byte that is not a verified answer: the caller records UNKNOWN. Raises its subclass
        OutcomePending when the back end took the request and will tell the outcome later.
        """
        ...

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:
        """Ask what became of a request; `ids` identify the inquiry itself. Only for Recovery.INQUIRY.

        Raises DeliveryError when no authenticated answer came: the caller asks again later.
        """
        ...

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:
        """Undo a request whether or not it took effect; returns the code of the acknowledgement.

        Only for Recovery.REVERSAL. `ids` are the same for every repeat, and `repeat` says that it is one. After the
        acknowledgement the original has no effect, also if it arrives only then.

        Raises ReversalRefused when the back end will not undo it: the caller hands it to a person. Raises any other
        DeliveryError when no authenticated acknowledgement came: the caller repeats it later.
        """
        ...

    async def echo(self) -> None:
        """Prove that the back end answers (0800 echo, health call); raises DeliveryError when it does not."""
        ...

    async def aclose(self) -> None:
        """Close connections; requests in flight end as OutcomeUnknown."""
        ...


class RecoveryKeys(Protocol):
    """At-rest keys of account numbers kept for inquiry and reversal, each used for one epoch."""

    def current(self, now: Millis) -> str:
        """Return the id of the epoch to seal under now, with its key durable before this returns."""
        ...

    def key(self, epoch: str) -> SealingKey:
        """Return an epoch's key; raises KeyUnknown once it is destroyed."""
        ...

    def destroy_unused(self, now: Millis, in_use: frozenset[str]) -> list[str]:
        """Destroy the keys of epochs that are over and not in use, or older than any recovery; returns their ids."""
        ...


class PullBook(Protocol):
    """Deliveries that back ends fetch, and when each back end last asked."""

    async def add_pull(self, delivery: PullDelivery) -> None:
        """Add a delivery; raises AlreadyExists when its key is taken."""
        ...

    async def pull(self, key: str) -> PullDelivery | None:
        """Find a delivery."""
        ...

    async def replace_pull(self, delivery: PullDelivery, *, expected: PullState) -> bool:
        """Store a changed delivery by compare-and-set on its state; True if it was `expected`."""
        ...

    async def next_pull(self, back_end: str, now: Millis) -> PullDelivery | None:
        """Find what a back end is handed next: the reversal longest due, else the oldest delivery still visible."""
        ...

    async def note_poll(self, back_end: str, at: Millis) -> None:
        """Note that a back end asked for deliveries."""
        ...

    async def polled_at(self, back_end: str) -> Millis | None:
        """Return when a back end was last noted to ask."""
        ...
