"""The command line `tallystick`: exit code 0 for done, 1 for refused or failed, 2 for wrong usage."""

from pathlib import Path

import click

from tallystick.cli.app import App, Group
from tallystick.cli.ca import ca
from tallystick.cli.channel import channel
from tallystick.cli.demo.command import demo
from tallystick.cli.doctor import doctor
from tallystick.cli.init import init
from tallystick.cli.institution import institution
from tallystick.cli.part import part
from tallystick.cli.payment import payment
from tallystick.cli.route import route
from tallystick.cli.serve import serve
from tallystick.cli.user import user


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
@click.pass_context
def cli(ctx: click.Context, data: Path) -> None:
    """Tallystick: payment credentials that arrive in parts, each over a different channel.

    Exit code 0: done. 1: refused or failed; the message names the remedy. 2: wrong usage. NO_COLOR is respected.
    """
    ctx.obj = App(data)


for command in (ca, channel, demo, doctor, init, institution, part, payment, route, serve, user):
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    cli(prog_name="tallystick")


if __name__ == "__main__":
    main()
