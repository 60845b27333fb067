"""Scenarios of the payer's two pages, played without a browser; and the pages served for a person to try by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import segno
from rich.console import Console

from tallystick import payers
from tallystick.bootstrap.pages import page_origins
from tallystick.channels.model import PageKind
from tallystick.cli.demo import back_ends
from tallystick.cli.demo.model import PAYEE, Scenario, Stage
from tallystick.cli.demo.world import PageBrowser, World
from tallystick.delivery.books import Books
from tallystick.errors import Misconfigured
from tallystick.sdk.pages import PageRefused, PageVisitor
from tallystick.service.pages.origins import Origins
from tallystick.wire.part import WireLine, WireOrder
from tallystick.wire.payment import NewPayment

POLICY: Final = "account"
ACCOUNT: Final = {"account": back_ends.REST_ACCOUNT}
SECRET: Final = {"secret": back_ends.ACCOUNT_SECRET}
BY_HAND: Final = WireOrder(
    payee=PAYEE,
    amount=45_900,
    currency="CNY",
    reference="by hand",
    lines=(
        WireLine(text="Tieguanyin, 250 g", quantity=2, amount=39_800),
        WireLine(text="Porcelain cup", amount=6_100),
    ),
)
ASK_S: Final = 0.05  # s between two questions
ASKS_MAX: Final = 200  # questions before a page gives up
BY_HAND_S: Final = 3_600  # s the payment to try by hand waits


async def two_pages(stage: Stage) -> str:
    """The account on the PC page, the payment password on the phone page that its QR code opens."""
    async with _devices(stage.world, 2) as (laptop, mobile):
        pc = await _open(stage, laptop)
        await pc.send_part(ACCOUNT)
        phone = await _join(pc, mobile)
        await phone.send_part(SECRET)
    return await stage.approved()


async def friend_pays(stage: Stage) -> str:
    """I order, you pay: the link goes to another person, who pays with two devices of their own."""
    async with _devices(stage.world, 3) as (mine, theirs, mobile):
        requester = await _open(stage, mine)
        link = await requester.hand_over()
        friend = theirs.open(PageKind.PC, link.url)
        await friend.send_part(ACCOUNT)
        phone = await _join(friend, mobile)
        await phone.send_part(SECRET)
        outcome = await stage.approved()
        told = await _final(requester)
    return f"{outcome}, who ordered sees {told}"


async def one_browser(stage: Stage) -> str:
    """Somebody opens both pages in one browser: it supplies one half, never both."""
    async with _devices(stage.world, 1) as (laptop,):
        pc = await _open(stage, laptop)
        await pc.send_part(ACCOUNT)
        phone = await _join(pc, laptop)
        return await _refused(stage, phone)


async def photographed_code(stage: Stage) -> str:
    """A thief photographed the QR code after the payer's phone had opened it."""
    async with _devices(stage.world, 3) as (laptop, mobile, thief):
        pc = await _open(stage, laptop)
        link = await pc.phone()
        await mobile.open(PageKind.PHONE, link.url).start()
        return await _refused(stage, thief.open(PageKind.PHONE, link.url))


async def declined_on_the_phone(stage: Stage) -> str:
    """The payer reads the phone and declines."""
    async with _devices(stage.world, 2) as (laptop, mobile):
        pc = await _open(stage, laptop)
        await pc.send_part(ACCOUNT)
        await (await _join(pc, mobile)).decline()
        return await stage.untouched((await pc.state()).state)


SCENARIOS: Final = (
    Scenario("two pages: account by PC, password by phone", (1, 2, 10, 16), "approved by Bamboo REST", two_pages),
    Scenario(
        "two pages: a friend pays by link",
        (1, 2, 10),
        "approved by Bamboo REST, who ordered sees approved",
        friend_pays,
    ),
    Scenario("two pages in one browser", (1,), "same_channel, nothing delivered", one_browser),
    Scenario("photographed QR code", (1, 13), "link_refused, nothing delivered", photographed_code),
    Scenario("payer declines on the phone", (1,), "cancelled, nothing delivered", declined_on_the_phone),
)


async def order_by_hand(world: World) -> str:
    """Create the payment to try by hand, before a scenario has the merchant's certificate revoked; returns its id."""
    new = NewPayment(policy=POLICY, order=BY_HAND, expires_in=BY_HAND_S)
    return (await world.client("merchant").create_payment(new)).payment


async def show_links(world: World, payment_id: str, console: Console) -> None:
    """Print what a person needs to pay by hand: the PC page's link as text and QR code, and what to type."""
    origins = _origins(world)
    url = origins.link(PageKind.PC, await _secret(world, payment_id))
    console.print("\nPay by hand. Open this page, then its code in [bold]another browser or a private window[/bold]:")
    console.print(f"one browser never supplies both halves. The demo's own authority signed for {origins.pc}.\n")
    console.print(f"  PC page     {url}", soft_wrap=True, highlight=False)
    console.print(f"  Phone page  {origins.phone} (by the code on the PC page)", highlight=False)
    console.print(f"  Account     {back_ends.REST_ACCOUNT}", highlight=False)
    console.print(f"  Password    {back_ends.ACCOUNT_SECRET}\n", highlight=False)
    segno.make_qr(url).terminal(compact=True)
    console.print("\nPress Ctrl-C to end.")


@contextlib.asynccontextmanager
async def _devices(world: World, count: int) -> AsyncIterator[list[PageBrowser]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(world.browser(_origins(world))) for _ in range(count)]


def _origins(world: World) -> Origins:
    origins = page_origins(world.desk.settings)
    if origins is None:
        raise Misconfigured("the demo's platform has no pages")
    return origins


async def _open(stage: Stage, browser: PageBrowser) -> PageVisitor:
    new = NewPayment(policy=POLICY, order=stage.order)
    created = await stage.world.client("merchant").create_payment(new)
    url = _origins(stage.world).link(PageKind.PC, await _secret(stage.world, created.payment))
    pc = browser.open(PageKind.PC, url)
    await pc.start()
    return pc


async def _join(pc: PageVisitor, browser: PageBrowser) -> PageVisitor:
    phone = browser.open(PageKind.PHONE, (await pc.phone()).url)
    await phone.start()
    return phone


async def _final(page: PageVisitor) -> str:
    """Ask as a page without a stream does, until the payment has ended."""
    told = await page.state()
    for _ in range(ASKS_MAX):
        if told.final:
            break
        await asyncio.sleep(ASK_S)
        told = await page.state()
    return told.state


async def _refused(stage: Stage, page: PageVisitor) -> str:
    try:
        await page.send_part(SECRET)
    except PageRefused as refused:
        return await stage.untouched(refused.code)
    return await stage.approved()


async def _secret(world: World, payment_id: str) -> str:
    """Issue the link that a merchant's server gets from the API."""

    async def issue(books: Books) -> str:
        payment = await books.payment(payment_id)
        if payment is None:
            raise Misconfigured("the demo's payment is gone")
        return (await payers.issue(world.desk, books, payment, PageKind.PC, world.desk.clock.now())).reveal()

    return await world.desk.store.transact(issue)
