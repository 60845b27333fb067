"""The payer's pages in Chromium: one browser as the PC, another as the phone, over real TLS, to a bank's own record."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from page_devices import END_MS, Devices, approve, ended, first_half, shown_link
from pages_world import ACCOUNT, PASSWORD, SECRET, USERNAME, PagesWorld, chromium, pages_world, visit
from playwright.async_api import Browser, expect

from tallystick.assembly.facts import PaymentState
from tallystick.channels.model import PageKind

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PagesWorld]:
    async with pages_world(tmp_path_factory.mktemp("pages")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(world: PagesWorld) -> AsyncIterator[Browser]:
    async with chromium(world.chain) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def devices(browser: Browser) -> AsyncIterator[Devices]:
    async with AsyncExitStack() as stack:
        yield Devices(browser, stack)


async def test_a_payment_is_made_with_two_devices_and_the_pc_moves_on_by_itself(
    world: PagesWorld, devices: Devices
) -> None:
    payment = await world.order(amount=4_100)
    pc = await devices.pc(await world.link(payment))
    phone = await devices.phone(await first_half(pc))
    number = await phone.locator(".match strong").inner_text()
    await expect(pc.locator("#match strong")).to_have_text(number)
    await expect(pc.get_by_role("status").first).to_contain_text(f"shows the number {number}")
    for page in (pc, phone):
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Tea House")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("41.00")
    await approve(phone)
    await ended(phone, "Paid")
    await ended(pc, "Paid")
    assert PaymentState.APPROVED is (await world.payment(payment)).state


async def test_a_payer_who_declines_on_the_phone_pays_nothing_and_both_screens_say_so(
    world: PagesWorld, devices: Devices
) -> None:
    payment = await world.order()
    pc = await devices.pc(await world.link(payment))
    phone = await devices.phone(await first_half(pc))
    await phone.get_by_role("button", name="Decline").click()
    await ended(phone, "Cancelled")
    await ended(pc, "Cancelled")
    assert PaymentState.CANCELLED is (await world.payment(payment)).state


async def test_a_wrong_password_takes_nothing(world: PagesWorld, devices: Devices) -> None:
    payment = await world.order()
    pc = await devices.pc(await world.link(payment))
    phone = await devices.phone(await first_half(pc))
    await approve(phone, "not the password")
    await ended(phone, "Not paid")
    await ended(pc, "Not paid")
    assert PaymentState.DECLINED is (await world.payment(payment)).state


async def test_time_runs_out_on_both_screens(world: PagesWorld, devices: Devices) -> None:
    payment = await world.order(expires_in=5)
    pc = await devices.pc(await world.link(payment))
    phone = await devices.phone(await first_half(pc))
    await ended(phone, "Time is over")
    await ended(pc, "Time is over")
    assert PaymentState.EXPIRED is (await world.payment(payment)).state


async def test_a_lost_network_loses_nothing(world: PagesWorld, devices: Devices) -> None:
    payment = await world.order()
    pc = await devices.pc(await world.link(payment))
    phone = await devices.phone(await first_half(pc))
    await phone.get_by_label("Payment password").fill(SECRET)
    await phone.context.set_offline(True)
    await phone.get_by_role("button", name="Approve and pay").click()
    await expect(phone.get_by_role("status").first).to_have_text("No connection. Trying again…")
    await phone.context.set_offline(False)
    await ended(phone, "Paid")
    await ended(pc, "Paid")


async def test_reload_back_and_a_second_tab_do_no_harm(world: PagesWorld, devices: Devices) -> None:
    payment = await world.order()
    pc = await devices.pc(await world.link(payment))
    await pc.reload()
    await first_half(pc)
    await pc.reload()
    phone = await devices.phone(await shown_link(pc))
    await expect(phone.get_by_role("button", name="Approve and pay")).to_be_visible()
    await phone.reload()
    again = await visit(phone.context, phone.url)
    await phone.goto("about:blank")
    await phone.go_back()
    await expect(pc.locator("#match strong")).to_have_text(await phone.locator(".match strong").inner_text())
    await approve(again)
    for page in (again, phone, pc):
        await ended(page, "Paid")
    await pc.reload()
    await ended(pc, "Paid")


async def test_a_photographed_code_opens_nothing_on_a_second_phone(world: PagesWorld, devices: Devices) -> None:
    pc = await devices.pc(await world.link(await world.order()))
    link = await first_half(pc)
    phone = await devices.phone(link)
    await expect(phone.get_by_role("button", name="Approve and pay")).to_be_visible()
    thief = await devices.phone(link)
    await expect(thief.get_by_text("This link was used or has run out")).to_be_visible()
    copied = await devices.phone(phone.url)  # even the address after the start is of one browser only
    await expect(copied.get_by_text("This link was used or has run out")).to_be_visible()
    await approve(phone)
    await ended(pc, "Paid")


async def test_a_phone_that_fails_is_replaced_and_nothing_is_typed_twice(world: PagesWorld, devices: Devices) -> None:
    payment = await world.order()
    pc = await devices.pc(await world.link(payment))
    lost = await devices.phone(await first_half(pc))
    await pc.get_by_role("button", name="Not my phone").click()
    phone = await devices.phone(await shown_link(pc))
    await expect(lost.get_by_text("This link was used or has run out")).to_be_visible(timeout=END_MS)
    await approve(phone)
    await ended(phone, "Paid")
    await ended(pc, "Paid")


async def test_the_code_can_be_typed_instead_of_read(world: PagesWorld, devices: Devices) -> None:
    pc = await devices.pc(await world.link(await world.order()))
    await first_half(pc)
    typed = (
        (await pc.locator(".typed").inner_text()).lower().replace("2", "\uff12")
    )  # full width, as some keyboards type
    phone = await devices.phone(world.origins.phone)
    await phone.get_by_label("Code from the other screen").fill(typed)
    await phone.get_by_role("button", name="Open the payment").click()
    await approve(phone)
    await ended(phone, "Paid")
    await ended(pc, "Paid")


async def test_one_browser_never_supplies_both_halves(world: PagesWorld, devices: Devices) -> None:
    payment = await world.order()
    pc = await devices.pc(await world.link(payment))
    same = await visit(pc.context, await first_half(pc))
    await approve(same)
    await expect(same.get_by_role("alert")).to_contain_text("Both halves would come from one browser")
    assert PaymentState.HALF is (await world.payment(payment)).state
    await pc.get_by_role("button", name="Not my phone").click()
    phone = await devices.phone(await shown_link(pc))
    await approve(phone)
    await ended(pc, "Paid")


async def test_a_friend_pays_and_who_ordered_sees_only_how_it_ended(world: PagesWorld, devices: Devices) -> None:
    payment = await world.order(expires_in=3_600)
    requester = await devices.pc(await world.link(payment))
    await requester.get_by_role("button", name="Let somebody else pay").click()
    link = await requester.locator("#shared").input_value()
    friend = await devices.pc(link)
    phone = await devices.phone(await first_half(friend))
    await requester.reload()
    await expect(requester.get_by_role("heading", name="Somebody else pays")).to_be_visible()
    assert await requester.locator("input").count() == 0
    await approve(phone)
    for page in (phone, friend, requester):
        await ended(page, "Paid")
    seen = await requester.content()
    assert ACCOUNT not in seen


async def test_a_registered_payer_types_user_name_and_password_and_no_account(
    world: PagesWorld, devices: Devices
) -> None:
    payment = await world.order(policy="login", allowed=(world.bank,))
    pc = await devices.pc(await world.link(payment))
    await pc.get_by_label("User name").fill(USERNAME)
    await pc.get_by_role("button", name="Continue on your phone").click()
    phone = await devices.phone(await shown_link(pc))
    await phone.get_by_label("Password").fill(PASSWORD)
    await phone.get_by_role("button", name="Approve and pay").click()
    await ended(phone, "Paid")
    await ended(pc, "Paid")


async def test_a_link_of_the_one_page_opens_nothing_on_the_other(world: PagesWorld, devices: Devices) -> None:
    payment = await world.order()
    link = await world.link(payment, PageKind.PC)
    phone = await devices.phone(f"{world.origins.phone}/#{link.partition('#')[2]}")
    await expect(phone.get_by_text("This link was used or has run out")).to_be_visible()


async def test_what_is_typed_wrongly_is_said_beside_the_field_and_nothing_is_sent(
    world: PagesWorld, devices: Devices
) -> None:
    payment = await world.order()
    pc = await devices.pc(await world.link(payment))
    await pc.get_by_label("Account").fill("lihua")
    await pc.get_by_role("button", name="Continue on your phone").click()
    await expect(pc.get_by_role("alert")).to_contain_text("provider:name")
    await expect(pc.get_by_label("Account")).to_have_attribute("aria-invalid", "true")
    assert PaymentState.OPEN is (await world.payment(payment)).state


async def test_nothing_the_payer_typed_stays_in_the_browser_or_leaves_it_in_clear(
    world: PagesWorld, devices: Devices, tmp_path: Path
) -> None:
    pc = await devices.pc(await world.link(await world.order()))
    sent: list[str] = []
    pc.on("request", lambda request: sent.append(f"{request.url} {request.headers} {request.post_data}"))
    phone = await devices.phone(await first_half(pc))
    phone.on("request", lambda request: sent.append(f"{request.url} {request.headers} {request.post_data}"))
    await approve(phone)
    await ended(phone, "Paid")
    assert 2 == sum("/page/parts " in text for text in sent)
    assert [] == [text for text in sent if ACCOUNT in text or SECRET in text or "#" in text.split()[0]]
    for page in (pc, phone):
        assert 0 == await page.evaluate("localStorage.length + sessionStorage.length")
        assert "" == await page.evaluate("document.cookie")
    await phone.get_by_role("link", name="Done").click()
    await expect(phone.get_by_role("heading", level=1)).to_contain_text("You can close this page")
    assert [] == await phone.context.cookies()
