"""The pages as people meet them: accessible by axe, in three languages, light and dark, with targets big enough.

With TALLYSTICK_SCREENSHOTS=docs/images the screens are kept as pictures.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace
from node_packages import npm_install
from page_devices import Devices, approve, code_sent, first_half
from pages_world import ACCOUNT, SECRET, PagesWorld, chromium, pages_world
from playwright.async_api import Browser, Page, expect

from tallystick.routing.model import NumberPolicy
from tallystick.testing.routes import put_back_end
from tallystick.wire.part import WireLine

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
AXE = "axe-core@4.14.1"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TARGET_MIN = 44  # CSS pixels
NEW_PASSWORD = "correct horse battery"
PICTURES = os.environ.get("TALLYSTICK_SCREENSHOTS")
LINES = (WireLine(text="Tieguanyin, 250 g", quantity=2, amount=39_800), WireLine(text="Porcelain cup", amount=6_100))
LOOKS: list[dict[str, Any]] = [
    {"locale": "en-GB", "color_scheme": "light"},
    {"locale": "zh-CN", "color_scheme": "dark"},
    {"locale": "ar-EG", "color_scheme": "light"},
]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return (npm_install(tmp_path_factory.mktemp("axe"), AXE) / "axe-core" / "axe.min.js").read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PagesWorld]:
    async with pages_world(tmp_path_factory.mktemp("quality")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(world: PagesWorld) -> AsyncIterator[Browser]:
    async with chromium(world.chain) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def devices(browser: Browser) -> AsyncIterator[Devices]:
    async with AsyncExitStack() as stack:
        yield Devices(browser, stack)


async def faults(page: Page, axe: str) -> list[str]:
    """Return what axe finds wrong, and controls that are too small to touch: a check box is touched by its label."""
    await page.evaluate(axe)
    found = await page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", TAGS)
    wrong = [f"{each['id']}: {node['html'][:120]}" for each in found["violations"] for node in each["nodes"]]
    boxes = await page.locator(
        "button:visible, input:not([type=checkbox]):visible, label.choice:visible, a.button:visible"
    ).evaluate_all("all => all.map(each => [each.outerHTML.slice(0, 80), each.getBoundingClientRect().height])")
    return wrong + [f"only {height} px high: {html}" for html, height in boxes if height < TARGET_MIN]


async def keep(page: Page, name: str, look: dict[str, Any]) -> None:
    """Write the screen as a picture where that was asked for; of languages but English the phone page only."""
    if PICTURES is not None and (look["locale"] == "en-GB" or name == "phone-approve"):
        place = Path(PICTURES)
        dark = "-dark" if look["color_scheme"] == "dark" else ""
        await page.screenshot(path=place / f"{name}-{look['locale'].split('-')[0]}{dark}.png", full_page=True)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look["locale"])
async def test_every_screen_can_be_used_by_everybody(
    world: PagesWorld, devices: Devices, axe: str, look: dict[str, Any]
) -> None:
    pc = await devices.pc(await world.link(await world.order(amount=45_900, lines=LINES)), **look)
    await expect(pc.locator("#account")).to_be_visible()
    wrong = await faults(pc, axe)
    await keep(pc, "pc-half", look)
    await pc.locator("form .button").first.click()
    wrong += await faults(pc, axe)
    await keep(pc, "pc-error", look)
    link = await first_half(pc)
    wrong += await faults(pc, axe)
    await keep(pc, "pc-code", look)
    phone = await devices.phone(link, **look)
    await expect(phone.locator("#approve")).to_be_visible()
    wrong += await faults(phone, axe)
    await keep(phone, "phone-approve", look)
    await expect(pc.locator("#match")).to_be_visible()
    wrong += await faults(pc, axe)
    await keep(pc, "pc-joined", look)
    await approve(phone)
    for name, page in (("phone-paid", phone), ("pc-paid", pc)):
        await expect(page.locator(".end")).to_be_visible(timeout=20_000)
        wrong += await faults(page, axe)
        await keep(page, name, look)
    typed = await devices.phone(world.origins.phone, **look)
    wrong += await faults(typed, axe)
    await keep(typed, "phone-code", look)
    assert [] == wrong
    right_to_left = look["locale"].startswith("ar")
    assert ("rtl" if right_to_left else "ltr") == await pc.evaluate("document.documentElement.dir")


async def ask_for_numbers(world: PagesWorld) -> None:
    """Let the bank want a number of who logs in."""
    table = await world.desk.store.read(lambda books: books.routing_table())
    numbered = replace(table.back_ends[0], numbers=NumberPolicy.PLATFORM)
    await world.desk.store.transact(lambda books: put_back_end(books, numbered))


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look["locale"])
async def test_everybody_can_sign_up_and_log_in(
    world: PagesWorld, devices: Devices, axe: str, look: dict[str, Any]
) -> None:
    pc = await devices.pc(f"{world.origins.pc}/join", **look)
    await expect(pc.locator("#newName")).to_be_visible()
    wrong = await faults(pc, axe)
    await pc.locator("form .button").first.click()
    await expect(pc.get_by_role("alert")).to_be_visible()
    wrong += await faults(pc, axe)
    await pc.locator("#newName").fill(f"payer.{look['locale'].lower()}")
    await pc.locator("#contact").fill(f"{look['locale']}@example.org")
    await pc.locator("#account").fill(ACCOUNT)
    await pc.locator("form .button").first.click()
    await expect(pc.locator("svg.qr")).to_be_visible()
    wrong += await faults(pc, axe)
    phone = await devices.phone(f"{world.origins.phone}/join", **look)
    await expect(phone.locator("#code")).to_be_visible()
    wrong += await faults(phone, axe)
    await phone.locator("#code").fill(await code_sent(world))
    await phone.locator("form .button").first.click()
    await expect(phone.locator("#newPassword")).to_be_visible()
    wrong += await faults(phone, axe)
    await phone.locator("#newPassword").fill(NEW_PASSWORD)
    await phone.locator("#secret").fill(SECRET)
    await phone.locator("#app").check()
    await phone.locator("form .button").first.click()
    await expect(phone.locator(".end")).to_be_visible()
    wrong += await faults(phone, axe)
    await ask_for_numbers(world)
    login = await devices.pc(await world.link(await world.order(policy="login")), **look)
    for name in ("#username", "#institution", "#number"):
        await expect(login.locator(name)).to_be_visible()
    wrong += await faults(login, axe)
    assert [] == wrong


async def test_approve_and_decline_weigh_the_same(world: PagesWorld, devices: Devices) -> None:
    pc = await devices.pc(await world.link(await world.order()))
    phone = await devices.phone(await first_half(pc))
    boxes = [await phone.locator(name).bounding_box() for name in ("#decline", "#approve")]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert (boxes[0]["width"], boxes[0]["height"], boxes[0]["y"]) == (
        boxes[1]["width"],
        boxes[1]["height"],
        boxes[1]["y"],
    )


async def test_an_injected_script_does_not_run_and_nothing_is_asked_of_others(
    world: PagesWorld, devices: Devices
) -> None:
    context = await devices.new(phone=False)
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(await world.link(await world.order()))
    await expect(page.locator("#account")).to_be_visible()
    ran = await page.evaluate(
        """() => {
          const inline = document.createElement("script");
          try { inline.text = "window.ran = true"; } catch { return "refused as untrusted"; }
          document.body.append(inline);
          return String(window.ran);
        }"""
    )
    assert "refused as untrusted" == ran
    refused = await page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    assert "refused" == refused
    assert [] == [url for url in asked if not url.startswith((world.origins.pc, "https://example.org/"))]


async def test_the_keyboard_and_the_fillers_of_phones_are_told_what_a_field_is(
    world: PagesWorld, devices: Devices
) -> None:
    pc = await devices.pc(await world.link(await world.order(policy="card")))
    expected = {"pan": ("numeric", "cc-number"), "expiry": ("numeric", "cc-exp")}
    for name, (keyboard, filler) in expected.items():
        assert keyboard == await pc.locator(f"#{name}").get_attribute("inputmode")
        assert filler == await pc.locator(f"#{name}").get_attribute("autocomplete")
    full_width = "".join(chr(ord(digit) + 0xFEE0) for digit in "6250 9470".replace(" ", ""))
    await pc.locator("#pan").fill(f"{full_width} 0000 0014")
    await expect(pc.locator("output.brand")).to_have_text("UnionPay")
    await pc.locator("#expiry").fill("12 / 30")
    await pc.locator("form .button").first.click()
    await expect(pc.get_by_role("heading", name="Use your bank")).to_be_visible()
