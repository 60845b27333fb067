"""`tallystick test`: play the halves of a payment of test mode, and let its time go by."""

from pathlib import Path

import click
import msgspec

from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.merchant_client import connect, merchant_options
from tallystick.sdk import merchant as sdk
from tallystick.wire.merchant import TestPay

OUTCOMES = ("approve", "decline", "unknown", "away", "wrong_secret")


@click.group(cls=Group, examples="tallystick test pay pay_4f7k2m9x3r6n8j1h5g0d2s4a6w")
def test() -> None:
    """Play payments of test mode."""


@test.command(
    "pay",
    examples="""
    tallystick test pay pay_4f7k2m9x3r6n8j1h5g0d2s4a6w
    tallystick test pay pay_4f7k2m9x3r6n8j1h5g0d2s4a6w --second-part wait --outcome decline
    """,
)
@click.argument("payment")
@merchant_options()
@click.option("--outcome", type=click.Choice(OUTCOMES), default="approve", show_default=True, help="How it shall end.")
@click.option("--first-part", type=click.Choice(["auto", "wait"]), default="auto", show_default=True)
@click.option("--second-part", type=click.Choice(["auto", "wait"]), default="auto", show_default=True)
@pass_app
def pay(
    app: App, payment: str, key_file: Path, url: str, ca: Path, outcome: str, first_part: str, second_part: str
) -> None:
    """Let the platform play the halves of a payment.

    `auto` plays a half over a channel of its own, with magic values; `wait` leaves it to you.
    """
    parts = {("auto", "auto"): "both", ("auto", "wait"): "first", ("wait", "auto"): "second"}
    if (first_part, second_part) not in parts:
        raise click.UsageError("One half at least is played.")
    asked = msgspec.convert({"outcome": outcome, "parts": parts[first_part, second_part]}, TestPay)
    with connect(key_file, url, ca) as merchant:
        app.show(merchant.ask(sdk.play_payment(payment, asked)))


@test.command("advance", examples="tallystick test advance pay_4f7k2m9x3r6n8j1h5g0d2s4a6w --seconds 600")
@click.argument("payment")
@merchant_options()
@click.option("--seconds", type=click.IntRange(1, 86_400), required=True, help="How much time shall go by.")
@pass_app
def advance(app: App, payment: str, key_file: Path, url: str, ca: Path, seconds: int) -> None:
    """Let time go by for one payment."""
    with connect(key_file, url, ca) as merchant:
        app.show(merchant.ask(sdk.advance_payment(payment, seconds)))
