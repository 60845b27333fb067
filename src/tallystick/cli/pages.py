"""`tallystick pages`: links to payers' pages, and the proof that a served page is the released one (PCI DSS 11.6.1)."""

import asyncio
from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick import payers
from tallystick.adapters.page_probe import fetch
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.pages import page_origins
from tallystick.channels.model import PageKind
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import file_path
from tallystick.cli.output import Failure
from tallystick.delivery.books import Books
from tallystick.errors import AlreadyFinal, Misconfigured, NotFound, Unavailable
from tallystick.service.pages.inventory import differences, listed

KINDS: Final = [kind.value for kind in PageKind]


class Verified(Struct, frozen=True, kw_only=True):
    """What was compared, and found to be as the inventory says."""

    url: str
    page: str
    files: tuple[str, ...]
    result: str = "as released"


class Link(Struct, frozen=True, kw_only=True):
    """A link just issued; it is in no other place."""

    payment: str
    page: str
    url: str


@click.group(cls=Group, examples="tallystick pages verify https://pay.example --page pc")
def pages() -> None:
    """Issue links to payers' pages; verify what is served."""


@pages.command(
    "verify",
    examples="""
    tallystick pages verify https://pay.example --page pc
    tallystick pages verify https://localhost:8447 --page phone --ca data/ca/trust.pem --json
    """,
)
@click.argument("url")
@click.option("--page", type=click.Choice(KINDS), required=True, help="Which of the two pages is there.")
@click.option("--ca", type=file_path, help="The authority to believe (PEM); without it, this machine's.")
@pass_app
def verify(app: App, url: str, page: str, ca: Path | None) -> None:
    """Fetch a page as a browser does and compare it with this release's inventory.

    Content is compared by hash, and every header that browsers act on by its value. Any difference is exit code 1:
    run it at least weekly, and raise an alarm.
    """
    files = listed(PageKind(page)).files()
    try:
        received = asyncio.run(fetch(url.rstrip("/"), [file.path for file in files], ca))
    except Unavailable as error:
        raise Failure.of(error, "Check the URL, and --ca for an authority of your own.") from error
    found = [each for file, got in zip(files, received, strict=True) for each in differences(file, got)]
    if found:
        raise Failure(
            f"the page is not the released one: {'; '.join(found)}",
            "Take the page off, find out who changed it (proxy, cache, host), and serve the release again.",
            code="page_changed",
        )
    app.show(Verified(url=url, page=page, files=tuple(file.path for file in files)))


@pages.command("link", examples="tallystick pages link pay_2f6c0e9a51d34b7c8e1f0a2b3c4d5e6f")
@click.argument("payment_id")
@click.option("--page", type=click.Choice(KINDS), default="pc", show_default=True)
@pass_app
def link(app: App, payment_id: str, page: str) -> None:
    """Issue the link to a payer's page of a payment that waits.

    It opens one session, once. Earlier links to the same page are void, and their session ends.
    """
    kind, origins = PageKind(page), page_origins(app.settings())
    if origins is None:
        raise Misconfigured("the settings have no [pages]")

    async def work(desk: Office) -> str:
        async def issue(books: Books) -> str:
            payment, now = await books.payment(payment_id), desk.clock.now()
            if payment is None or payment.order is None or payment.owner is None:
                raise NotFound("no created payment has this id")
            if payment.fate is not None or payment.expires_at <= now:
                raise AlreadyFinal("this payment waits for nothing any more")
            return (await payers.issue(desk, books, payment, kind, now)).reveal()

        return await desk.store.transact(issue)

    app.show(Link(payment=payment_id, page=page, url=origins.link(kind, app.at_desk(work))))
