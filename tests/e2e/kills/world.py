"""A platform, its back ends and its channels, each a process of its own that may be killed and started again."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kills import processes
from kills.judge import Stored
from tallystick import config
from tallystick.bootstrap.layout import Layout, create
from tallystick.bootstrap.office import Office, office
from tallystick.bootstrap.storing import migrate
from tallystick.channels import limiting
from tallystick.channels.limiting import COUNT_MAX, read_limit
from tallystick.channels.model import ChannelKind, LimitKind
from tallystick.cli import administer, profiles
from tallystick.cli.demo import back_ends
from tallystick.cli.demo.back_ends import SandboxBackEnd
from tallystick.cli.demo.processes import Child
from tallystick.cli.demo.world import free_ports
from tallystick.delivery.books import Books
from tallystick.delivery.model import IntentState
from tallystick.routing.model import NumberPolicy
from tallystick.sdk.settings import Profile, load_profile
from tallystick.secret import Secret
from tallystick.security.access_keys import KeyringAccess
from tallystick.testing.postgres_server import FAST, PostgresServer, postgres_server
from tallystick.testing.sandbox import record
from tallystick.testing.sandbox.record import Entry
from tallystick.vault.model import AccountCredential, Contact

SETTINGS = '[gateway]\nhost = "127.0.0.1"\nport = {port}\n'
CHANNELS = {
    "pc": (ChannelKind.PC_BROWSER, "pan expiry account username order"),
    "phone": (ChannelKind.MOBILE, "pin_block secret password"),
    "merchant": (ChannelKind.MERCHANT, "order"),
}
USERS = 8
NODE, WORKER, TIMERS, DATABASE = "node", "worker of a node", "timers", "database"
SERVING = frozenset({NODE, WORKER})
SERVING_SHARE = 0.5  # of all kills
HELPERS = {"adapters.pins": "PIN process", "adapters.passwords": "password process", " serve": WORKER}
"""How a process below one of the platform's is known, by its command line."""

PASSWORD = "bamboo-kettle-92"
KEEPS_NOTHING = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
CACHE = "PYTHONPYCACHEPREFIX"


@dataclass
class Victim:
    """A process that can be killed; `again` starts it again, where nothing else does."""

    kind: str
    kill: Callable[[], Awaitable[None]]
    pids: list[int]
    again: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True)
class Shape:
    """How many processes a platform has: `nodes` that serve, each with so many `workers`, and `timers` that only work.

    They share one SQLite file, or one PostgreSQL server, which may be killed as well.
    """

    nodes: int = 1
    workers: int = 1
    timers: int = 0
    postgres: bool = False


@dataclass
class World:
    """Everything a run works with."""

    home: Path
    data: Path
    nodes: list[Child]
    timers: list[Child]
    sandboxes: dict[str, SandboxBackEnd]
    environment: dict[str, str]
    database: PostgresServer | None = None
    profiles: dict[str, list[Profile]] = field(default_factory=dict)

    @property
    def account_institution(self) -> str:
        """The institution whose payers have accounts, a stored one among them."""
        return self.sandboxes["REST"].back_end.id

    def victims(self) -> list[Victim]:
        """List what runs now and may be killed."""
        own = [Victim(NODE, node.kill, _below(node), node.start) for node in self.nodes]
        own += [Victim(TIMERS, each.kill, _below(each), each.start) for each in self.timers]
        helpers = [_helper(pid) for each in (*self.nodes, *self.timers) for pid in _below(each)]
        banks = [Victim(f"{name} back end", each.child.kill, [], each.restart) for name, each in self.sandboxes.items()]
        return own + helpers + banks + ([_database(self.database)] if self.database is not None else [])

    def victim(self, choice: random.Random, kills: Mapping[str, int], kinds: Sequence[str] = ()) -> Victim:
        """Choose one, of these `kinds` if some are given: what serves every other time, else a kind killed least."""
        now = [each for each in self.victims() if not kinds or each.kind in kinds]
        serving = [each for each in now if each.kind in SERVING]
        others = [each for each in now if each.kind not in SERVING]
        if serving and (not others or choice.random() < SERVING_SHARE):
            return choice.choice(serving)
        least = min(kills.get(each.kind, 0) for each in others)
        kind = choice.choice(sorted({each.kind for each in others if kills.get(each.kind, 0) == least}))
        return choice.choice([each for each in others if each.kind == kind])

    def records(self) -> list[list[Entry]]:
        """Return what each back end recorded itself."""
        return [record.read(each.record_path) for each in self.sandboxes.values() if each.record_path.exists()]

    async def stored(self) -> dict[int, list[Stored]]:
        """Return what the platform's books say, by amount."""
        async with office(self.data, config.load(self.data, self.environment)) as desk:
            return await desk.store.read(_stored)

    async def stop(self) -> None:
        """Stop the platform's own processes, which finish what is under way."""
        await asyncio.gather(*(each.stop() for each in (*self.nodes, *self.timers)))


def _below(child: Child) -> list[int]:
    return [] if child.pid is None else processes.descendants(child.pid)


def _helper(pid: int) -> Victim:
    kind = next((kind for word, kind in HELPERS.items() if word in processes.command(pid)), "helper process")

    async def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    return Victim(kind, kill, processes.descendants(pid))


def _database(server: PostgresServer) -> Victim:
    async def kill() -> None:
        await asyncio.to_thread(server.stop, signal.SIGKILL)

    return Victim(DATABASE, kill, [], lambda: asyncio.to_thread(server.start))


async def _stored(books: Books) -> dict[int, list[Stored]]:
    found: dict[int, list[Stored]] = {}
    for payment in await books.recent_payments(10**9):
        intents = await books.intents(payment.id)
        parts = await books.sealed_parts(payment.id)
        sending = sum(intent.state is IntentState.SENDING for intent in intents)
        amount = payment.order.amount if payment.order else 0
        found.setdefault(amount, []).append(Stored(payment.state, len(parts), sending))
    return found


@contextlib.contextmanager
def compiled(home: Path) -> Iterator[None]:
    """Let Python keep what it compiles, as an installed platform has it: a start takes half as long."""
    before = {name: os.environ.pop(name) for name in KEEPS_NOTHING if name in os.environ}
    os.environ[CACHE] = str(home / "compiled")
    try:
        yield
    finally:
        del os.environ[CACHE]
        os.environ.update(before)


@contextlib.asynccontextmanager
async def world(
    home: Path, shape: Shape = Shape(), program: tuple[str, ...] = ("tallystick.cli.main",)
) -> AsyncIterator[World]:
    """Make, furnish and start it all; `program` is what is started with `--data DIR serve`."""
    data, ports = home / "platform", free_ports(shape.nodes)
    create(data, SETTINGS.format(port=ports[0]))
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(compiled(home))
        environment, database = _store(home, stack, shape)
        if database is not None:
            migrate(Layout(data), config.load(data, environment).store, ("pre", "post"))
        made = World(home, data, [], [], {}, environment, database)
        for number, port in enumerate(ports, 1):
            own = {**environment, "TALLYSTICK_GATEWAY__PORT": str(port), "PYTHONPATH": str(Path(__file__).parents[1])}
            more = ["--workers", str(shape.workers)] if shape.workers > 1 else []
            arguments = [*program, "--data", str(data), "serve", *more]
            made.nodes.append(Child(f"node {number}", arguments, home / f"node-{number}.log", own))
        for number in range(1, shape.timers + 1):
            arguments = [*program, "--data", str(data), "worker"]
            made.timers.append(Child(f"timers {number}", arguments, home / f"timers-{number}.log", environment))
        async with office(data, config.load(data, environment)) as desk:
            parties = home / "back-ends"
            parties.mkdir()
            for name, starting in (
                ("ISO 8583", back_ends.start_unionpay(desk, parties, "UnionPay", 10)),
                ("REST", back_ends.start_rest(desk, parties, NumberPolicy.BACK_END)),
            ):
                made.sandboxes[name] = await starting
                stack.push_async_callback(made.sandboxes[name].child.stop)
            await _furnish(desk, made, [f"https://localhost:{port}" for port in ports])
        stack.push_async_callback(made.stop)
        for each in (*made.nodes, *made.timers):
            await each.start()
        async with office(data, config.load(data, environment)) as desk:
            made.sandboxes["pull"] = await back_ends.start_pull(desk, parties, f"https://localhost:{ports[0]}")
        stack.push_async_callback(made.sandboxes["pull"].child.stop)
        yield made


def _store(home: Path, stack: contextlib.AsyncExitStack, shape: Shape) -> tuple[dict[str, str], PostgresServer | None]:
    """Return the settings of the store, and the server where there is one."""
    if not shape.postgres:
        return {}, None
    server = stack.enter_context(postgres_server(*FAST))
    secret = home / "dsn"
    secret.touch(0o600)
    secret.write_text(server.dsn)
    return {"TALLYSTICK_STORE__KIND": "postgres", "TALLYSTICK_STORE__DSN_FILE": str(secret)}, server


async def _furnish(desk: Office, made: World, urls: Sequence[str]) -> None:
    """Register channels, payers and what they stored; let one card and one account pay as often as they like."""
    often, keys, at = read_limit(f"{COUNT_MAX}/24h"), KeyringAccess(desk.keyring), desk.clock.now()
    await desk.store.transact(
        lambda books: limiting.change(books, keys, LimitKind.CREDENTIAL, often, author="test", at=at)
    )
    for name, (kind, fields) in CHANNELS.items():
        new = await administer.add_channel(desk, name=name, kind=kind, fields=frozenset(fields.split()))
        profile = load_profile(profiles.write_channel(desk, new, made.home / name, urls[0]))
        made.profiles[name] = [replace(profile, base_url=url) for url in urls]
    bank, institution = made.sandboxes["REST"], made.account_institution
    key = bank.signing_key or b""
    profile = load_profile(profiles.write_institution(desk, institution, made.home / "institution", urls[0], key))
    made.profiles["institution"] = [replace(profile, base_url=url) for url in urls]
    credential = AccountCredential(account=Secret(back_ends.REST_ACCOUNT), secret=Secret(back_ends.ACCOUNT_SECRET))
    for name in (f"payer{number}" for number in range(USERS)):
        contact, password = Contact(email=f"{name}@example.test"), Secret(PASSWORD)
        await administer.add_user(desk, username=name, password=password, contact=contact)
        await administer.store_credential(
            desk, username=name, password=password, institution=institution, credential=credential
        )
