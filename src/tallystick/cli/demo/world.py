"""The demo's world in one temporary folder: platform, back ends, mail server and channels, each over real TLS."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from tallystick import bootstrap, config
from tallystick.bootstrap import Office
from tallystick.channels.model import ChannelKind
from tallystick.cli import administer, profiles
from tallystick.cli.demo import back_ends
from tallystick.cli.demo.back_ends import SandboxBackEnd
from tallystick.cli.demo.processes import Child
from tallystick.crypto.tls import client_context
from tallystick.errors import Unavailable
from tallystick.routing.model import NumberPolicy
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.settings import Profile, load_profile
from tallystick.secret import Secret
from tallystick.testing.inbox import SmtpInbox
from tallystick.vault.model import AccountCredential, Contact

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
"""

CHANNELS: Final = {
    "pc": (ChannelKind.PC_BROWSER, "pan expiry account username order share", False),
    "phone": (ChannelKind.MOBILE, "pin_block secret password expiry share", False),
    "voice": (ChannelKind.VOICE, "expiry pan pin_block order share", False),
    "bank-app": (ChannelKind.BANK_APP, "pin_block secret password order share", True),
    "merchant": (ChannelKind.MERCHANT, "pan order account", False),
}
"""The demo's channels: kind, the fields each may send, and whether it proves who the payer is."""


@dataclass(slots=True)
class World:
    """Everything a scenario needs; `desk` is the operator's."""

    home: Path
    desk: Office
    platform: Child
    inbox: SmtpInbox
    unionpay: SandboxBackEnd
    standby: SandboxBackEnd
    visa: SandboxBackEnd
    account: SandboxBackEnd
    profiles: dict[str, Profile]
    clients: dict[str, TallystickClient]

    @property
    def back_ends(self) -> tuple[SandboxBackEnd, ...]:
        """Return all sandbox back ends."""
        return self.unionpay, self.standby, self.visa, self.account

    def client(self, channel: str) -> TallystickClient:
        """Return the SDK client of a channel or institution."""
        return self.clients[channel]

    def raw(self, channel: str) -> httpx2.AsyncClient:
        """Return a plain HTTPS client with a channel's certificate, for messages no SDK would send."""
        profile = self.profiles[channel]
        context = client_context(profile.ca, profile.certificate, profile.private_key)
        return httpx2.AsyncClient(base_url=profile.base_url, verify=context, trust_env=False)

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


@contextlib.asynccontextmanager
async def world(home: Path) -> AsyncIterator[World]:
    """Build the world, and take it down again."""
    async with contextlib.AsyncExitStack() as stack:
        inbox = await stack.enter_async_context(SmtpInbox())
        stack.callback(_keep_mails, inbox, home / "mails")
        data = home / "platform"
        bootstrap.create(data, SETTINGS.format(smtp_port=inbox.port))
        desk = await stack.enter_async_context(bootstrap.office(data, config.load(data, {})))
        parties = home / "back-ends"
        parties.mkdir(0o700)
        unionpay = await _kept(stack, back_ends.start_unionpay(desk, parties, "UnionPay", 10))
        standby = await _kept(stack, back_ends.start_unionpay(desk, parties, "UnionPay standby", 20))
        visa = await _kept(
            stack,
            back_ends.start_rest(desk, parties, "VISA wallet", "wallet", frozenset({"visa"}), NumberPolicy.NONE),
        )
        account = await _kept(
            stack,
            back_ends.start_rest(
                desk, parties, "Qianbao accounts", "account", frozenset({"qianbao"}), NumberPolicy.PLATFORM
            ),
        )
        await _register_payer(desk, account.back_end.id)
        log = home / "platform.log"
        platform = Child("the platform", ["tallystick.cli.main", "--data", str(data), "serve"], log)
        port = await platform.start()
        stack.push_async_callback(platform.stop)
        made = await _profiles(desk, home / "channels", f"https://localhost:{port}", account)
        clients = {name: TallystickClient.connect(profile) for name, profile in made.items()}
        for client in clients.values():
            stack.push_async_callback(client.close)
        yield World(home, desk, platform, inbox, unionpay, standby, visa, account, made, clients)


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
        made[name] = load_profile(profiles.write_channel(desk, new, home / name, base_url))
    institution, key = account.back_end.id, account.signing_key
    made["account"] = load_profile(profiles.write_institution(desk, institution, home / "account", base_url, key))
    return made
