"""`tallystick keys`: the platform's own keys."""

from pathlib import Path

import click
from msgspec import Struct

from tallystick.bootstrap import wrapping
from tallystick.cli.app import App, Command, Group, pass_app
from tallystick.cli.inputs import read_password


class Protected(Struct, frozen=True, kw_only=True):
    """What `protect` did, and the setting that is needed from now on."""

    files: int
    setting: str


@click.group(
    cls=Group,
    examples="""
    tallystick keys protect --passphrase-file /run/secrets/passphrase
    """,
)
def keys() -> None:
    """See, rotate and protect the platform's own keys."""


@click.command(
    "protect",
    cls=Command,
    examples="""
    tallystick keys protect
    tallystick keys protect --passphrase-file /run/secrets/passphrase
    """,
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A private file whose first line is the passphrase; without it you are asked.",
)
@pass_app
def protect(app: App, passphrase_file: Path | None) -> None:
    """Seal all key files under a passphrase, or under a new one in place of the present one.

    Stop `tallystick serve` before. After a crash midway, run it again with the same passphrase. Keep passphrase, keys/
    and wrapping.json: without any one of them nothing that is stored can be opened.
    """
    settings = app.settings().keys
    passphrase = read_password(passphrase_file, "Passphrase", confirm=True)
    changed = wrapping.protect(app.data, settings, passphrase)
    app.show(Protected(files=changed, setting='[keys] provider = "sealed-file"'))


keys.add_command(protect)
