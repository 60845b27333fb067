"""Embodiment 2 in pages: the payer picks a back end, types name and number on the PC, and the password elsewhere."""

from base64 import b32decode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from msgspec.structs import replace
from page_devices import Devices, ended, shown_link
from pages_world import PASSWORD, USERNAME, PagesWorld, chromium, pages_world
from playwright.async_api import Browser, Page, expect

from tallystick.assembly.facts import PaymentState
from tallystick.crypto import totp
from tallystick.routing.model import NumberPolicy
from tallystick.runtime import SystemClock
from tallystick.testing.routes import put_back_end
from tallystick.vault import holding

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PagesWorld]:
    async with pages_world(tmp_path_factory.mktemp("login")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(world: PagesWorld) -> AsyncIterator[Browser]:
    async with chromium(world.chain) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def devices(browser: Browser) -> AsyncIterator[Devices]:
    async with AsyncExitStack() as stack:
        yield Devices(browser, stack)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app_key(world: PagesWorld) -> bytes:
    """Give the payer an authenticator app, and numbers to the bank where the account is."""
    desk = world.desk
    table = await desk.store.read(lambda books: books.routing_table())
    numbered = replace(table.back_ends[0], numbers=NumberPolicy.PLATFORM)
    await desk.store.transact(lambda books: put_back_end(books, numbered))
    address = await holding.set_up(desk.store, desk.keyring, desk.randomness, username=USERNAME, issuer="Tallystick")
    return b32decode(parse_qs(urlsplit(address.reveal()).query)["secret"][0])


async def first_half(pc: Page, number: str) -> str:
    await pc.get_by_label("User name").fill(USERNAME)
    await pc.get_by_label("Pay from").select_option(label="Bamboo REST")
    await pc.get_by_label("Your number").fill(number)
    await pc.get_by_role("button", name="Continue on your phone").click()
    return await shown_link(pc)


async def approve(phone: Page) -> None:
    await phone.get_by_label("Password").fill(PASSWORD)
    await phone.get_by_role("button", name="Approve and pay").click()


async def test_a_payer_picks_the_bank_and_pays_with_name_code_and_password(
    world: PagesWorld, devices: Devices, app_key: bytes
) -> None:
    payment = await world.order(policy="login")
    pc = await devices.pc(await world.link(payment))
    code = totp.code_at(app_key, SystemClock().now()).reveal()
    phone = await devices.phone(await first_half(pc, code))
    await approve(phone)
    await ended(phone, "Paid")
    await ended(pc, "Paid")
    assert PaymentState.APPROVED is (await world.payment(payment)).state


async def test_a_guessed_number_pays_nothing_though_the_password_is_right(
    world: PagesWorld, devices: Devices, app_key: bytes
) -> None:
    payment = await world.order(policy="login")
    pc = await devices.pc(await world.link(payment))
    phone = await devices.phone(await first_half(pc, "00000000"))
    await approve(phone)
    await ended(phone, "Not paid")
    found = await world.payment(payment)
    assert (PaymentState.REFUSED, "wrong_number") == (found.state, found.reason)


async def test_the_number_is_asked_for_where_the_bank_wants_one(
    world: PagesWorld, devices: Devices, app_key: bytes
) -> None:
    pc = await devices.pc(await world.link(await world.order(policy="login")))
    await pc.get_by_label("User name").fill(USERNAME)
    await pc.get_by_role("button", name="Continue on your phone").click()
    await expect(pc.get_by_role("alert")).to_contain_text("Your number: Enter this")
    await pc.get_by_label("Your number").fill("1234")
    await pc.get_by_role("button", name="Continue on your phone").click()
    await expect(pc.get_by_role("alert")).to_contain_text("A number has 8 digits")
