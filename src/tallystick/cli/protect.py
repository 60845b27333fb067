"""`tallystick keys protect`: what the key files are under."""

from pathlib import Path

import click
from msgspec import Struct

from tallystick.bootstrap import wrapping
from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.custody import read_shares, shares_option
from tallystick.cli.inputs import read_password


class Protected(Struct, frozen=True, kw_only=True):
    """What `protect` did, and the setting that is needed from now on."""

    files: int
    setting: str


@click.command(
    "protect",
    cls=Command,
    examples="""
    tallystick keys protect
    tallystick keys protect --passphrase-file /run/secrets/passphrase
    tallystick keys protect --with pkcs11
    cat alice.share carol.share | tallystick keys protect --with shares --shares-file -
    """,
)
@click.option(
    "--with",
    "provider",
    type=click.Choice(("passphrase", "pkcs11", "shares")),
    default="passphrase",
    show_default=True,
    help="pkcs11: a token's key, see `tallystick hsm create-key`; shares: custodians' key, see `tallystick ceremony`.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A private file whose first line is the passphrase; without it you are asked.",
)
@click.option("--token-key", help="The key's name in the token; without it, key of [keys] in the settings.")
@shares_option
@pass_app
def protect(
    app: App, provider: str, passphrase_file: Path | None, token_key: str | None, shares_file: Path | None
) -> None:
    """Put all key files under a passphrase, a token's key or custodians' key, or under a new one of these.

    Stop `tallystick serve` before. After a crash midway, run it again with the same passphrase, key or shares. Keep
    keys/ and what opens it (passphrase and wrapping.json, token, enough shares): without either nothing that is stored
    can be opened.
    """
    settings = app.settings().keys
    match provider:
        case "pkcs11":
            label = token_key or settings.key
            changed = wrapping.protect_by_token(app.data, settings, label)
            setting = f'[keys] provider = "pkcs11", key = "{label}"'
        case "shares":
            changed = wrapping.protect_by_shares(app.data, settings, read_shares(shares_file))
            setting = '[keys] provider = "shares"'
        case _:
            passphrase = read_password(passphrase_file, "Passphrase", confirm=True)
            changed = wrapping.protect(app.data, settings, passphrase)
            setting = '[keys] provider = "sealed-file"'
    app.show(Protected(files=changed, setting=setting))
