"""`tallystick keys protect`: what the key files are under."""

import asyncio
import functools
from pathlib import Path

import click
from msgspec import Struct

from tallystick.audit.acting import acting
from tallystick.audit.model import Action
from tallystick.bootstrap import wrapping
from tallystick.bootstrap.layout import Layout
from tallystick.bootstrap.storing import storing
from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.custody import read_shares, shares_option
from tallystick.cli.inputs import read_password
from tallystick.errors import Misconfigured


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
    begin = functools.partial(_note, app, provider)
    match provider:
        case "pkcs11":
            label = token_key or settings.key
            changed = wrapping.protect_by_token(app.data, settings, label, begin)
            setting = f'[keys] provider = "pkcs11", key = "{label}"'
        case "shares":
            changed = wrapping.protect_by_shares(app.data, settings, read_shares(shares_file), begin)
            setting = '[keys] provider = "shares"'
        case _:
            passphrase = read_password(passphrase_file, "Passphrase", confirm=True)
            changed = wrapping.protect(app.data, settings, passphrase, begin)
            setting = '[keys] provider = "sealed-file"'
    app.show(Protected(files=changed, setting=setting))


def _note(app: App, provider: str) -> None:
    """Leave the audit entry, as the proven operator.

    After a crash midway no command can open the keys, nor prove anybody by them, until this one has ended: then the
    entry says `resumed`, and its operator is who the caller claims to be.
    """
    try:
        app.at_desk(
            lambda desk: desk.store.transact(
                lambda books: books.append(Action.KEYS_CHANGED, provider, outcome="protect")
            )
        )
    except Misconfigured:
        asyncio.run(_note_resumed(app, provider))


async def _note_resumed(app: App, provider: str) -> None:
    async with storing(Layout(app.data), app.settings().store) as (store, _):
        with acting(f"operator:{app.operator}"):
            await store.transact(
                lambda books: books.append(Action.KEYS_CHANGED, provider, outcome="protect", resumed=True)
            )
