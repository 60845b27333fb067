"""Sign-up in two browsers: the account on the PC, the password on the phone, a code to the contact between them."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from page_devices import Devices, code_sent, ended, shown_link
from pages_world import ACCOUNT, SECRET, PagesWorld, chromium, pages_world
from playwright.async_api import Browser, Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
PASSWORD = "correct horse battery"
PICTURES = os.environ.get("TALLYSTICK_SCREENSHOTS")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PagesWorld]:
    async with pages_world(tmp_path_factory.mktemp("join")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(world: PagesWorld) -> AsyncIterator[Browser]:
    async with chromium(world.chain) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def devices(browser: Browser) -> AsyncIterator[Devices]:
    async with AsyncExitStack() as stack:
        yield Devices(browser, stack)


async def picture(page: Page, name: str) -> None:
    if PICTURES is not None:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


async def test_a_payer_signs_up_in_two_browsers_and_pays(world: PagesWorld, devices: Devices) -> None:
    pc = await devices.pc(f"{world.origins.pc}/join")
    await pc.get_by_label("User name").fill("wang.fang")
    await pc.get_by_label("Mobile number or e-mail").fill("wang@example.org")
    await pc.get_by_label("Pay from").select_option(label="Bamboo REST")
    await pc.get_by_label("Account").fill(ACCOUNT)
    await picture(pc, "pc-join-en")
    await pc.get_by_role("button", name="Send me the code").click()
    await expect(pc.get_by_role("heading", name="Now take your phone")).to_be_visible()
    assert 0 == await pc.locator("input").count()
    phone = await devices.phone(f"{world.origins.phone}/join")
    await phone.get_by_label("Code from the other screen").fill(await code_sent(world))
    await phone.get_by_role("button", name="Open the payment").click()
    await expect(phone.get_by_text("You are wang.fang and will pay from Bamboo REST.")).to_be_visible()
    await phone.get_by_label("New password").fill("too short")
    await phone.get_by_label("Payment password").fill(SECRET)
    await phone.get_by_role("button", name="Sign up").click()
    await expect(phone.get_by_role("alert")).to_contain_text("at least 12 characters")
    await phone.get_by_label("New password").fill(PASSWORD)
    await phone.get_by_label("I use an authenticator app").check()
    await picture(phone, "phone-join-en")
    await phone.get_by_role("button", name="Sign up").click()
    await expect(phone.get_by_role("heading", name="You are signed up")).to_be_visible()
    app = await phone.get_by_role("link", name="Set up the authenticator app").get_attribute("href") or ""
    assert app.startswith("otpauth://totp/")

    payment = await world.order(policy="login")
    pc = await devices.pc(await world.link(payment))
    await pc.get_by_label("User name").fill("wang.fang")
    await pc.get_by_role("button", name="Continue on your phone").click()
    phone = await devices.phone(await shown_link(pc))
    await phone.get_by_label("Password").fill(PASSWORD)
    await phone.get_by_role("button", name="Approve and pay").click()
    await ended(phone, "Paid")


async def test_a_wrong_code_opens_nothing(world: PagesWorld, devices: Devices) -> None:
    phone = await devices.phone(f"{world.origins.phone}/join")
    await phone.get_by_label("Code from the other screen").fill("AAAA BBBB CCCC DD")
    await phone.get_by_role("button", name="Open the payment").click()
    await expect(phone.get_by_role("alert")).to_contain_text("used or has run out")
