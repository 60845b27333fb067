"""One simulated world: nodes that die and come back, one store, back ends, providers, and the chaos among them."""

import asyncio
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace
from sim_banks import BANK_FAULTS, Bank
from sim_judge import Judge
from sim_node import KEY_ID, SEALING, Process
from sim_outside import OUTSIDE_FAULTS, Carriage, Receiver
from sim_record import Left, Record

from tallystick.adapters.store.drive import drive
from tallystick.channels.model import Channel, ChannelKind, ChannelState
from tallystick.crypto import box, kdf
from tallystick.crypto.signing import HmacKey
from tallystick.delivery import resolve
from tallystick.delivery.model import Finding, Instruction, MessageIds, Original, Recovery
from tallystick.delivery.nodes import BEAT_EVERY_S
from tallystick.outcomes import endpoints
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import BackEnd, NumberPolicy, Status
from tallystick.runtime import Millis
from tallystick.security.model import Arrival
from tallystick.security.ports import Purpose
from tallystick.security.unseal import MEDIA_TYPE, info_of
from tallystick.security.verify import Verified, seal_sender_key
from tallystick.sweep import TICK_S
from tallystick.testing import messages
from tallystick.testing.clock import START, SeededRandomness
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryBooks, MemoryStore
from tallystick.testing.pins import MemoryPins
from tallystick.testing.platform import ALL_FIELDS, Member, MemoryEpochs
from tallystick.testing.routes import put_back_end, put_issuer_rules
from tallystick.testing.simulation.faults import Faults, choices
from tallystick.testing.simulation.loop import SimulatedLoop
from tallystick.testing.simulation.node import STORE_FAULTS, Node
from tallystick.wire.part import SealedMessage

T = TypeVar("T")

REQUEST_LOST: Final = "request of a client is lost"
ANSWER_LOST: Final = "answer to a client is lost"
IMPATIENT: Final = "client repeats a request that is still worked on"
NODE_HANGS: Final = "node does not renew its lease in time"
ROUTES_CHANGE: Final = "routing table changes"
KILLED: Final = "node is killed"
CLOCK_JUMPS: Final = "clock of a node jumps"
KEY_ROTATES: Final = "key of the keyring is rotated"
WORLD_FAULTS: Final = {ROUTES_CHANGE: 0.02, NODE_HANGS: 0.1, KILLED: 0.02, CLOCK_JUMPS: 0.02, KEY_ROTATES: 0.01}
"""The usual rate of each fault of this module, by its name: once a chaotic second."""

PEOPLE_FAULTS: Final = {REQUEST_LOST: 0.05, ANSWER_LOST: 0.05, IMPATIENT: 0.05}
"""The usual rate of what befalls clients on their way to a node."""
FAULTS: Final = {**STORE_FAULTS, **BANK_FAULTS, **OUTSIDE_FAULTS, **PEOPLE_FAULTS, **WORLD_FAULTS}

CALM_EVERY: Final = 16  # seeds of which one has no faults at all
SKEW_MS: Final = 20_000  # ms a node's clock is ahead or behind at most
RULES: Final = (
    IssuerRule(low="62", high="62", schemes=("unionpay",)),
    IssuerRule(low="4", high="4", schemes=("visa",)),
)
BUSY_S: Final = 45.0  # s from the beginning in which most happens
IDLE_TICK_S: Final = 40.0  # s between two rounds of idle timers, once most has happened
BEATS: Final = 4  # times a lease is renewed before it would end
HANGS_S: Final = 200.0  # s a renewal is late at most
CHAOS_S: Final = 1.0  # s between two chances of chaos in the beginning
CHAOS_MAX_S: Final = 40.0  # s later on
CHEAP: Final = b"simulated channel keys"


class World:
    """Everything of one run; `record` keeps what happens, `judge` what of it was wrong."""

    def __init__(self, seed: int, record: Record) -> None:
        self.seed = seed
        record.calm = not seed % CALM_EVERY
        self.faults = faults = Faults(seed, dict.fromkeys(FAULTS, 0.0) if record.calm else FAULTS)
        self.random = choices(seed, "world")
        self.skew_ms = 0 if record.calm else self.random.choice((0, SKEW_MS))
        self.loop = SimulatedLoop(choices(seed, "turns"), self._begin())
        faults.time = self.loop.time
        self.randomness = SeededRandomness(self.random.getrandbits(64))
        self.store = MemoryStore(self)
        self.books = self.store._books
        self.keyring = MemoryKeyring()
        self.epochs, self.recovery_keys = MemoryEpochs(self.randomness), MemoryEpochs(self.randomness)
        self.pins = MemoryPins(self.randomness)
        self.carriage, self.receiver = Carriage(faults), Receiver(faults)
        self.under_way: Counter[str] = Counter()
        self.notices = 0
        self.members: dict[str, Member] = {}
        self.banks: dict[str, Bank] = {}
        self.processes: dict[str, Process] = {}
        self.stirs = self._links = 0
        self.lease_ms = self.random.choices((20_000, 120_000, 600_000), (1, 3, 3))[0]
        self.tick_max_s = self.random.choice((3.0, 15.0, 60.0))
        self.record, self.judge = record, Judge(self, record)
        self._pauses: dict[asyncio.Task[Any] | None, tuple[int, float]] = {}
        self._supervisors: list[asyncio.Task[None]] = []

    def now(self) -> Millis:
        """Return the true time (`runtime.Clock`)."""
        return self.loop.millis()

    async def sleep(self, seconds: float) -> None:
        """Wait truly."""
        await asyncio.sleep(seconds)

    def look(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Read the store at once, as nobody in the world could."""
        return drive(work, self.books)

    def oversleep(self, seconds: float) -> float:
        """Make waits inexact, and the timers' ticks rarer while nothing changes: a busy machine may wake them late."""
        if seconds == BEAT_EVERY_S:
            hangs = self.faults.between(HANGS_S / 4, HANGS_S) if self.faults.strikes(NODE_HANGS) else 0
            return hangs + self.lease_ms / 1000 / BEATS * self.faults.between(0.5, 1.2)
        if seconds != TICK_S:
            return seconds * self.faults.between(1.0, 1.1)
        task = asyncio.current_task()
        stirs, pause = self._pauses.get(task, (-1, TICK_S))
        most = self.tick_max_s if self.loop.time() < BUSY_S else max(self.tick_max_s, IDLE_TICK_S)
        pause = TICK_S * 2 if stirs != self.stirs else min(pause * 3, most)
        self._pauses[task] = (self.stirs, pause)
        return pause * self.faults.between(0.5, 1.5)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Let something happen outside the platform, whatever becomes of its nodes meanwhile."""
        self.notices += 1

        def now() -> None:
            self.notices -= 1
            act()

        self.loop.call_later(seconds, now)

    # Setting up

    async def set_up(self) -> None:
        """Make channels, back ends and webhook endpoints, without faults."""
        for channel_id, kind, fields in (
            ("pc", ChannelKind.PC_BROWSER, ALL_FIELDS),
            ("phone", ChannelKind.BANK_APP, ALL_FIELDS),
            ("desk", ChannelKind.PC_BROWSER, ALL_FIELDS),
            ("bank-app", ChannelKind.BANK_APP, ALL_FIELDS),
            ("shop", ChannelKind.PC_BROWSER, frozenset({"order"})),
        ):
            await self._channel(channel_id, kind, fields, proves_payer=channel_id == "bank-app")
        await self.store.transact(lambda books: put_issuer_rules(books, RULES))
        both = frozenset({Recovery.INQUIRY, Recovery.REVERSAL})
        choices = (
            both,
            both,
            frozenset({Recovery.REVERSAL}),
            frozenset({Recovery.REVERSAL}),
            frozenset({Recovery.INQUIRY}),
            frozenset({Recovery.RETRY}),
            frozenset({Recovery.RETRY, *both}),
            frozenset(),
        )
        for institution, schemes, numbers in (
            ("10000001", {"unionpay", "visa"}, NumberPolicy.NONE),
            ("10000002", {"unionpay", "wallet"}, NumberPolicy.PLATFORM),
        ):
            recovery = self.random.choice(choices)
            self.banks[institution] = Bank(institution, recovery, self, keeps_account=self.random.random() < 0.5)
            back_end = BackEnd(
                id=institution,
                name=f"Bank {institution}",
                connector="simulated",
                status=Status.ACTIVE,
                schemes=frozenset(schemes),
                numbers=numbers,
                renew_at="08:10",
                in_flight_max=self.random.choice((2, 256)),
            )
            await self.store.transact(lambda books, one=back_end: put_back_end(books, one))
        for channel_id in ("shop", "pc"):
            await endpoints.add(
                self.store,
                self.keyring,
                self,
                self.randomness,
                channel_id=channel_id,
                url=f"https://{channel_id}.example/told",
            )

    async def _channel(self, channel_id: str, kind: ChannelKind, fields: frozenset[str], *, proves_payer: bool) -> None:
        secret = kdf.derive(CHEAP, channel_id)
        channel = Channel(
            id=channel_id,
            name=channel_id,
            kind=kind,
            state=ChannelState.ACTIVE,
            fields=fields,
            proves_payer=proves_payer,
            algorithm=HmacKey.algorithm,
            sealed_key=seal_sender_key(self.keyring, channel_id, secret),
            created_at=self.now(),
        )
        await self.store.transact(lambda books: books.add_channel(channel))
        self.members[channel_id] = Member(channel, HmacKey(secret), f"certificate of {channel_id}")

    # Nodes

    def start(self, count: int) -> None:
        """Start nodes, each started again after it died, and the chaos that befalls them."""
        for number in range(count):
            self._supervisors.append(self.loop.create_task(self._supervise(f"node {number + 1}")))
        self._supervisors.append(self.loop.create_task(self._befall()))

    def heal(self) -> None:
        """End all faults; on some days only one node is left to do what all have begun."""
        self.faults.end()
        self.lease_ms = self.random.choices((20_000, 120_000, 600_000), (1, 3, 3))[0]
        self.tick_max_s = 600.0
        alone = self.random.random() < 0.5 and not self.record.calm
        for name, process in list(self.processes.items())[1:] if alone else ():
            process.node.die("stopped for good")
            self._supervisors[int(name.split()[1]) - 1].cancel()

    def stop(self) -> None:
        """Let no node be there, and none come back."""
        for supervisor in self._supervisors:
            supervisor.cancel()
        for process in self.processes.values():
            process.node.die("stopped for good")

    def any_process(self) -> Process | None:
        """Return a node that serves, if there is one."""
        serving = [process for process in self.processes.values() if process.ready and process.node.alive]
        return self.random.choice(serving) if serving else None

    async def _supervise(self, name: str) -> None:
        ahead_ms = self.random.randint(-self.skew_ms, self.skew_ms)
        while True:
            process = self.processes[name] = Process(self, name, ahead_ms)
            running = process.node.spawn(process.run())
            await asyncio.wait([running])
            if not running.cancelled():
                process.node.die(type(running.exception()).__name__)
            ahead_ms = process.node.ahead_ms
            await asyncio.sleep(self.faults.between(0.1, 20.0))

    async def _befall(self) -> None:
        pause = CHAOS_S
        while not self.faults.over:
            await asyncio.sleep(pause * self.faults.between(0.5, 1.5))
            pause = min(pause * 1.2, CHAOS_MAX_S)
            for process in list(self.processes.values()):
                if self.faults.strikes(KILLED):
                    process.node.die(KILLED)
                if self.faults.strikes(CLOCK_JUMPS):
                    process.node.ahead_ms = self.random.randint(-self.skew_ms, self.skew_ms)
            if self.faults.strikes(ROUTES_CHANGE):
                await self.store.transact(self._change_routes)
            if self.faults.strikes(KEY_ROTATES):
                self.keyring.rotate(
                    self.random.choice((Purpose.VAULT, Purpose.ACCESS, Purpose.AT_REST, Purpose.BLIND_INDEX))
                )

    async def _change_routes(self, books: MemoryBooks) -> None:
        table = await books.routing_table()
        changed = self.random.choice(table.back_ends)
        await put_back_end(books, replace(changed, priority=self.random.randint(1, 200)))

    def _begin(self) -> Millis:
        """Begin anywhere in an epoch, often shortly before numbers are renewed (08:10)."""
        return Millis(START + self.faults.random.randrange(0, 620_000))

    # What the world does to itself

    def arrival(self, process: Process, sender: str, content: object, **how: Any) -> Arrival:
        """Return the request of a channel as it arrives at a node: sealed, signed, with a fresh nonce."""
        member, target = self.members[sender], how.get("target", messages.PARTS)
        stated = Verified(
            sender=sender,
            nonce=self.randomness.token(16).hex(),
            created=(self.now() + how.get("clock_off_ms", 0)) // 1000,
            idempotency_key=how.get("key") or self.randomness.token(16).hex(),
        )
        sealed = box.seal(SEALING, msgspec.json.encode(content), info_of(target, KEY_ID, stated, how.get("bound", ())))
        outer = SealedMessage(
            v=1,
            key_id=KEY_ID,
            format="hpke",
            sealed=urlsafe_b64encode(sealed).decode().rstrip("="),
            payment=how.get("payment"),
        )
        signed = messages.sign(self, member, msgspec.json.encode(outer), stated, target=target)  # type: ignore[arg-type]
        assert signed.headers["content-type"] == MEDIA_TYPE
        return Arrival(method="POST", target=target, headers=signed.headers, body=signed.body, at=process.clock.now())

    @property
    def clock(self) -> "World":
        """Return what `messages.sign` reads the time from."""
        return self

    def tell(self, bank: Bank, key: str, finding: Finding) -> None:
        """Let a back end tell what it decided, until a node has taken it."""
        process = self.any_process()
        if process is None:
            self.later(30.0, lambda: self.tell(bank, key, finding))
            return

        async def take() -> None:
            work = lambda books: resolve.notified(books, bank.institution, key, finding, process.clock.now())  # noqa: E731
            self.faults.note("back end told an outcome", key, await process.store.transact(work))

        def done(task: "asyncio.Task[None]") -> None:
            if task.cancelled() or task.exception() is not None:
                self.later(30.0, lambda: self.tell(bank, key, finding))

        process.node.spawn(take()).add_done_callback(done)

    # What is watched

    def committed(self, _: Node | None = None) -> None:
        """Look at the store after a commit."""
        if len(self.books._links) != self._links:
            self._links = len(self.books._links)
            self.stirs += 1
            self.judge.committed()

    def leaves(self, node: Node, bank: Bank, instruction: Instruction) -> None:
        """Look at an authorisation as it leaves."""
        self.stirs += 1
        key = instruction.ids.key
        left = Left(bank, instruction.payment_id, key, key, instruction.ids.rrn, self.now())
        self.faults.note("authorisation leaves", node.name, key)
        self.judge.sent(node, left, instruction)

    def asks(self, node: Node, bank: Bank, original: Original, ids: MessageIds, what: str) -> None:
        """Look at an inquiry or reversal as it leaves."""
        self.stirs += 1
        left = Left(bank, original.payment_id, original.ids.key, ids.key, ids.rrn, self.now())
        self.faults.note(f"{what} leaves", node.name, ids.key)
        self.judge.asked(node, left)

    def took_effect(self, bank: Bank, payment_id: str) -> None:
        """Look at a back end that has just moved money."""
        self.judge.effect(bank, payment_id)
