"""What every test of the pages does: open browsers, type the first half, approve, wait for the end."""

import re
from contextlib import AsyncExitStack

from pages_world import ACCOUNT, SECRET, PagesWorld, device, visit
from playwright.async_api import Browser, BrowserContext, Page, expect

from tallystick.testing.inbox import waiting_notices
from tallystick.vault.notices import open_notice

END_MS = 20_000


class Devices:
    """Browsers that share nothing with each other; all are closed at the end of a test."""

    def __init__(self, browser: Browser, stack: AsyncExitStack) -> None:
        self._browser = browser
        self._stack = stack

    async def new(self, *, phone: bool, **more: object) -> BrowserContext:
        context = await device(self._browser, phone=phone, **more)
        self._stack.push_async_callback(context.close)
        return context

    async def pc(self, url: str, **more: object) -> Page:
        return await visit(await self.new(phone=False, **more), url)

    async def phone(self, url: str, **more: object) -> Page:
        return await visit(await self.new(phone=True, **more), url)


async def first_half(pc: Page) -> str:
    """Type the account on the PC; returns the link that its QR code holds."""
    await pc.locator("#account").fill(ACCOUNT)
    await pc.locator("form .button").first.click()
    return await shown_link(pc)


async def shown_link(pc: Page) -> str:
    await expect(pc.locator("svg.qr")).to_be_visible()
    return await pc.locator("#code").get_attribute("data-url") or ""


async def code_sent(world: PagesWorld) -> str:
    """Return the code of the newest message to somebody who signs up."""
    notices = await waiting_notices(world.desk.store)
    found = re.search(r"is ([0-9A-Z ]{17})\.", open_notice(world.desk.keyring, notices[-1]).text)
    assert found is not None
    return found[1]


async def approve(phone: Page, secret: str = SECRET) -> None:
    await phone.locator("#secret").fill(secret)
    await phone.locator("#approve").click()


async def ended(page: Page, heading: str) -> None:
    await expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible(timeout=END_MS)
