"""A platform, its back ends and its channels, each a process of its own that may be killed and started again."""

import contextlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kills import processes
from kills.judge import Stored
from tallystick import config
from tallystick.bootstrap.layout import create
from tallystick.bootstrap.office import Office, office
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
NODE = "node"
NODE_SHARE = 0.5  # of all kills
PASSWORD = "bamboo-kettle-92"
KEEPS_NOTHING = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
CACHE = "PYTHONPYCACHEPREFIX"
PIN_PROGRAM = "tallystick.adapters.pins.program"


@dataclass
class Victim:
    """A process that can be killed; `again` starts it again, where nothing else does."""

    kind: str
    kill: Callable[[], Awaitable[None]]
    pids: list[int]
    again: Callable[[], Awaitable[object]] | None = None


@dataclass
class World:
    """Everything a run works with."""

    home: Path
    data: Path
    node: Child
    sandboxes: dict[str, SandboxBackEnd]
    profiles: dict[str, Profile] = field(default_factory=dict)

    @property
    def account_institution(self) -> str:
        """The institution whose payers have accounts, a stored one among them."""
        return self.sandboxes["REST"].back_end.id

    def victims(self) -> list[Victim]:
        """List what runs now and may be killed."""
        found = [self._node()]
        if self.node.pid is not None:
            found += [_helper(pid) for pid in processes.descendants(self.node.pid)]
        return found + [self._sandbox(name, each) for name, each in self.sandboxes.items()]

    def victim(self, choice: random.Random, kinds: Sequence[str] = ()) -> Victim:
        """Choose one, of these `kinds` if some are given: the platform's own processes every other time."""
        now = [each for each in self.victims() if not kinds or each.kind in kinds]
        nodes = [each for each in now if each.kind == NODE]
        others = [each for each in now if each.kind != NODE]
        return choice.choice(nodes if nodes and (not others or choice.random() < NODE_SHARE) else others)

    def records(self) -> list[list[Entry]]:
        """Return what each back end recorded itself."""
        return [record.read(each.record_path) for each in self.sandboxes.values() if each.record_path.exists()]

    async def stored(self) -> dict[int, list[Stored]]:
        """Return what the platform's books say, by amount."""
        async with office(self.data, config.load(self.data, {})) as desk:
            return await desk.store.read(_stored)

    def _node(self) -> Victim:
        pids = [] if self.node.pid is None else processes.descendants(self.node.pid)
        return Victim(NODE, self.node.kill, pids, self.node.start)

    def _sandbox(self, name: str, sandbox: SandboxBackEnd) -> Victim:
        return Victim(f"{name} back end", sandbox.child.kill, [], sandbox.restart)


def _helper(pid: int) -> Victim:
    kind = "PIN process" if PIN_PROGRAM in processes.command(pid) else "helper process"

    async def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)

    return Victim(kind, kill, [])


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
async def world(home: Path, program: tuple[str, ...] = ("tallystick.cli.main",)) -> AsyncIterator[World]:
    """Make, furnish and start it all; `program` is what is started with `--data DIR serve`."""
    data, (port,) = home / "platform", free_ports(1)
    create(data, SETTINGS.format(port=port))
    arguments = [*program, "--data", str(data), "serve"]
    node = Child("the platform", arguments, home / "platform.log", {"PYTHONPATH": str(Path(__file__).parents[1])})
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(compiled(home))
        async with office(data, config.load(data, {})) as desk:
            parties = home / "back-ends"
            parties.mkdir()
            sandboxes = {}
            for name, starting in (
                ("ISO 8583", back_ends.start_unionpay(desk, parties, "UnionPay", 10)),
                ("REST", back_ends.start_rest(desk, parties, NumberPolicy.BACK_END)),
            ):
                sandboxes[name] = await starting
                stack.push_async_callback(sandboxes[name].child.stop)
            made = World(home, data, node, sandboxes)
            await _furnish(desk, made, f"https://localhost:{port}")
        stack.push_async_callback(node.stop)
        await node.start()
        yield made


async def _furnish(desk: Office, made: World, url: str) -> None:
    """Register channels, payers and what they stored; let one card and one account pay as often as they like."""
    often, keys, at = read_limit(f"{COUNT_MAX}/24h"), KeyringAccess(desk.keyring), desk.clock.now()
    await desk.store.transact(
        lambda books: limiting.change(books, keys, LimitKind.CREDENTIAL, often, author="test", at=at)
    )
    for name, (kind, fields) in CHANNELS.items():
        new = await administer.add_channel(desk, name=name, kind=kind, fields=frozenset(fields.split()))
        made.profiles[name] = load_profile(profiles.write_channel(desk, new, made.home / name, url))
    bank, institution = made.sandboxes["REST"], made.account_institution
    profile = profiles.write_institution(desk, institution, made.home / "institution", url, bank.signing_key or b"")
    made.profiles["institution"] = load_profile(profile)
    credential = AccountCredential(account=Secret(back_ends.REST_ACCOUNT), secret=Secret(back_ends.ACCOUNT_SECRET))
    for name in (f"payer{number}" for number in range(USERS)):
        contact, password = Contact(email=f"{name}@example.test"), Secret(PASSWORD)
        await administer.add_user(desk, username=name, password=password, contact=contact)
        await administer.store_credential(
            desk, username=name, password=password, institution=institution, credential=credential
        )
