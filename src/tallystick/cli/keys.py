"""`tallystick keys`: the platform's own keys."""

from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick.adapters.keys.manifest import KeyEntry
from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.channels.model import ProposalKind
from tallystick.cli import key_desk
from tallystick.cli.acting import Acted, asks_others, propose
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.enrolments import Duration
from tallystick.cli.inputs import new_path, refuse_existing, write_new
from tallystick.cli.key_actions import DESTROY, ROTATE
from tallystick.cli.protect import protect
from tallystick.runtime import Millis
from tallystick.security.ports import KeyState, Purpose

PRIVATE: Final = 0o600
KEY_COLUMNS: Final = ("id", "state", "check", "age_days", "days_left", "records")
REWRAP_COLUMNS: Final = ("kind", "target", "looked", "changed", "damaged")


class Rotated(Struct, frozen=True, kw_only=True):
    """A key after one step of its life; `public_file` is where the public half was written."""

    id: str
    state: KeyState
    check: str
    public_file: str | None = None


class Asked(Struct, frozen=True, kw_only=True):
    """What a process that serves was asked for."""

    asked: bool


class ChannelKey(Struct, frozen=True, kw_only=True):
    """A channel's new MAC key; the old one is valid until `earlier_until`."""

    channel: str
    mac_key_file: str
    earlier_until: Millis | None


@click.group(
    cls=Group,
    examples="""
    tallystick keys status
    tallystick keys rotate vault && tallystick keys rewrap && tallystick keys destroy vault 1
    """,
)
def keys() -> None:
    """See, rotate and protect the platform's own keys.

    A running `tallystick serve` follows each step within a second, and seals anew by itself; no request fails.
    """


@keys.command("status", examples="tallystick keys status --json")
@pass_app
def status(app: App) -> None:
    """List the long-lived keys: state, age, days left of the cryptoperiod, stored values under each."""
    app.show_all(app.at_desk(key_desk.status, needs=operators.READ), KEY_COLUMNS)


@keys.command(
    "rotate",
    examples="""
    tallystick keys rotate vault
    tallystick keys rotate identity --prepare --public-out next.pem
    """,
)
@click.argument("purpose", type=click.Choice([purpose.value for purpose in Purpose]))
@click.option("--prepare", is_flag=True, help="Only make the next key; the next call activates it.")
@click.option("--public-out", type=new_path, help="With identity and --prepare: a new file for the public half.")
@pass_app
def rotate(app: App, purpose: str, *, prepare: bool, public_out: Path | None) -> None:
    """Make the next key of a purpose and seal with it from now on; the present one still opens.

    With four_eyes.keys in the settings, another person approves it first.

    The identity key is pinned by channels and institutions: prepare it, give them the public half beside the present
    one, and rotate when all have it.
    """
    if (public_out is not None) != (prepare and purpose == Purpose.IDENTITY):
        raise click.UsageError("Give --public-out with identity and --prepare, and only then.")
    if public_out is not None:
        refuse_existing(public_out)

    async def work(desk: Office) -> Rotated | Acted:
        if not prepare and asks_others(desk, ProposalKind.KEYS):
            return await propose(app, desk, ROTATE, {"purpose": purpose}, f"rotate {purpose}")
        if not prepare:
            return _rotated(await key_desk.rotate(desk, Purpose(purpose)))
        entry, public = await key_desk.prepare(desk, Purpose(purpose))
        if public_out is not None and public is not None:
            write_new(public_out, public)
        return _rotated(entry, public_out)

    app.show(app.at_desk(work))


@keys.command(
    "rotate-channel",
    examples="tallystick keys rotate-channel ch_2k5qz7mzv5c6hgk3u4xw2n7a4e --mac-key-out shop-2.key",
)
@click.argument("channel_id")
@click.option("--mac-key-out", type=new_path, required=True, help="A new file for the MAC key made here, in hex.")
@click.option("--overlap", type=Duration(), default="24h", show_default=True, help="How long the old key counts.")
@pass_app
def rotate_channel(app: App, channel_id: str, mac_key_out: Path, overlap: int) -> None:
    """Make a new MAC key for a channel; the old one counts a while longer.

    During the overlap each answer is under the key that its request was signed with.
    """
    refuse_existing(mac_key_out)

    async def work(desk: Office) -> ChannelKey:
        channel, secret = await key_desk.rotate_channel(desk, channel_id, overlap)
        write_new(mac_key_out, secret.hex().encode(), PRIVATE)
        return ChannelKey(channel=channel.id, mac_key_file=str(mac_key_out), earlier_until=channel.earlier_until)

    app.show(app.at_desk(work))


@keys.command("rotate-opening", examples="tallystick keys rotate-opening")
@pass_app
def rotate_opening(app: App) -> None:
    """Publish new part-opening keys within ten seconds, before their four hours are over.

    Those so far still open what was sealed for them, until an hour after they would have been replaced.
    """
    app.at_desk(key_desk.rotate_opening)
    app.show(Asked(asked=True))


@keys.command("rewrap", examples="tallystick keys rewrap")
@pass_app
def rewrap(app: App) -> None:
    """Seal everything that is stored under an older key anew; goes on where it was interrupted.

    `tallystick serve` does the same by itself, more slowly.
    """
    app.show_all(app.at_desk(key_desk.rewrap_all), REWRAP_COLUMNS)


@keys.command("destroy", examples="tallystick keys destroy vault 1")
@click.argument("purpose", type=click.Choice([purpose.value for purpose in Purpose]))
@click.argument("version", type=click.IntRange(min=1))
@pass_app
def destroy(app: App, purpose: str, version: int) -> None:
    """Destroy a key that nothing stored names any more, for good.

    Refused while anything does. A backup of the store from before needs a backup of the key. With four_eyes.keys in the
    settings, another person approves it first.
    """

    async def work(desk: Office) -> Rotated | Acted:
        if asks_others(desk, ProposalKind.KEYS):
            subject = {"purpose": purpose, "version": str(version)}
            return await propose(app, desk, DESTROY, subject, f"destroy {purpose}-{version}")
        return _rotated(await key_desk.destroy(desk, Purpose(purpose), version))

    app.show(app.at_desk(work))


keys.add_command(protect)


def _rotated(entry: KeyEntry, public: Path | None = None) -> Rotated:
    return Rotated(
        id=entry.name, state=entry.state, check=entry.check, public_file=str(public) if public is not None else None
    )
