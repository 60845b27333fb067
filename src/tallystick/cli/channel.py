"""`tallystick channel`: register the ways parts may come (patent claim 1)."""

from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick.adapters.ca_files import Issued
from tallystick.assembly.intake import SHARE_FIELD
from tallystick.assembly.policy import ORDER_FIELD
from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.channels.admit import CHANNEL_URI
from tallystick.channels.model import Channel, ChannelKind, ChannelState, ProposalKind
from tallystick.cli import administer, profiles
from tallystick.cli.acting import refuse_alone
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import CommaList, file_path, new_path, refuse_existing, write_new
from tallystick.cli.output import Failure
from tallystick.config import Settings
from tallystick.runtime import Millis
from tallystick.security.fields import FIELD_NAMES

SENDABLE: Final = FIELD_NAMES | {ORDER_FIELD, SHARE_FIELD}
PRIVATE: Final = 0o600


class ChannelView(Struct, frozen=True, kw_only=True):
    """A channel as operators see it: never its key."""

    id: str
    name: str
    kind: ChannelKind
    state: ChannelState
    fields: frozenset[str]
    proves_payer: bool
    algorithm: str
    created_at: Millis
    profile: str | None = None
    mac_key_file: str | None = None


class ChannelDetails(Struct, frozen=True, kw_only=True):
    """A channel with the certificates issued to it."""

    channel: ChannelView
    certificates: tuple[Issued, ...]


COLUMNS: Final = ("id", "name", "kind", "state", "fields", "proves_payer", "algorithm")


@click.group(cls=Group, examples="tallystick channel list")
def channel() -> None:
    """Register, show, suspend and resume channels."""


@channel.command(
    "add",
    examples="""
    tallystick channel add shop --kind merchant --fields pan,expiry,order --profile-out profiles/shop
    tallystick channel add bank-app --kind bank_app --fields pin_block --proves-payer --public-key bank.pem
    tallystick channel add voice --kind voice --fields pin_block --mac-key-out voice.key
    """,
)
@click.argument("name")
@click.option("--kind", type=click.Choice([kind.value for kind in ChannelKind]), required=True)
@click.option("--fields", type=CommaList(SENDABLE), required=True, help=f"Out of {', '.join(sorted(SENDABLE))}.")
@click.option("--proves-payer", is_flag=True, help="It has proven who its user is: it may settle rival parts.")
@click.option("--public-key", type=file_path, help="Its own Ed25519 or P-256 public key (PEM).")
@click.option("--profile-out", type=new_path, help="A new directory for a client profile: keys, certificate, trust.")
@click.option("--mac-key-out", type=new_path, help="A new file for the MAC key made here, in hex.")
@click.option("--base-url", help="The platform's address in the profile; without it, from the settings.")
@pass_app
def add(
    app: App,
    name: str,
    kind: str,
    fields: tuple[str, ...],
    *,
    proves_payer: bool,
    public_key: Path | None,
    profile_out: Path | None,
    mac_key_out: Path | None,
    base_url: str | None,
) -> None:
    """Register a channel.

    It proves its messages by its own key (--public-key), or by a MAC key that is made here and written once: with all
    else that a client needs (--profile-out), or alone (--mac-key-out). Exactly one of the three is given.
    """
    outputs = [path for path in (profile_out, mac_key_out) if path is not None]
    if len(outputs) + (public_key is not None) != 1:
        raise click.UsageError("Give exactly one of --public-key, --profile-out and --mac-key-out.")
    for path in outputs:
        refuse_existing(path)
    address = base_url or (address_of(app.settings()) if profile_out is not None else "")
    own_key = public_key.read_bytes() if public_key is not None else None

    async def register(desk: Office) -> ChannelView:
        if profile_out is not None:
            refuse_alone(desk, ProposalKind.CA, "Give --public-key, then: tallystick ca invite channel.")
        new = await administer.add_channel(
            desk,
            name=name,
            kind=ChannelKind(kind),
            fields=frozenset(fields),
            proves_payer=proves_payer,
            public_key=own_key,
        )
        if profile_out is not None:
            await administer.note_issue(desk, f"{CHANNEL_URI}{new.channel.id}")
        profile = profiles.write_channel(desk, new, profile_out, address) if profile_out is not None else None
        if mac_key_out is not None:
            write_new(mac_key_out, (new.mac_key or b"").hex().encode(), PRIVATE)
        return view(new.channel, profile=profile, mac_key_file=mac_key_out)

    app.show(app.at_desk(register))


@channel.command("list", examples="tallystick channel list --json")
@pass_app
def list_(app: App) -> None:
    """List all channels."""
    channels = app.at_desk(lambda desk: desk.store.read(lambda books: books.channels()), needs=operators.READ)
    app.show_all([view(each) for each in channels], COLUMNS)


@channel.command("show", examples="tallystick channel show ch_2k5qz7mzv5c6hgk3u4xw2n7a4e")
@click.argument("channel_id")
@pass_app
def show(app: App, channel_id: str) -> None:
    """Show a channel and the certificates issued to it."""

    async def work(desk: Office) -> ChannelDetails:
        found = view(await administer.find_channel(desk, channel_id))
        uri = f"{CHANNEL_URI}{channel_id}"
        certificates = tuple(each for each in desk.ca.issued() if each.uri == uri)
        return ChannelDetails(channel=found, certificates=certificates)

    details = app.at_desk(work, needs=operators.READ)
    if app.as_json:
        app.show(details)
        return
    app.show(details.channel)
    app.show_all(details.certificates, ("serial", "not_after", "revoked"))


@channel.command("suspend", examples="tallystick channel suspend ch_2k5qz7mzv5c6hgk3u4xw2n7a4e")
@click.argument("channel_id")
@pass_app
def suspend(app: App, channel_id: str) -> None:
    """Take nothing more from a channel until it is resumed."""
    app.show(view(app.at_desk(lambda desk: administer.set_channel_state(desk, channel_id, ChannelState.SUSPENDED))))


@channel.command("resume", examples="tallystick channel resume ch_2k5qz7mzv5c6hgk3u4xw2n7a4e")
@click.argument("channel_id")
@pass_app
def resume(app: App, channel_id: str) -> None:
    """Let a suspended channel send again."""
    app.show(view(app.at_desk(lambda desk: administer.set_channel_state(desk, channel_id, ChannelState.ACTIVE))))


def address_of(settings: Settings) -> str:
    """Return the gateway's address as clients see it; Failure when the port is chosen only at a start."""
    gateway = settings.gateway
    if gateway.port == 0:
        raise Failure("the settings name port 0, which is another one at each start", "Give --base-url.")
    return f"https://{gateway.names[0]}:{gateway.port}"


def view(registered: Channel, *, profile: Path | None = None, mac_key_file: Path | None = None) -> ChannelView:
    """Describe a channel without its key."""
    return ChannelView(
        id=registered.id,
        name=registered.name,
        kind=registered.kind,
        state=registered.state,
        fields=registered.fields,
        proves_payer=registered.proves_payer,
        algorithm=registered.algorithm,
        created_at=registered.created_at,
        profile=str(profile) if profile is not None else None,
        mac_key_file=str(mac_key_file) if mac_key_file is not None else None,
    )
