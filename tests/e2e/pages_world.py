"""A platform with both payer pages, a bank of accounts behind it, and Chromium as PC and phone."""

import base64
import contextlib
import hashlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509 as certificates
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tallystick import config, payers
from tallystick.assembly.model import Payment
from tallystick.bootstrap.layout import create
from tallystick.bootstrap.listening import Running
from tallystick.bootstrap.office import Office, office
from tallystick.bootstrap.pages import page_origins
from tallystick.bootstrap.serving import serving
from tallystick.channels.model import ChannelKind, PageKind
from tallystick.cli import administer, profiles
from tallystick.cli.demo.back_ends import ACCOUNT_SECRET, REST_ACCOUNT, start_rest
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.settings import load_profile
from tallystick.secret import Secret
from tallystick.service.pages.origins import Origins
from tallystick.vault.model import AccountCredential, Contact
from tallystick.wire.part import WireLine, WireOrder
from tallystick.wire.payment import NewPayment

ACCOUNT, SECRET = REST_ACCOUNT, ACCOUNT_SECRET
USERNAME, PASSWORD = "lihua", "bamboo-kettle-92"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_CHROMIUM = "Chromium is not installed: apt-get install chromium (make test does it where it can)"
PC_SIZE, PHONE_SIZE = {"width": 1024, "height": 860}, {"width": 390, "height": 844}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class PagesWorld:
    """The running platform, its merchant, and the account that pays."""

    running: Running
    desk: Office
    origins: Origins
    merchant: TallystickClient
    chain: Path
    bank: str

    async def order(
        self,
        amount: int = 1250,
        policy: str = "account",
        expires_in: int = 600,
        lines: tuple[WireLine, ...] = (),
        allowed: tuple[str, ...] = (),
    ) -> str:
        """Create a payment as the merchant does; returns its id."""
        order = WireOrder(payee="Tea House", amount=amount, currency="CNY", reference="Order 7", lines=lines)
        made = await self.merchant.create_payment(
            NewPayment(policy=policy, order=order, expires_in=expires_in, allowed=allowed)
        )
        return made.payment

    async def link(self, payment_id: str, kind: PageKind = PageKind.PC) -> str:
        """Issue the link to a page."""
        payment = await self.payment(payment_id)
        platform = self.running.platform
        secret = await platform.store.transact(
            lambda books: payers.issue(platform, books, payment, kind, platform.clock.now())
        )
        return self.origins.link(kind, secret.reveal())

    async def payment(self, payment_id: str) -> Payment:
        found = await self.running.platform.store.read(lambda books: books.payment(payment_id))
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def pages_world(home: Path, independence: str = "") -> AsyncIterator[PagesWorld]:
    """Serve a platform with pages in this process; its bank is a process of its own."""
    data = home / "data"
    create(
        data,
        f"[gateway]\nport = 0\n[pages]\npc_port = {free_port()}\nphone_port = {free_port()}\n{independence}",
    )
    settings = config.load(data, {})
    async with contextlib.AsyncExitStack() as stack:
        async with office(data, settings) as desk:
            bank = await start_rest(desk, home)
            stack.push_async_callback(bank.child.stop)
            await administer.add_user(
                desk, username=USERNAME, password=Secret(PASSWORD), contact=Contact(email="lihua@example.test")
            )
            stored = AccountCredential(account=Secret(ACCOUNT), secret=Secret(SECRET))
            await administer.store_credential(
                desk,
                username=USERNAME,
                password=Secret(PASSWORD),
                institution=bank.back_end.id,
                credential=stored,
            )
            shop = await administer.add_channel(
                desk, name="Tea House shop", kind=ChannelKind.MERCHANT, fields=frozenset({"order"}), proves_payer=False
            )
        running = await stack.enter_async_context(serving(data, settings))
        async with office(data, settings) as desk:
            profile = profiles.write_channel(desk, shop, home / "shop", f"https://localhost:{running.port}")
            merchant = TallystickClient.connect(load_profile(profile))
            stack.push_async_callback(merchant.close)
            origins = page_origins(settings)
            assert origins is not None
            yield PagesWorld(running, desk, origins, merchant, desk.layout.certificate, bank.back_end.id)


def key_pin(chain: Path) -> str:
    """Return the SHA-256 of a certificate's public key in base64, by which Chromium believes it."""
    public = certificates.load_pem_x509_certificate(chain.read_bytes()).public_key()
    return base64.b64encode(
        hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    ).decode()


@contextlib.asynccontextmanager
async def chromium(chain: Path) -> AsyncIterator[Browser]:
    """Start Debian's Chromium, which believes this one certificate; skips, saying so, where there is none."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    args = [f"--ignore-certificate-errors-spki-list={key_pin(chain)}", "--disable-gpu", "--disable-dev-shm-usage"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        args.append("--no-sandbox")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        try:
            yield browser
        finally:
            await browser.close()


async def device(browser: Browser, *, phone: bool, locale: str = "en-GB", **more: object) -> BrowserContext:
    """Return a browser of its own, as a phone or as a PC: nothing is shared with any other."""
    size = PHONE_SIZE if phone else PC_SIZE
    return await browser.new_context(
        viewport=size, screen=size, is_mobile=phone, has_touch=phone, locale=locale, **more
    )


async def visit(context: BrowserContext, url: str) -> Page:
    page = await context.new_page()
    await page.goto(url)
    return page
