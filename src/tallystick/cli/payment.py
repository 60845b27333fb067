"""`tallystick payment`: look at payments as the operator, create them as a merchant."""

from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick import overview
from tallystick.audit.model import Action
from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.clients import with_client
from tallystick.cli.inputs import read_order
from tallystick.cli.merchant_client import connect, merchant_options
from tallystick.delivery.books import Books
from tallystick.delivery.model import Intent
from tallystick.errors import NotFound
from tallystick.runtime import Millis
from tallystick.sdk.merchant import create_payment
from tallystick.wire.payment import NewPayment, PaymentStatus, Recipient

COLUMNS: Final = ("payment", "state", "policy", "parts", "back_end", "opened_at")
LISTED_MAX: Final = 1_000  # payments


class Attempt(Struct, frozen=True, kw_only=True):
    """One request to a back end; `tries` counts the sends of an inquiry or reversal."""

    n: int
    kind: str
    back_end: str
    stan: str
    rrn: str
    table_version: int
    state: str
    code: str | None
    settled_at: Millis | None
    tries: int


class Details(Struct, frozen=True, kw_only=True):
    """A payment as the operator sees it, with every attempt to deliver it."""

    payment: PaymentStatus
    attempts: tuple[Attempt, ...]


@click.group(cls=Group, examples="tallystick payment list")
def payment() -> None:
    """Show payments as the operator, create them as a merchant."""


@payment.command("show", examples="tallystick payment show pay_4f7k2m9x3r6n8j1h5g0d2s4a6w")
@click.argument("payment_id")
@pass_app
def show(app: App, payment_id: str) -> None:
    """Show a payment and its deliveries.

    This is the operator's view, from the store of --data. No part's content is ever shown.
    Looking leaves an audit entry.
    """

    async def read(books: Books) -> Details:
        found = await books.payment(payment_id)
        if found is None:
            raise NotFound("no payment has this id")
        await books.append(Action.PAYMENT_READ, payment_id)
        attempts = tuple(_attempt(intent) for intent in await books.intents(payment_id))
        return Details(payment=await overview.describe(books, found), attempts=attempts)

    details = app.at_desk(lambda desk: desk.store.transact(read), needs=operators.READ)
    if app.as_json:
        app.show(details)
        return
    app.show(details.payment)
    app.show_all(details.attempts, Attempt.__struct_fields__)


@payment.command("list", examples="tallystick payment list --limit 5 --json")
@click.option("--limit", type=click.IntRange(1, LISTED_MAX), default=20, show_default=True)
@pass_app
def list_(app: App, limit: int) -> None:
    """List the newest payments.

    This is the operator's view, from the store of --data. Looking leaves an audit entry.
    """

    async def read(books: Books) -> list[PaymentStatus]:
        recent = await books.recent_payments(limit)
        await books.append(Action.PAYMENT_READ, outcome="list", rows=len(recent))
        return [await overview.describe(books, each) for each in recent]

    async def work(desk: Office) -> list[PaymentStatus]:
        return await desk.store.transact(read)

    app.show_all(app.at_desk(work, needs=operators.READ), COLUMNS)


@payment.command(
    "create",
    examples="""
    tallystick payment create --profile profiles/shop --policy card \\
        --order payee=Teahouse,amount=1250,currency=CNY,reference=order-7 --phone +8613800138000
    tallystick payment create --key-file test.key --ca trust.pem --policy account \\
        --order payee=Bookshop,amount=1999,currency=EUR --open
    """,
)
@click.option(
    "--profile",
    type=click.Path(exists=True, path_type=Path),
    help="A directory made by `channel add --profile-out`, or a profile file; or else --key-file.",
)
@merchant_options(required=False)
@click.option("--open", "opens", is_flag=True, help="Open the payer's page in this machine's browser.")
@click.option("--policy", required=True, help="The split policy's name.")
@click.option("--order", required=True, help="payee=,amount=,currency=[,reference=]; amount in minor units.")
@click.option("--phone", help="The payer's phone, E.164: where the code goes.")
@click.option("--email", help="Where the code goes.")
@click.option("--allow", "allowed", multiple=True, help="An institution id it may go to; repeat for more.")
@click.option("--expires-in", type=click.IntRange(min=1), default=900, show_default=True, help="Seconds.")
@pass_app
def create(
    app: App,
    profile: Path | None,
    key_file: Path | None,
    url: str,
    ca: Path | None,
    policy: str,
    order: str,
    phone: str | None,
    email: str | None,
    allowed: tuple[str, ...],
    expires_in: int,
    *,
    opens: bool,
) -> None:
    """Create a payment as a merchant: as a channel by its profile, or with an API key.

    Prints its id and the code that its parts carry; with an API key also the payer's page, where there are pages.
    """
    content = NewPayment(
        policy=policy,
        order=read_order(order),
        payer=Recipient(phone=phone, email=email) if phone or email else None,
        allowed=allowed,
        expires_in=expires_in,
    )
    if profile is not None:
        app.show(with_client(profile, lambda client: client.create_payment(content)))
        return
    if key_file is None or ca is None:
        raise click.UsageError("Give --profile, or --key-file and --ca.")
    with connect(key_file, url, ca) as merchant:
        created = merchant.ask(create_payment(content))
    app.show(created)
    if opens and created.page_url is not None:
        click.launch(created.page_url)


def _attempt(intent: Intent) -> Attempt:
    return Attempt(
        n=intent.n,
        kind=intent.kind,
        back_end=intent.back_end,
        stan=intent.ids.stan,
        rrn=intent.ids.rrn,
        table_version=intent.table_version,
        state=intent.state,
        code=intent.code,
        settled_at=intent.settled_at,
        tries=intent.tries,
    )
