"""The demo's world in one temporary folder: platform, back ends, mail server and channels, each over real TLS."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from tallystick import config
from tallystick.assembly.facts import FINAL_STATES
from tallystick.bootstrap.layout import create
from tallystick.bootstrap.office import Office, office
from tallystick.channels.admit import CHANNEL_URI, INSTITUTION_URI
from tallystick.channels.model import ChannelKind, PageKind
from tallystick.cli import administer, profiles
from tallystick.cli.demo import back_ends
from tallystick.cli.demo.back_ends import SandboxBackEnd
from tallystick.cli.demo.pin_keys import give_pin_keys
from tallystick.cli.demo.processes import Child
from tallystick.crypto import x509
from tallystick.crypto.hpke import Suite
from tallystick.crypto.tls import client_context, server_context
from tallystick.errors import Unavailable
from tallystick.outcomes import endpoints
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.keys import HeldKeys
from tallystick.sdk.pages import Answer, PageVisitor
from tallystick.sdk.requests import Request
from tallystick.sdk.settings import Profile, load_profile
from tallystick.secret import Secret
from tallystick.service.pages.origins import Origins
from tallystick.testing.inbox import SmtpInbox
from tallystick.testing.receiver import WebhookReceiver
from tallystick.vault.model import AccountCredential, Contact
from tallystick.wire.keys import PublishedKey

MAIL_TIMEOUT_S: Final = 15.0  # s a mail may take
USERNAME: Final = "lihua"
PASSWORD: Final = "bamboo-kettle-92"  # noqa: S105 - a demo user
EMAIL: Final = "lihua@example.test"

SETTINGS: Final = """\
[gateway]
host = "127.0.0.1"
port = 0

[smtp]
host = "127.0.0.1"
port = {smtp_port}
sender = "numbers@tallystick.test"
security = "none"

[pages]
pc_port = {pc_port}
phone_port = {phone_port}

[webhooks]
allow_private = true
ca = "ca/trust.pem"
"""

CHANNELS: Final = {
    "pc": (ChannelKind.PC_BROWSER, "pan expiry account username order share", False),
    "phone": (ChannelKind.MOBILE, "pin_block secret password expiry share", False),
    "voice": (ChannelKind.VOICE, "expiry pan pin_block order share", False),
    "bank-app": (ChannelKind.BANK_APP, "pin_block secret password order share", True),
    "app": (ChannelKind.MOBILE, "pin_block", False),
    "till": (ChannelKind.MERCHANT, "pin_block", False),
    "merchant": (ChannelKind.MERCHANT, "pan order account", False),
}
"""The demo's channels: kind, the fields each may send, and whether it proves who the payer is."""


class PageBrowser:
    """One browser without a screen: it keeps the cookies it is given, and opens pages."""

    def __init__(self, http: httpx2.AsyncClient, origins: Origins, desk: Office) -> None:
        self._http = http
        self._origins = origins
        self._desk = desk

    def open(self, kind: PageKind, url: str) -> PageVisitor:
        """Open a page's link."""
        origin = self._origins.of(kind)

        async def send(request: Request) -> Answer:
            answer = await self._http.request(
                request.method, f"{origin}{request.target}", headers=dict(request.headers), content=request.body
            )
            return Answer(answer.status_code, dict(answer.headers), answer.content)

        return PageVisitor(url.partition("#")[2], send, self._key, self._desk.clock, self._desk.randomness)

    def _key(self, published: str) -> PublishedKey:
        keys = HeldKeys(self._desk.keyring.identity.public(), Suite.P256)
        keys.take(published.encode(), self._desk.clock.now())
        return keys.newest(self._desk.clock.now())


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@dataclass(slots=True)
class World:
    """Everything a scenario needs; `desk` is the operator's."""

    home: Path
    desk: Office
    platform: Child
    inbox: SmtpInbox
    receiver: WebhookReceiver
    unionpay: SandboxBackEnd
    standby: SandboxBackEnd
    visa: SandboxBackEnd
    account: SandboxBackEnd
    rest: SandboxBackEnd
    pull: SandboxBackEnd
    profiles: dict[str, Profile]
    clients: dict[str, TallystickClient]

    @property
    def back_ends(self) -> tuple[SandboxBackEnd, ...]:
        """Return all sandbox back ends."""
        return self.unionpay, self.standby, self.visa, self.account, self.rest, self.pull

    def client(self, channel: str) -> TallystickClient:
        """Return the SDK client of a channel or institution."""
        return self.clients[channel]

    def raw(self, channel: str) -> httpx2.AsyncClient:
        """Return a plain HTTPS client with a channel's certificate, for messages no SDK would send."""
        profile = self.profiles[channel]
        context = client_context(profile.ca, profile.certificate, profile.private_key)
        return httpx2.AsyncClient(base_url=profile.base_url, verify=context, trust_env=False)

    @contextlib.asynccontextmanager
    async def browser(self, origins: Origins) -> AsyncIterator[PageBrowser]:
        """Give a browser of its own, which believes the platform's authority."""
        async with httpx2.AsyncClient(verify=client_context(self.desk.ca.trust), trust_env=False) as http:
            yield PageBrowser(http, origins, self.desk)

    async def mailed(self, pattern: str, after: int) -> str:
        """Wait for a mail that arrived after the first `after` ones and return what `pattern` captures in it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MAIL_TIMEOUT_S):
                while True:
                    for mail in self.inbox.mails[after:]:
                        if found := re.search(pattern, str(mail.message.get_content())):
                            return found[1]
                    await asyncio.sleep(0.05)
        raise Unavailable("the expected mail did not arrive")

    async def told(self, payment_id: str) -> str:
        """Wait for a signed webhook about a payment's final state and return what it tells."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MAIL_TIMEOUT_S):
                while True:
                    for message in self.receiver.messages:
                        if message.data.payment == payment_id and message.data.state in FINAL_STATES:
                            return message.type
                    await asyncio.sleep(0.05)
        raise Unavailable("the expected webhook did not arrive")


@contextlib.asynccontextmanager
async def world(home: Path) -> AsyncIterator[World]:
    """Build the world, and take it down again."""
    async with contextlib.AsyncExitStack() as stack:
        inbox = await stack.enter_async_context(SmtpInbox())
        stack.callback(_keep_mails, inbox, home / "mails")
        data = home / "platform"
        pc_port, phone_port = free_ports(2)
        create(data, SETTINGS.format(smtp_port=inbox.port, pc_port=pc_port, phone_port=phone_port))
        desk = await stack.enter_async_context(office(data, config.load(data, {})))
        parties = home / "back-ends"
        parties.mkdir(0o700)
        log = home / "platform.log"
        platform = Child("the platform", ["tallystick.cli.main", "--data", str(data), "serve"], log)
        url = f"https://localhost:{await platform.start()}"
        stack.push_async_callback(platform.stop)
        unionpay = await _kept(stack, back_ends.start_unionpay(desk, parties, "UnionPay", 10))
        standby = await _kept(stack, back_ends.start_unionpay(desk, parties, "UnionPay standby", 20))
        visa = await _kept(stack, back_ends.start_visa(desk, parties))
        account = await _kept(stack, back_ends.start_account(desk, parties, url))
        rest = await _kept(stack, back_ends.start_rest(desk, parties))
        pull = await _kept(stack, back_ends.start_pull(desk, parties, url))
        await _register_payer(desk, account.back_end.id)
        made = await _profiles(desk, home / "channels", url, account)
        await give_pin_keys(desk, home / "channels", made)
        receiver = await stack.enter_async_context(_receiver(desk, home / "receiver", made["merchant"]))
        clients = {name: TallystickClient.connect(profile) for name, profile in made.items()}
        for client in clients.values():
            stack.push_async_callback(client.close)
        yield World(home, desk, platform, inbox, receiver, unionpay, standby, visa, account, rest, pull, made, clients)


@contextlib.asynccontextmanager
async def _receiver(desk: Office, place: Path, merchant: Profile) -> AsyncIterator[WebhookReceiver]:
    """Listen for the merchant's webhooks, with a certificate of the platform's own authority."""
    place.mkdir(0o700)  # noqa: ASYNC240 - one folder, before anything runs
    key = x509.new_private_key()
    csr = x509.make_csr(key, uri=f"{INSTITUTION_URI}receiver", dns=("localhost",), common_name="receiver")
    await administer.note_issue(desk, f"{INSTITUTION_URI}receiver")
    (place / "tls.pem").write_bytes(administer.issue_back_end_certificate(desk, "receiver", csr, ("localhost",)))
    profiles.write_private(place / "tls.key", key)
    async with WebhookReceiver(server_context(place / "tls.pem", place / "tls.key", None)) as receiver:
        tools = (desk.store, desk.keyring, desk.clock, desk.randomness)
        new = await endpoints.add(*tools, channel_id=merchant.credentials.sender, url=receiver.url)
        receiver.secrets.append(new.secret.reveal())
        yield receiver


def _keep_mails(inbox: SmtpInbox, folder: Path) -> None:
    """Write what was mailed beside everything else that the demo leaves behind."""
    folder.mkdir()
    for number, mail in enumerate(inbox.mails, 1):
        (folder / f"{number}.eml").write_bytes(bytes(mail.message))


async def _kept(stack: contextlib.AsyncExitStack, starting: Awaitable[SandboxBackEnd]) -> SandboxBackEnd:
    sandbox = await starting
    stack.push_async_callback(sandbox.child.stop)
    return sandbox


async def _register_payer(desk: Office, institution: str) -> None:
    await administer.add_user(desk, username=USERNAME, password=Secret(PASSWORD), contact=Contact(email=EMAIL))
    credential = AccountCredential(account=Secret(back_ends.ACCOUNT), secret=Secret(back_ends.ACCOUNT_SECRET))
    await administer.store_credential(
        desk, username=USERNAME, password=Secret(PASSWORD), institution=institution, credential=credential
    )


async def _profiles(desk: Office, home: Path, base_url: str, account: SandboxBackEnd) -> dict[str, Profile]:
    made: dict[str, Profile] = {}
    for name, (kind, fields, proves) in CHANNELS.items():
        new = await administer.add_channel(
            desk, name=name, kind=kind, fields=frozenset(fields.split()), proves_payer=proves
        )
        await administer.note_issue(desk, f"{CHANNEL_URI}{new.channel.id}")
        made[name] = load_profile(profiles.write_channel(desk, new, home / name, base_url))
    institution, key = account.back_end.id, account.signing_key or b""
    await administer.note_issue(desk, f"{INSTITUTION_URI}{institution}")
    made["account"] = load_profile(profiles.write_institution(desk, institution, home / "account", base_url, key))
    return made
