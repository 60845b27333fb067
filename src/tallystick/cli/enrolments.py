"""`tallystick ca invite`, `requests`, `approve`, `reject`: enrolment as the operator does it (patent claim 33)."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import click
from msgspec import Struct

from tallystick.bootstrap.office import Office
from tallystick.channels import enrol, operators
from tallystick.channels.admit import CHANNEL_URI, INSTITUTION_URI
from tallystick.channels.model import Enrolment, EnrolmentState, ProposalKind
from tallystick.channels.proposals import NOTE_MAX
from tallystick.cli import administer
from tallystick.cli.acting import Acted, Action, DeskBooks, Subject, act_at
from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.inputs import file_path, new_path, refuse_existing, write_new
from tallystick.errors import NotFound
from tallystick.runtime import Millis
from tallystick.security.ports import Purpose

UNITS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 24 * 3_600_000}  # ms
COLUMNS: Final = ("id", "state", "uri", "key", "expires_at")


class Duration(click.ParamType[int]):
    """A time such as 30m, 24h or 7d, in milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        found = re.fullmatch(r"([1-9]\d{0,4})([mhd])", value)
        if found is None:
            self.fail("give a number with m, h or d behind it, such as 24h", param, ctx)
        return int(found[1]) * UNITS_MS[found[2]]


class InvitationView(Struct, frozen=True, kw_only=True):
    """An invitation just made; the token is shown here and never again."""

    id: str
    uri: str
    expires_at: Millis
    token: str


class RequestView(Struct, frozen=True, kw_only=True):
    """An invitation or request as operators see it; `key` is the SHA-256 of the public key."""

    id: str
    state: EnrolmentState
    uri: str
    hosts: tuple[str, ...]
    key: str | None
    created_at: Millis
    expires_at: Millis


@click.command(
    "invite",
    cls=Command,
    examples="""
    tallystick ca invite channel ch_2k5qz7mzv5c6hgk3u4xw2n7a4e
    tallystick ca invite institution 40718253 --dns bank.example --ttl 7d
    """,
)
@click.argument("kind", type=click.Choice(["channel", "institution"]))
@click.argument("name", metavar="ID")
@click.option("--dns", multiple=True, help="A host name of the back end; repeat for more.")
@click.option("--ttl", type=Duration(), default="24h", show_default=True, help="How long the token may be used.")
@pass_app
def invite(app: App, kind: str, name: str, dns: tuple[str, ...], ttl: int) -> None:
    """Make a one-time token by which a channel or institution asks for its certificate.

    The token is shown once: hand it over by a way that nobody else reads. The party uses it with `tallystick enrol`.
    """

    async def work(desk: Office) -> enrol.Invitation:
        if kind == "channel":
            uri = f"{CHANNEL_URI}{(await administer.find_channel(desk, name)).id}"
        else:
            uri = f"{INSTITUTION_URI}{(await administer.find_institution(desk, name)).id}"
        key = desk.keyring.active(Purpose.BLIND_INDEX)
        made = enrol.invitation(key, desk.clock, desk.randomness, uri=uri, hosts=dns, ttl=ttl)
        await desk.store.transact(lambda books: books.add_enrolment(made.enrolment))
        return made

    enrolment, token = app.at_desk(work)
    app.show(InvitationView(id=enrolment.id, uri=enrolment.uri, expires_at=enrolment.expires_at, token=token.reveal()))


@click.command("requests", cls=Command, examples="tallystick ca requests")
@pass_app
def requests(app: App) -> None:
    """List invitations and requests, oldest first.

    Before approving, let the party read you its key's digest: `tallystick enrol` prints the same.
    """

    async def work(desk: Office) -> list[Enrolment]:
        return await desk.store.read(lambda books: books.enrolments())

    app.show_all([_view(each) for each in app.at_desk(work, needs=operators.READ)], COLUMNS)


async def _asked(_desk: Office, books: DeskBooks, subject: Subject) -> str:
    """Say what a request stands for: an identity, and the digest of its key."""
    found = await books.enrolment(subject["request"])
    return "" if found is None else f"{found.state} {found.uri} {found.key}"


async def _issue(desk: Office, books: DeskBooks, subject: Subject) -> None:
    await enrol.approve(books, subject["request"], desk.ca, desk.clock.now())


APPROVE: Final = Action(kind=ProposalKind.CA, name="approve", base=_asked, apply=_issue)


@click.command("approve", cls=Command, examples="tallystick ca approve enr_0f6b7c2d9e8a41538c6d7e9fa0b1c2d3")
@click.argument("request")
@pass_app
def approve(app: App, request: str) -> None:
    """Issue the certificate of a request that waits; the party fetches it with its token.

    With four_eyes.ca in the settings, another person approves this first.
    """

    async def work(desk: Office, books: DeskBooks) -> Acted | RequestView:
        acted = await act_at(app, desk, books, APPROVE, {"request": request}, f"certificate for {request}")
        found = await books.enrolment(request)
        return acted if acted.proposal is not None or found is None else _view(found)

    app.show(app.at_desk(lambda desk: desk.store.transact(lambda books: work(desk, books))))


@click.command(
    "export-request",
    cls=Command,
    examples="tallystick ca export-request enr_0f6b7c2d9e8a41538c6d7e9fa0b1c2d3 --out shop.csr",
)
@click.argument("request")
@click.option("--out", type=new_path, required=True, help="The new file for the request.")
@pass_app
def export_request(app: App, request: str, out: Path) -> None:
    """Write the request that a party made, for an outside authority to certify."""
    refuse_existing(out)

    async def work(desk: Office) -> Enrolment:
        found = await desk.store.read(lambda books: books.enrolment(request))
        if found is None or found.csr is None:
            raise NotFound("no request has this id")
        return found

    found = app.at_desk(work, needs=operators.READ)
    write_new(out, found.csr or b"")
    app.show(_view(found))


async def _adopt(desk: Office, books: DeskBooks, subject: Subject) -> None:
    await enrol.adopt(books, subject["request"], subject["chain"].encode(), desk.clock.now())


ADOPT: Final = Action(kind=ProposalKind.CA, name="adopt", base=_asked, apply=_adopt)


@click.command(
    "import-chain",
    cls=Command,
    examples="tallystick ca import-chain enr_0f6b7c2d9e8a41538c6d7e9fa0b1c2d3 shop-chain.pem",
)
@click.argument("request")
@click.argument("chain", type=file_path)
@pass_app
def import_chain(app: App, request: str, chain: Path) -> None:
    """Take the chain that an outside authority issued for a request; the party fetches it with its token.

    Its identity must have that authority as an anchor (`tallystick ca anchor add`). The certificate is for the key of
    the request, for the identity, its purposes and hosts, and valid now. With four_eyes.ca, another person approves.
    """
    subject = {"request": request, "chain": chain.read_bytes().decode("ascii", "replace")}

    async def work(desk: Office, books: DeskBooks) -> Acted | RequestView:
        acted = await act_at(app, desk, books, ADOPT, subject, f"chain for {request}"[:NOTE_MAX])
        found = await books.enrolment(request)
        return acted if acted.proposal is not None or found is None else _view(found)

    app.show(app.at_desk(lambda desk: desk.store.transact(lambda books: work(desk, books))))


@click.command("reject", cls=Command, examples="tallystick ca reject enr_0f6b7c2d9e8a41538c6d7e9fa0b1c2d3")
@click.argument("request")
@pass_app
def reject(app: App, request: str) -> None:
    """Refuse a request that waits, or withdraw an invitation."""
    _decide(app, lambda desk: desk.store.transact(lambda b: enrol.reject(b, request, desk.clock.now())))


def _decide(app: App, decide: Callable[[Office], Awaitable[Enrolment]]) -> None:
    app.show(_view(app.at_desk(decide)))


def _view(enrolment: Enrolment) -> RequestView:
    return RequestView(
        id=enrolment.id,
        state=enrolment.state,
        uri=enrolment.uri,
        hosts=enrolment.hosts,
        key=enrolment.key,
        created_at=enrolment.created_at,
        expires_at=enrolment.expires_at,
    )
