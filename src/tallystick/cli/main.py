"""The command line `tallystick`: exit code 0 for done, 1 for refused or failed, 2 for wrong usage."""

from pathlib import Path

import click

from tallystick.cli.apikey import apikey
from tallystick.cli.app import App, Group, this_user
from tallystick.cli.audit import audit
from tallystick.cli.blast_radius import blast_radius
from tallystick.cli.ca import ca
from tallystick.cli.ceremony import ceremony
from tallystick.cli.channel import channel
from tallystick.cli.delivery import delivery
from tallystick.cli.demo.command import demo
from tallystick.cli.doctor import doctor
from tallystick.cli.enrol import enrol
from tallystick.cli.events import events
from tallystick.cli.hsm import hsm
from tallystick.cli.init import init
from tallystick.cli.inputs import file_path
from tallystick.cli.institution import institution
from tallystick.cli.keys import keys
from tallystick.cli.limits import limits
from tallystick.cli.listen import listen, trigger
from tallystick.cli.operator import operator as operators
from tallystick.cli.pages import pages
from tallystick.cli.part import part
from tallystick.cli.payment import payment
from tallystick.cli.pin import pin
from tallystick.cli.proposals import group as proposals
from tallystick.cli.prove_erasure import prove_erasure
from tallystick.cli.receipt import receipt
from tallystick.cli.routes import routes
from tallystick.cli.serve import serve
from tallystick.cli.test_mode import test
from tallystick.cli.user import user
from tallystick.cli.webhook import webhook


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples="""
    tallystick demo
    tallystick init && tallystick serve
    tallystick channel add shop --kind merchant --fields pan,order --profile-out profiles/shop
    """,
)
@click.version_option(package_name="tallystick")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="TALLYSTICK_DATA",
    show_envvar=True,
    default=Path("data"),
    show_default=True,
    help="The platform's data directory.",
)
@click.option(
    "--operator",
    envvar="TALLYSTICK_OPERATOR",
    show_envvar=True,
    help="Who you are, in the history of what you change; without it, the holder of your key or this system's user.",
)
@click.option(
    "--operator-key",
    type=file_path,
    envvar="TALLYSTICK_OPERATOR_KEY_FILE",
    show_envvar=True,
    help="The file with your operator's key, mode 0600; without it you are asked.",
)
@click.pass_context
def cli(ctx: click.Context, data: Path, operator: str | None, operator_key: Path | None) -> None:
    """Tallystick: payment credentials that arrive in parts, each over a different channel.

    Exit code 0: done. 1: refused or failed; the message names the remedy. 2: wrong usage. NO_COLOR is respected.
    """
    ctx.obj = App(data, operator or this_user(), claim=operator, operator_key=operator_key)


for command in (
    apikey,
    audit,
    blast_radius,
    ca,
    ceremony,
    channel,
    delivery,
    demo,
    doctor,
    enrol,
    events,
    hsm,
    init,
    institution,
    keys,
    limits,
    operators,
    pages,
    part,
    payment,
    pin,
    receipt,
    proposals,
    prove_erasure,
    routes,
    serve,
    listen,
    test,
    trigger,
    user,
    webhook,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    cli(prog_name="tallystick")


if __name__ == "__main__":
    main()
