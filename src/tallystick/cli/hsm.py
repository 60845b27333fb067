"""`tallystick hsm`: the token (hardware security module) whose key protects the platform's keys."""

import contextlib

import click
from msgspec import Struct

from tallystick.audit.model import Action
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.wrapping import open_token
from tallystick.cli.app import App, Group, pass_app
from tallystick.config import FILE_NAME, KeysSection, parse


class KeyInToken(Struct, frozen=True, kw_only=True):
    """A key of the token; `check` identifies it, `made_here` says that it was never outside."""

    token: str
    key: str
    check: str
    made_here: bool
    in_use: bool


@click.group(
    cls=Group,
    examples="""
    tallystick hsm create-key
    tallystick keys protect --with pkcs11
    """,
)
def hsm() -> None:
    """Make and show the key of a PKCS#11 token that protects the platform's keys."""


@hsm.command(
    "create-key",
    examples="""
    TALLYSTICK_KEYS__PIN_FILE=/run/secrets/pin tallystick hsm create-key
    tallystick hsm create-key --label tallystick-kek-2027
    """,
)
@click.option("--label", help="The new key's name in the token; without it, key of [keys] in the settings.")
@pass_app
def create_key(app: App, label: str | None) -> None:
    """Make an AES-256 key in the token that never leaves it.

    Settings: module (the path of the token's PKCS#11 library), token (its label) and key in [keys]; the PIN of the
    token's user by TALLYSTICK_KEYS__PIN_FILE. Then `tallystick keys protect --with pkcs11` puts the key files under it.
    Back the token up as its vendor says: without this key nothing that is stored can be opened.
    """
    settings = _settings(app)
    with contextlib.closing(open_token(settings)) as token:
        if (app.data / FILE_NAME).exists():  # before `init` there is no chain
            app.at_desk(lambda desk: _note(desk, label or settings.key))
        token.make(label or settings.key)
    _show(app, label)


@hsm.command("status", examples="tallystick hsm status --json")
@click.option("--label", help="The key's name in the token; without it, key of [keys] in the settings.")
@pass_app
def status(app: App, label: str | None) -> None:
    """Show the key that protects the others, with its check value computed in the token."""
    _show(app, label)


async def _note(desk: Office, label: str) -> None:
    """Leave the audit entry of a key that is made next: a token leaves none."""
    await desk.store.transact(lambda books: books.append(Action.KEYS_CHANGED, label, outcome="token-key"))


def _settings(app: App) -> KeysSection:
    """Read the settings; before `tallystick init` those of the environment."""
    return app.settings().keys if (app.data / FILE_NAME).exists() else parse("").keys


def _show(app: App, label: str | None) -> None:
    settings = _settings(app)
    with contextlib.closing(open_token(settings)) as token:
        found = token.describe(label or settings.key)
    app.show(
        KeyInToken(
            token=settings.token or "",
            key=found.label,
            check=found.check,
            made_here=found.made_here,
            in_use=settings.provider == "pkcs11" and found.label == settings.key,
        )
    )
