"""`tallystick listen` and `tallystick trigger`: see events while developing, and make them happen in test mode."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import msgspec

from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.inputs import read_password, write_new
from tallystick.cli.merchant_client import connect, merchant_options
from tallystick.cli.output import moment
from tallystick.crypto.webhooks import write_secret
from tallystick.errors import Unavailable
from tallystick.runtime import SystemClock, SystemRandomness
from tallystick.sdk import merchant as sdk
from tallystick.sdk.forward import Forwarder
from tallystick.sdk.merchant import Merchant
from tallystick.secret import Secret
from tallystick.wire.merchant import MerchantEvent, MerchantPayment, TestPay
from tallystick.wire.part import WireOrder
from tallystick.wire.payment import NewPayment

SECRET_BYTES: Final = 32
PRIVATE: Final = stat.S_IRUSR | stat.S_IWUSR
ORDER: Final = WireOrder(payee="Trigger", amount=1999, currency="EUR", reference="trigger")


def _cancel(merchant: Merchant, payment: str) -> MerchantPayment:
    return merchant.ask(sdk.cancel_payment(payment))


def _expire(merchant: Merchant, payment: str) -> MerchantPayment:
    return merchant.ask(sdk.advance_payment(payment, 86_400))


def _play(outcome: str) -> Callable[[Merchant, str], MerchantPayment]:
    asked = msgspec.convert({"outcome": outcome}, TestPay)
    return lambda merchant, payment: merchant.ask(sdk.play_payment(payment, asked))


FIXTURES: Final = {
    "payment.approved": _play("approve"),
    "payment.declined": _play("decline"),
    "payment.unknown": _play("unknown"),
    "payment.cancelled": _cancel,
    "payment.expired": _expire,
}


@click.command(
    "listen",
    cls=Command,
    examples="""
    tallystick listen --key-file test.key --ca trust.pem
    tallystick listen --forward-to http://localhost:8000/webhooks --secret-file webhook.secret
    """,
)
@merchant_options()
@click.option("--forward-to", help="An address on this machine that gets each event as a signed webhook.")
@click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("webhook.secret"),
    show_default=True,
    help="The secret that webhooks are signed with; made when it is not there.",
)
@click.option("--after", type=click.IntRange(min=0), default=0, show_default=True, help="Begin behind this event.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
@pass_app
def listen(
    app: App,
    key_file: Path,
    url: str,
    ca: Path,
    forward_to: str | None,
    secret_file: Path,
    after: int,
    count: int | None,
) -> None:
    """Print a merchant's events as they happen, and forward them.

    The log of events goes back one day. With --json each line is one event.
    """
    forwarder = Forwarder(forward_to, _secret(secret_file), SystemClock()) if forward_to else None
    with connect(key_file, url, ca) as merchant:
        for number, event in enumerate(merchant.events(after), 1):
            click.echo(_line(app, event, forwarder))
            if number == count:
                return


@click.command(
    "trigger",
    cls=Command,
    examples="tallystick trigger payment.declined --key-file test.key --ca trust.pem",
)
@click.argument("event", type=click.Choice(sorted(FIXTURES)))
@merchant_options()
@click.option("--policy", default="account", show_default=True, help="The split policy's name.")
@pass_app
def trigger(app: App, event: str, key_file: Path, url: str, ca: Path, policy: str) -> None:
    """Make an event happen in test mode: create a payment and let it end so.

    Needs a key of test mode and, for outcomes, a sandbox back end.
    """
    with connect(key_file, url, ca) as merchant:
        created = merchant.ask(sdk.create_payment(NewPayment(policy=policy, order=ORDER)))
        app.show(FIXTURES[event](merchant, created.id))


def _line(app: App, event: MerchantEvent, forwarder: Forwarder | None) -> str:
    if app.as_json:
        line = msgspec.json.encode(event).decode()
    else:
        line = f"{moment(event.created_at)}  {event.seq}  {event.type}  {event.payment.id}"
    if forwarder is None:
        return line
    try:
        answer = str(forwarder.forward(event))
    except Unavailable:
        answer = "no answer"
    return line if app.as_json else f"{line}  -> {answer}"


def _secret(path: Path) -> Secret:
    if not path.exists():
        made = write_secret(SystemRandomness().token(SECRET_BYTES))
        write_new(path, f"{made.reveal()}\n".encode(), PRIVATE)
    return read_password(path, "Webhook secret")
