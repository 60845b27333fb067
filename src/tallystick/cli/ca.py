"""`tallystick ca`: certificates of channels and back ends (patent claim 33)."""

from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick.adapters.ca_files import Issued
from tallystick.audit import model as audit
from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.channels.admit import CHANNEL_URI, INSTITUTION_URI
from tallystick.channels.model import ProposalKind
from tallystick.channels.proposals import NOTE_MAX
from tallystick.cli import administer, anchors, enrolments
from tallystick.cli.acting import Action, DeskBooks, Subject, act, refuse_alone
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import file_path, new_path, refuse_existing, write_new
from tallystick.crypto import x509
from tallystick.errors import NotFound
from tallystick.runtime import Millis

INVITE: Final = "Invite the party, and have somebody else approve its request: tallystick ca invite."


class IssuedChain(Struct, frozen=True):
    """A certificate just issued."""

    file: str
    serial: str
    uri: str | None
    not_after: Millis


class Trust(Struct, frozen=True):
    """Where the trusted authorities are."""

    file: str


class Revoked(Struct, frozen=True):
    """What was revoked."""

    serial: str
    status: str


@click.group(cls=Group, examples="tallystick ca list")
def ca() -> None:
    """Invite parties; issue, list and revoke certificates."""


@ca.command(
    "issue-channel", examples="tallystick ca issue-channel ch_2k5qz7mzv5c6hgk3u4xw2n7a4e shop.csr --out shop.pem"
)
@click.argument("channel_id")
@click.argument("csr", type=file_path)
@click.option("--out", type=new_path, required=True, help="The new file for the certificate chain.")
@pass_app
def issue_channel(app: App, channel_id: str, csr: Path, out: Path) -> None:
    """Issue a channel's certificate from its request.

    The request is a CSR in PEM. The identity in the certificate is the channel's id, whatever the request says; it is
    valid for 30 days.
    """
    refuse_existing(out)

    async def issue(desk: Office) -> bytes:
        refuse_alone(desk, ProposalKind.CA, INVITE)
        await administer.find_channel(desk, channel_id)
        await administer.note_issue(desk, f"{CHANNEL_URI}{channel_id}")
        return administer.issue_channel_certificate(desk, channel_id, administer.read_csr(csr))

    _hand_out(app, app.at_desk(issue), out)


@ca.command(
    "issue-back-end",
    examples="tallystick ca issue-back-end 40718253 bank.csr --dns bank.example --out bank.pem",
)
@click.argument("institution")
@click.argument("csr", type=file_path)
@click.option("--dns", multiple=True, help="A host name of the back end; repeat for more.")
@click.option("--out", type=new_path, required=True, help="The new file for the certificate chain.")
@pass_app
def issue_back_end(app: App, institution: str, csr: Path, dns: tuple[str, ...], out: Path) -> None:
    """Issue a back end's certificate from its request.

    The request is a CSR in PEM. The identity in the certificate is the institution id and the host names are those
    given here, whatever the request says; it is valid for 365 days.
    """
    refuse_existing(out)

    async def issue(desk: Office) -> bytes:
        refuse_alone(desk, ProposalKind.CA, INVITE)
        await administer.find_institution(desk, institution)
        await administer.note_issue(desk, f"{INSTITUTION_URI}{institution}")
        return administer.issue_back_end_certificate(desk, institution, administer.read_csr(csr), dns)

    _hand_out(app, app.at_desk(issue), out)


async def _standing(desk: Office, _books: DeskBooks, subject: Subject) -> str:
    """Say what is known of a certificate; raises NotFound for one that was never issued."""
    found = [each for each in desk.ca.issued() if each.serial == subject["serial"]]
    if not found:
        raise NotFound("no certificate has this serial")
    return "valid" if found[0].revoked is None else "revoked"


async def _note_revocation(_desk: Office, books: DeskBooks, subject: Subject) -> None:
    await books.append(audit.Action.CERTIFICATE_REVOKED, subject["serial"], outcome="begun")


async def _revoke(desk: Office, subject: Subject) -> None:
    desk.ca.revoke(subject["serial"], desk.clock.now())


REVOKE: Final = Action(kind=ProposalKind.CA, name="revoke", base=_standing, apply=_note_revocation, after=_revoke)


@ca.command("revoke", examples="tallystick ca revoke 3f9a6c01d2")
@click.argument("serial")
@pass_app
def revoke(app: App, serial: str) -> None:
    """Revoke a certificate by its serial, for good.

    A serving platform refuses it within a second, on open connections too. With four_eyes.ca in the settings it waits
    for an approval first; to keep a channel out at once, suspend it.
    """
    acted = act(app, REVOKE, {"serial": serial}, f"revoke {serial}"[:NOTE_MAX])
    app.show(Revoked(serial=serial, status="revoked") if acted.proposal is None else acted)


@ca.command("list", examples="tallystick ca list --json")
@pass_app
def list_(app: App) -> None:
    """List every certificate issued, oldest first."""

    async def work(desk: Office) -> tuple[Issued, ...]:
        return desk.ca.issued()

    app.show_all(app.at_desk(work, needs=operators.READ), ("serial", "profile", "uri", "not_after", "revoked"))


@ca.command("trust", examples="cp $(tallystick ca trust) trust.pem")
@pass_app
def trust(app: App) -> None:
    """Print the path of the trusted authorities.

    Channels and back ends need this file to know the platform, and each other, by their certificates.
    """

    async def work(desk: Office) -> str:
        return str(desk.ca.trust)

    path = app.at_desk(work, needs=operators.READ)
    if app.as_json:
        app.show(Trust(file=path))
    else:
        click.echo(path)


for command in (
    enrolments.invite,
    enrolments.requests,
    enrolments.approve,
    enrolments.reject,
    enrolments.export_request,
    enrolments.import_chain,
    anchors.anchor,
    anchors.deny,
    anchors.denied,
):
    ca.add_command(command)


def _hand_out(app: App, chain: bytes, out: Path) -> None:
    write_new(out, chain)
    leaf = x509.read_certificate(chain)
    app.show(IssuedChain(file=str(out), serial=leaf.serial, uri=leaf.uri, not_after=leaf.not_after))
