"""`tallystick ca anchor` and `ca deny`: outside authorities, and certificates that count no more."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click
from msgspec import Struct

from tallystick.adapters.outside_lists import LISTS_MAX
from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.channels.admit import CHANNEL_URI, INSTITUTION_URI
from tallystick.channels.model import Anchor, ProposalKind
from tallystick.channels.proposals import NOTE_MAX
from tallystick.cli import administer
from tallystick.cli.acting import Acted, Action, DeskBooks, Subject, act, act_at
from tallystick.cli.app import App, Command, Group, pass_app
from tallystick.cli.inputs import file_path
from tallystick.cli.output import Failure
from tallystick.crypto.anchors import Authorities, check_fingerprint, check_subject
from tallystick.crypto.x509 import read_certificate
from tallystick.errors import FieldInvalid, NotFound
from tallystick.runtime import Millis, new_id

COLUMNS: Final = ("id", "uri", "lists", "fingerprint", "subject")
MAP_REMEDY: Final = "Give one of --fingerprint and --subject; neither when the certificates carry the tallystick: URI."


class AnchorView(Struct, frozen=True, kw_only=True):
    """An outside authority of an identity; `authorities` are the SHA-256 fingerprints of its certificates."""

    id: str
    uri: str
    authorities: tuple[str, ...]
    lists: tuple[str, ...]
    fingerprint: str | None
    subject: str | None
    created_at: Millis


class Removed(Struct, frozen=True):
    """An anchor that is gone."""

    id: str
    status: str = "removed"


class DeniedView(Struct, frozen=True):
    """A certificate that counts no more; `since` is None once it counts again."""

    fingerprint: str
    since: Millis | None


@click.group(cls=Group, examples="tallystick ca anchor list")
def anchor() -> None:
    """Let an outside authority vouch for one channel or institution."""


@anchor.command(
    "add",
    examples="""
    tallystick ca anchor add channel ch_2k5qz7mzv5c6hgk3u4xw2n7a4e bank-ca.pem --crl https://ca.bank.example/list.crl
    tallystick ca anchor add institution 40718253 ca.pem --crl /srv/lists/root.crl --crl /srv/lists/issuing.crl
    tallystick ca anchor add channel ch_2k5qz7mzv5c6hgk3u4xw2n7a4e ca.pem --subject "CN=app,O=Bank" --no-crl
    """,
)
@click.argument("kind", type=click.Choice(["channel", "institution"]))
@click.argument("name", metavar="ID")
@click.argument("bundle", type=file_path)
@click.option("--crl", "crls", multiple=True, help="Where a revocation list is: an http(s) URL or an absolute path.")
@click.option(
    "--no-crl", is_flag=True, help="Do without revocation lists: only its end, or `ca deny`, ends a certificate."
)
@click.option("--fingerprint", help="The SHA-256 of the one certificate that stands for this identity.")
@click.option("--subject", help="The subject (RFC 4514) of certificates that stand for this identity.")
@pass_app
def add(
    app: App,
    kind: str,
    name: str,
    bundle: Path,
    crls: tuple[str, ...],
    no_crl: bool,  # noqa: FBT001 - click passes a flag so
    fingerprint: str | None,
    subject: str | None,
) -> None:
    """Set an outside authority for an identity: from then on only its anchors vouch for it.

    BUNDLE holds the root and every authority below it, in PEM. A revocation list of each is needed unless --no-crl says
    to do without. Without --fingerprint or --subject its certificates must carry the identity's tallystick: URI.
    A serving platform follows within seconds, on open connections too. With four_eyes.ca in the settings, another
    person approves this first, and so for removing one.
    """
    if bool(crls) == no_crl:
        raise Failure("revocation is neither given nor declined", "Give --crl for each list, or --no-crl.")
    if fingerprint and subject:
        raise Failure("two mappings are given", MAP_REMEDY)
    if len(crls) > LISTS_MAX:
        raise FieldInvalid(f"an anchor has at most {LISTS_MAX} revocation lists", field="crl")
    given = {
        "bundle": Authorities(bundle.read_bytes()).pem.decode("ascii"),
        "lists": "\n".join(_place(each) for each in crls),
        "fingerprint": check_fingerprint(fingerprint) if fingerprint else "",
        "subject": check_subject(subject) if subject else "",
    }

    async def work(desk: Office) -> Acted | AnchorView:
        wanted = {"id": new_id("anc", desk.randomness), "uri": await _identity(desk, kind, name), **given}
        acted = await desk.store.transact(lambda books: act_at(app, desk, books, ADD, wanted, f"anchor for {name}"))
        return acted if acted.proposal is not None else _view(_anchor(wanted, desk.clock.now()))

    app.show(app.at_desk(work))


@anchor.command("list", examples="tallystick ca anchor list --json")
@pass_app
def list_(app: App) -> None:
    """List all outside authorities, oldest first."""
    found = app.at_desk(lambda desk: desk.store.read(lambda books: books.anchors()), needs=operators.READ)
    app.show_all([_view(each) for each in found], COLUMNS)


@anchor.command("remove", examples="tallystick ca anchor remove anc_0f6b7c2d9e8a41538c6d7e9fa0b1c2d3")
@click.argument("anchor_id")
@pass_app
def remove(app: App, anchor_id: str) -> None:
    """Remove an outside authority; without any, the platform's own vouches for the identity again."""
    acted = act(app, REMOVE, {"id": anchor_id}, f"remove {anchor_id}"[:NOTE_MAX])
    app.show(Removed(id=anchor_id) if acted.proposal is None else acted)


@click.command(
    "deny",
    cls=Command,
    examples="""
    tallystick ca deny shop.pem
    tallystick ca deny 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --undo
    """,
)
@click.argument("certificate")
@click.option("--undo", is_flag=True, help="Let the certificate count again.")
@pass_app
def deny(app: App, certificate: str, undo: bool) -> None:  # noqa: FBT001 - click passes a flag so
    """Deny a certificate at once, whoever issued it.

    CERTIFICATE is a file or a SHA-256 fingerprint: of a channel's or back end's own certificate, or of an outside
    authority's. It needs no revocation list; a serving platform refuses it within two seconds, on open connections too.
    """
    subject = {"fingerprint": _fingerprint(certificate)}
    if undo:
        acted = act(app, UNDENY, subject, "let a denied certificate count again")
        app.show(DeniedView(subject["fingerprint"], None) if acted.proposal is None else acted)
        return

    async def work(desk: Office) -> DeniedView:
        now = desk.clock.now()
        await desk.store.transact(lambda books: books.deny(subject["fingerprint"], now))
        return DeniedView(subject["fingerprint"], now)

    app.show(app.at_desk(work))


@click.command("denied", cls=Command, examples="tallystick ca denied")
@pass_app
def denied(app: App) -> None:
    """List the certificates that are denied."""
    found = app.at_desk(lambda desk: desk.store.read(lambda books: books.denied()), needs=operators.READ)
    app.show_all([DeniedView(*each) for each in sorted(found.items())], ("fingerprint", "since"))


async def _there(_desk: Office, books: DeskBooks, subject: Subject) -> str:
    """Say which anchors the identity of a new one has, or that the one to be removed is there."""
    found = await books.anchors()
    if "uri" in subject:
        return " ".join(each.id for each in found if each.uri == subject["uri"])
    if subject["id"] not in {each.id for each in found}:
        raise NotFound("no anchor has this id")
    return subject["id"]


async def _add(desk: Office, books: DeskBooks, subject: Subject) -> None:
    """Add an anchor that fits: lists for all or none of an identity's, and no certificate mapped to two identities."""
    made = _anchor(subject, desk.clock.now())
    for other in await books.anchors():
        if other.uri == made.uri and bool(other.lists) != bool(made.lists):
            raise FieldInvalid("the anchors of one identity all have revocation lists, or none has", field="crl")
        mapped = (made.fingerprint, made.subject) != (None, None)
        same = (other.fingerprint, other.subject) == (made.fingerprint, made.subject)
        if mapped and same and other.uri != made.uri:
            raise FieldInvalid("this mapping is another identity's already", field="subject")
    await books.add_anchor(made)


async def _remove(_desk: Office, books: DeskBooks, subject: Subject) -> None:
    await books.remove_anchor(subject["id"])


async def _denied(_desk: Office, books: DeskBooks, subject: Subject) -> str:
    """Say since when a certificate is denied; raises NotFound for one that is not."""
    since = (await books.denied()).get(subject["fingerprint"])
    if since is None:
        raise NotFound("no certificate with this fingerprint is denied")
    return str(since)


async def _undeny(_desk: Office, books: DeskBooks, subject: Subject) -> None:
    await books.undeny(subject["fingerprint"])


ADD: Final = Action(kind=ProposalKind.CA, name="add anchor", base=_there, apply=_add)
REMOVE: Final = Action(kind=ProposalKind.CA, name="remove anchor", base=_there, apply=_remove)
UNDENY: Final = Action(kind=ProposalKind.CA, name="undeny", base=_denied, apply=_undeny)
ACTIONS: Final = (ADD, REMOVE, UNDENY)


def _anchor(subject: Subject, at: Millis) -> Anchor:
    return Anchor(
        id=subject["id"],
        uri=subject["uri"],
        bundle=subject["bundle"].encode(),
        lists=tuple(subject["lists"].split()),
        fingerprint=subject["fingerprint"] or None,
        subject=subject["subject"] or None,
        created_at=at,
    )


async def _identity(desk: Office, kind: str, name: str) -> str:
    if kind == "channel":
        return f"{CHANNEL_URI}{(await administer.find_channel(desk, name)).id}"
    return f"{INSTITUTION_URI}{(await administer.find_institution(desk, name)).id}"


def _place(given: str) -> str:
    url = urlsplit(given)
    placed = given.startswith("/") or (url.scheme in {"http", "https"} and url.hostname)
    if placed and len(given.split()) == 1:
        return given
    raise FieldInvalid("a revocation list is at an http(s) URL or an absolute path", field="crl")


def _fingerprint(given: str) -> str:
    path = Path(given)
    return read_certificate(path.read_bytes()).fingerprint if path.is_file() else check_fingerprint(given)


def _view(each: Anchor) -> AnchorView:
    return AnchorView(
        id=each.id,
        uri=each.uri,
        authorities=tuple(Authorities(each.bundle).by_fingerprint),
        lists=each.lists,
        fingerprint=each.fingerprint,
        subject=each.subject,
        created_at=each.created_at,
    )
