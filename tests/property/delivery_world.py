"""Back ends with an exact ledger, behind a network that delays, loses, repeats and delivers late as a test says."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from tallystick.delivery.guard import GuardedConnector
from tallystick.delivery.model import Answer, Finding, Instruction, Known, MessageIds, Original, Recovery, Verdict
from tallystick.delivery.resolve import LEASE_MS
from tallystick.errors import NotSent, OutcomePending, OutcomeUnknown, ReversalRefused, StoreFailed
from tallystick.routing.model import BackEnd
from tallystick.runtime import Clock, Millis
from tallystick.testing.memory_store import MemoryBooks, MemoryStore
from tallystick.testing.nodes import SteadyNode
from tallystick.vault.model import CardCredential

T = TypeVar("T")


class Does(StrEnum):
    """What a back end does with an authorisation that it sees for the first time."""

    APPROVE = "approve"
    DECLINE = "decline"
    ELSEWHERE = "elsewhere"
    WAIT = "wait"


class Mode(StrEnum):
    """What the network does with a message: hold it for the test, pass all at once, or lose every answer."""

    HELD = "held"
    OPEN = "open"
    SILENT = "silent"


class Asks(StrEnum):
    """What a message is."""

    AUTHORISE = "authorise"
    INQUIRE = "inquire"
    REVERSE = "reverse"


@dataclass(eq=False)
class Message:
    """One request under way: about the authorisation `key`, itself named `own`, and the caller who waits for it."""

    asks: Asks
    back_end: "LedgerBackEnd"
    payment_id: str
    key: str
    own: str
    left_at: Millis
    waits: asyncio.Future[Any]
    on_its_way: bool = True
    answer: object = None


@dataclass
class Network:
    """Every message that left, and whatever was found to be wrong about one as it left."""

    clock: Clock
    mode: Mode = Mode.HELD
    messages: list[Message] = field(default_factory=list)
    notices: list[tuple[str, str, Finding]] = field(default_factory=list)
    sends: Counter[str] = field(default_factory=Counter)
    expiry: dict[str, Millis] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def waiting(self) -> list[Message]:
        """List the messages whose caller still waits."""
        return [message for message in self.messages if not message.waits.done()]

    def on_their_way(self) -> list[Message]:
        """List the messages that may still arrive."""
        return [message for message in self.messages if message.on_its_way]

    async def send(self, message: Message) -> Any:
        """Let a message leave and wait for its answer."""
        self._judge(message)
        self.messages.append(message)
        self.sends[message.own] += 1
        if self.mode is Mode.OPEN:
            self.arrive(message, Does.APPROVE)
            self.answer(message)
        if self.mode is Mode.SILENT:
            message.waits.set_exception(OutcomeUnknown("silence"))
        return await message.waits

    def arrive(self, message: Message, does: Does, *, refuses: bool = False) -> None:
        """Let a message reach its back end, for the first time or again."""
        message.on_its_way = False
        message.answer = message.back_end.handle(message, does, refuses=refuses)

    def answer(self, message: Message) -> None:
        """Give the caller what the back end said."""
        if isinstance(message.answer, BaseException):
            message.waits.set_exception(message.answer)
        else:
            message.waits.set_result(message.answer)

    def _judge(self, message: Message) -> None:
        same = [m for m in self.waiting() if m.own == message.own]
        if message.asks is not Asks.AUTHORISE:
            if any(message.left_at < m.left_at + LEASE_MS for m in same):
                self.violations.append("an inquiry or reversal was sent again while another caller was at it")
            return
        if message.left_at >= self.expiry[message.payment_id]:
            self.violations.append("I6: an authorisation was sent after the payment's expiry")
        earlier = [m for m in self.messages if m.asks is Asks.AUTHORISE and m.payment_id == message.payment_id]
        if any(m.key != message.key and m.back_end.may_take_effect(m) for m in earlier):
            self.violations.append("I1: an authorisation was sent while another one may take effect")
        if self.sends[message.own] and Recovery.RETRY not in message.back_end.recovery:
            self.violations.append("I1: an authorisation was repeated that its back end does not recognise")


class LedgerBackEnd:
    """A back end that knows what took effect (`delivery.ports.Connector`).

    `does` is what was decided on each key, `effects` how often an authorisation of it took effect, `undone` holds the
    keys that were reversed, also before they arrived, and `closed` those that its staff closed: they change no more.
    """

    def __init__(
        self, institution: str, network: Network, recovery: frozenset[Recovery], card: str, *, keeps_account: bool
    ) -> None:
        self.institution = institution
        self.recovery = recovery
        self.keeps_account = keeps_account
        self.does: dict[str, Does] = {}
        self.effects: Counter[str] = Counter()
        self.payments: dict[str, str] = {}
        self.undone: set[str] = set()
        self.closed: set[str] = set()
        self._network = network
        self._card = card

    def effective(self, payment_id: str) -> int:
        """Count the authorisations of a payment that are in effect."""
        keys = [key for key, of in self.payments.items() if of == payment_id and key not in self.undone]
        return sum(self.effects[key] for key in keys)

    def may_take_effect(self, message: Message) -> bool:
        """Say whether an authorisation is in effect, was, or may come to be."""
        return message.on_its_way or self.does.get(message.key) in {Does.APPROVE, Does.WAIT}

    def close(self, payment_id: str) -> None:
        """Let nothing that comes later change what became of a payment."""
        self.closed |= {m.key for m in self._network.messages if m.payment_id == payment_id and m.back_end is self}

    def decide(self, key: str, does: Does) -> None:
        """Decide what waits, and tell."""
        self.does[key] = does
        if does is Does.APPROVE and key not in self.undone | self.closed:
            self.effects[key] += 1
        elif does is Does.APPROVE:
            self.does[key] = Does.DECLINE
        if does is not Does.WAIT:
            self._tell(key, Known.APPROVED if self.does[key] is Does.APPROVE else Known.DECLINED)

    def handle(self, message: Message, does: Does, *, refuses: bool) -> object:
        """Act on what arrives; returns the answer, or what the caller meets in its place."""
        self.payments[message.key] = message.payment_id
        match message.asks:
            case Asks.AUTHORISE:
                return self._authorise(message.key, does)
            case Asks.INQUIRE:
                return self._found(message.key)
            case Asks.REVERSE:
                return self._reverse(message.key, refuses=refuses)

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send an authorisation."""
        assert isinstance(instruction.credential, CardCredential)
        ids = instruction.ids
        return await self._send(Asks.AUTHORISE, instruction.payment_id, ids.key, ids.key)

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:
        """Send an inquiry."""
        return await self._send(Asks.INQUIRE, original.payment_id, original.ids.key, ids.key)

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:
        """Send a reversal."""
        if not repeat and self._network.sends[ids.key]:
            self._network.violations.append("a repeated reversal is not called one")
        if self.keeps_account and (original.account is None or original.account.reveal() != self._card):
            self._network.violations.append("a reversal does not name the card")
        return await self._send(Asks.REVERSE, original.payment_id, original.ids.key, ids.key)

    async def echo(self) -> None:
        """Answer."""

    async def aclose(self) -> None:
        """Do nothing."""

    async def _send(self, asks: Asks, payment_id: str, key: str, own: str) -> Any:
        now = self._network.clock.now()
        await asyncio.sleep(0)  # whoever is cancelled here has recorded a send that never happened
        waits: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        return await self._network.send(Message(asks, self, payment_id, key, own, now, waits))

    def _authorise(self, key: str, does: Does) -> object:
        if key not in self.does:
            self.decide(key, does)
        elif Recovery.RETRY not in self.recovery and self.does[key] is Does.APPROVE:
            self.effects[key] += 1
        match self.does[key]:
            case Does.WAIT:
                return OutcomePending("later")
            case Does.APPROVE if key not in self.undone:
                return Answer(verdict=Verdict.APPROVED, code="00")
            case does:
                return Answer(verdict=Verdict.DECLINED, code="91", elsewhere=does is Does.ELSEWHERE)

    def _found(self, key: str) -> Finding:
        if key in self.undone:
            return Finding(known=Known.REVERSED, code="00")
        match self.does.get(key):
            case None:
                return Finding(known=Known.NOT_FOUND)
            case Does.WAIT:
                return Finding(known=Known.PENDING)
            case Does.APPROVE:
                return Finding(known=Known.APPROVED, code="00")
            case _:
                return Finding(known=Known.DECLINED, code="91")

    def _reverse(self, key: str, *, refuses: bool) -> object:
        in_effect = self.effects[key] > 0 and key not in self.undone
        if key not in self.undone and (refuses or (key in self.closed and in_effect)):
            return ReversalRefused("settled already")
        self.undone.add(key)
        self._tell(key, Known.REVERSED)
        return "00"

    def _tell(self, key: str, known: Known) -> None:
        self._network.notices.append((self.institution, key, Finding(known=known, code="00")))


class FlakyStore:
    """A memory store whose next `failures` transactions fail (`delivery.books.Store`)."""

    def __init__(self, inner: MemoryStore) -> None:
        self.failures = 0
        self._inner = inner

    async def transact(self, work: Callable[[MemoryBooks], Awaitable[T]]) -> T:
        """Run `work`, unless it is to fail."""
        if self.failures:
            self.failures -= 1
            await asyncio.sleep(0)
            raise StoreFailed("the disk is full")
        return await self._inner.transact(work)

    async def read(self, work: Callable[[MemoryBooks], Awaitable[T]]) -> T:
        """Read."""
        return await self._inner.read(work)

    async def aclose(self) -> None:
        """Close."""
        await self._inner.aclose()


class GuardedBackEnds:
    """The connectors of one process (`delivery.ports.Connectors`), each behind its bounds; `away` lack settings."""

    def __init__(self, back_ends: dict[str, LedgerBackEnd], clock: Clock, away: set[str]) -> None:
        self.guards: dict[str, GuardedConnector] = {}
        self._back_ends = back_ends
        self._clock = clock
        self._away = away

    async def connector(self, back_end: BackEnd) -> GuardedConnector:
        """Return the back end's connector; raises NotSent while it is away."""
        if back_end.id in self._away:
            raise NotSent("this back end has no connector settings")
        if back_end.id not in self.guards:
            self.guards[back_end.id] = GuardedConnector(
                self._back_ends[back_end.id], back_end, self._clock, SteadyNode()
            )
        self.guards[back_end.id].bound_by(back_end)
        return self.guards[back_end.id]
