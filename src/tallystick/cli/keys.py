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
    tallystick keys protect --with pkcs11
    """,
)
@click.option(
    "--with",
    "provider",
    type=click.Choice(("passphrase", "pkcs11")),
    default="passphrase",
    show_default=True,
    help="pkcs11: under the key of a token, see `tallystick hsm create-key`.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A private file whose first line is the passphrase; without it you are asked.",
)
@click.option("--token-key", help="The key's name in the token; without it, key of [keys] in the settings.")
@pass_app
def protect(app: App, provider: str, passphrase_file: Path | None, token_key: str | None) -> None:
    """Put all key files under a passphrase or a token's key, or under a new one in place of the present one.

    Stop `tallystick serve` before. After a crash midway, run it again with the same passphrase or key. Keep passphrase,
    keys/ and wrapping.json, or token and keys/: without any one of them nothing that is stored can be opened.
    """
    settings = app.settings().keys
    if provider == "pkcs11":
        label = token_key or settings.key
        changed = wrapping.protect_by_token(app.data, settings, label)
        setting = f'[keys] provider = "pkcs11", key = "{label}"'
    else:
        passphrase = read_password(passphrase_file, "Passphrase", confirm=True)
        changed = wrapping.protect(app.data, settings, passphrase)
        setting = '[keys] provider = "sealed-file"'
    app.show(Protected(files=changed, setting=setting))


keys.add_command(protect)
