"""`tallystick pin`: the keys under which channels send PIN blocks (ISO 9564, PCI PIN)."""

from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick.bootstrap.office import Office
from tallystick.bootstrap.parts import pin_process
from tallystick.channels import operators
from tallystick.channels.model import PinKey, PinScheme
from tallystick.cli import administer
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import file_path, read_private
from tallystick.cli.output import Failure
from tallystick.crypto.dukpt_aes import ID_BYTES
from tallystick.errors import NotFound
from tallystick.runtime import Millis
from tallystick.sdk.pins import KEY_FILE, write_key
from tallystick.secret import Secret
from tallystick.security.pin_text import KEY_NAME

COLUMNS: Final = ("name", "channel", "scheme", "created_at", "retired_at")


class PinKeyView(Struct, frozen=True, kw_only=True):
    """A PIN key as operators see it: never the key."""

    name: str
    channel: str
    scheme: PinScheme
    created_at: Millis
    retired_at: Millis | None = None
    key_file: str | None = None


@click.group(cls=Group, examples="tallystick pin list")
def pin() -> None:
    """Give channels keys for PIN blocks; a channel that has one sends no clear PIN any more."""


@pin.command(
    "make-key", examples="tallystick pin make-key app-1 --channel ch_2k5qz7mzv5c6hgk3u4xw2n7a4e --profile profiles/app"
)
@click.argument("name")
@click.option("--channel", "channel_id", required=True, help="The channel that will send blocks under it.")
@click.option(
    "--profile",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The client's profile directory; its key goes there and nowhere else.",
)
@pass_app
def make_key(app: App, name: str, channel_id: str, profile: Path) -> None:
    """Make a key for one of our own clients, and write its part of it beside the profile (AES DUKPT)."""
    _check_name(name)
    if (profile / KEY_FILE).exists():
        raise Failure(f"the profile has a {KEY_FILE} already", "Retire that key and remove the file first.")

    async def work(desk: Office) -> PinKeyView:
        await administer.find_channel(desk, channel_id)
        device = desk.randomness.token(ID_BYTES)
        async with pin_process(desk) as pins:
            key_block = await pins.make_key()
            key = await pins.device_key(key_block, device)
        registered = await administer.add_pin_key(desk, name, channel_id, PinScheme.DUKPT_AES, key_block)
        return _view(registered, write_key(profile, name, device, key))

    app.show(app.at_desk(work))


@pin.command(
    "import-key",
    examples="""
    tallystick pin import-key till-7 --channel ch_2k5qz7mzv5c6hgk3u4xw2n7a4e --scheme dukpt-tdes \\
        --block-file till-7.tr31 --transport-file kek.hex
    """,
)
@click.argument("name")
@click.option("--channel", "channel_id", required=True, help="The channel of these terminals.")
@click.option("--scheme", type=click.Choice([scheme.value for scheme in PinScheme]), required=True)
@click.option("--block-file", type=file_path, required=True, help="The key block (TR-31, ANSI X9.143, version B or D).")
@click.option("--transport-file", type=file_path, required=True, help="The key it is under, in hex; mode 0600.")
@pass_app
def import_key(app: App, name: str, channel_id: str, scheme: str, block_file: Path, transport_file: Path) -> None:
    """Take the key of foreign terminals: a PIN key, or the base key their serial numbers derive from."""
    _check_name(name)
    transport = Secret(read_private(transport_file).decode("ascii", "replace").strip())
    block = block_file.read_bytes().decode("ascii", "replace").strip()

    async def work(desk: Office) -> PinKeyView:
        await administer.find_channel(desk, channel_id)
        async with pin_process(desk) as pins:
            key_block = await pins.import_key(PinScheme(scheme), transport, block)
        return _view(await administer.add_pin_key(desk, name, channel_id, PinScheme(scheme), key_block))

    app.show(app.at_desk(work))


@pin.command("list", examples="tallystick pin list --json")
@pass_app
def list_(app: App) -> None:
    """List all PIN keys, retired ones too."""
    keys = app.at_desk(lambda desk: desk.store.read(lambda books: books.pin_keys()), needs=operators.READ)
    app.show_all([_view(key) for key in keys], COLUMNS)


@pin.command("retire", examples="tallystick pin retire app-1")
@click.argument("name")
@pass_app
def retire(app: App, name: str) -> None:
    """Take no more PIN blocks under a key; payments that wait with one are refused."""

    async def work(desk: Office) -> PinKeyView:
        retired = await desk.store.transact(lambda books: books.retire_pin_key(name, desk.clock.now()))
        key = await desk.store.read(lambda books: books.pin_key(name))
        if not retired or key is None:
            raise NotFound("no PIN key in use has this name")
        return _view(key)

    app.show(app.at_desk(work))


def _view(key: PinKey, key_file: Path | None = None) -> PinKeyView:
    return PinKeyView(
        name=key.name,
        channel=key.channel_id,
        scheme=key.scheme,
        created_at=key.created_at,
        retired_at=key.retired_at,
        key_file=None if key_file is None else str(key_file),
    )


def _check_name(name: str) -> None:
    if not KEY_NAME.fullmatch(name):
        raise click.UsageError("A key's name has 1 to 32 small letters, digits and hyphens.")
