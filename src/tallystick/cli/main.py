"""The command line `tallystick`: exit code 0 for done, 1 for refused or failed, 2 for wrong usage."""

from importlib import import_module
from pathlib import Path
from typing import Final

import click

from tallystick.cli.app import App, Group, this_user
from tallystick.cli.inputs import file_path

COMMANDS: Final = {
    "apikey": "apikey.apikey",
    "audit": "audit.audit",
    "blast-radius": "blast_radius.blast_radius",
    "ca": "ca.ca",
    "ceremony": "ceremony.ceremony",
    "channel": "channel.channel",
    "delivery": "delivery.delivery",
    "demo": "demo.command.demo",
    "doctor": "doctor.doctor",
    "enrol": "enrol.enrol",
    "events": "events.events",
    "hsm": "hsm.hsm",
    "init": "init.init",
    "institution": "institution.institution",
    "keys": "keys.keys",
    "limits": "limits.limits",
    "listen": "listen.listen",
    "nodes": "nodes.nodes",
    "operator": "operator.operator",
    "pages": "pages.pages",
    "part": "part.part",
    "payment": "payment.payment",
    "pin": "pin.pin",
    "proposals": "proposals.group",
    "prove-erasure": "prove_erasure.prove_erasure",
    "receipt": "receipt.receipt",
    "routes": "routes.routes",
    "serve": "serve.serve",
    "store": "store.store",
    "test": "test_mode.test",
    "trigger": "listen.trigger",
    "user": "user.user",
    "webhook": "webhook.webhook",
    "worker": "worker.worker",
}
"""Where each command stands, below this package."""


class OnDemand(Group):
    """The commands in COMMANDS, each imported when it is asked for: a command waits for its own imports only."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # the signature is click's
        """Name all commands."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        """Import a command; None for a name that is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].rpartition(".")
        found: click.Command = getattr(import_module(f"tallystick.cli.{module}"), name)
        return found


@click.group(
    cls=OnDemand,
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


def main() -> None:
    """Run the command line."""
    cli(prog_name="tallystick")


if __name__ == "__main__":
    main()
