"""`tallystick operator`: the persons who may run commands, each with a key of their own."""

from pathlib import Path
from typing import Final

import click
import msgspec

from tallystick.bootstrap.office import Office
from tallystick.channels import access, operators
from tallystick.channels.access import GRANTS, NewKey
from tallystick.channels.model import ApiKey, ProposalKind, Role
from tallystick.cli.acting import Acted, Action, DeskBooks, Subject, act_at
from tallystick.cli.apikey import PRIVATE, KeyView, hand_over, key_out, life, view
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.enrolments import Duration
from tallystick.cli.inputs import refuse_existing, write_new
from tallystick.delivery.books import Books
from tallystick.runtime import Millis
from tallystick.security.access_keys import KeyringAccess

COLUMNS: Final = ("holder", "role", "state", "id", "expires_at", "used_at")


@click.group(cls=Group, examples="tallystick operator list")
def operator() -> None:
    """Register the persons who may run commands; once there is one, nobody else may."""


async def _free(_desk: Office, books: DeskBooks, subject: Subject) -> str:
    """Say whether the key was added before."""
    key = msgspec.json.decode(subject["key"], type=ApiKey)
    return "new" if await books.api_key(key.id) is None else "added"


async def _add(desk: Office, books: DeskBooks, subject: Subject) -> None:
    key = msgspec.json.decode(subject["key"], type=ApiKey)
    await access.add(books, KeyringAccess(desk.keyring), key, desk.clock.now())


ADD: Final = Action(kind=ProposalKind.OPERATORS, name="add", base=_free, apply=_add)


@operator.command(
    "add",
    examples="""
    tallystick operator add ann --role operator --key-out ann.key
    TALLYSTICK_OPERATOR_KEY_FILE=ann.key tallystick operator add bo --role approver --key-out bo.key
    """,
)
@click.argument("person")
@click.option("--role", type=click.Choice([role.value for role in operators.STAFF]), required=True)
@life
@key_out
@pass_app
def add(app: App, person: str, role: str, expires: int, key_out: Path) -> None:
    """Register a person, and make their key.

    An operator changes things, an approver approves what an operator proposed, an auditor only looks. From the first
    one on, every command wants the key of a registered person. Give each person one name: what they propose they
    cannot approve under any of their keys. With four_eyes.operators in the settings, the key opens nothing before
    somebody else approved it.
    """
    refuse_existing(key_out)

    async def work(desk: Office) -> tuple[NewKey, Acted]:
        made = access.make(
            KeyringAccess(desk.keyring),
            desk.clock,
            desk.randomness,
            holder=person,
            role=Role(role),
            scopes=GRANTS[Role(role)],
            live=True,
            life=expires,
        )
        subject = {"person": person, "role": role, "key": msgspec.json.encode(made.key).decode()}
        return made, await desk.store.transact(
            lambda books: act_at(app, desk, books, ADD, subject, f"{person} as {role}")
        )

    made, acted = app.at_desk(work)
    write_new(key_out, f"{made.token.reveal()}\n".encode(), PRIVATE)
    if acted.proposal is None:
        app.show(view(made.key, made.key.created_at, key_file=str(key_out)))
    else:
        app.show(acted)


@operator.command("list", examples="tallystick operator list --json")
@pass_app
def list_(app: App) -> None:
    """List the keys of all operators, oldest first: those that are suspended or over, too."""

    async def read(books: Books) -> tuple[list[ApiKey], dict[str, Millis]]:
        return await operators.registered(books), await books.key_uses()

    async def work(desk: Office) -> list[KeyView]:
        keys, uses = await desk.store.read(read)
        return [view(key, desk.clock.now(), uses.get(key.id)) for key in keys]

    app.show_all(app.at_desk(work, needs=operators.READ), COLUMNS)


@operator.command(
    "rotate", examples="TALLYSTICK_OPERATOR_KEY_FILE=bo.key tallystick operator rotate --key-out bo-2.key"
)
@click.option(
    "--overlap", type=Duration(), default="24h", show_default=True, help="How long your present key still counts."
)
@life
@key_out
@pass_app
def rotate(app: App, overlap: int, expires: int, key_out: Path) -> None:
    """Make a new key for yourself.

    Do so once when you were given your first one: whoever made that may have kept it.
    """
    refuse_existing(key_out)

    async def work(desk: Office, books: Books) -> NewKey:
        access_keys = KeyringAccess(desk.keyring)
        return await access.rotate(
            books, access_keys, desk.clock, desk.randomness, app.operator_key_id, life=expires, overlap=overlap
        )

    made = app.at_desk(lambda desk: desk.store.transact(lambda books: work(desk, books)), needs=operators.READ)
    hand_over(app, made, key_out)


@operator.command("suspend", examples="tallystick operator suspend bo")
@click.argument("person")
@pass_app
def suspend(app: App, person: str) -> None:
    """Make all keys of a person useless, at once and for good."""

    async def work(desk: Office) -> list[KeyView]:
        access_keys, now = KeyringAccess(desk.keyring), desk.clock.now()
        keys = await desk.store.transact(lambda books: operators.suspend(books, access_keys, person, now))
        return [view(key, now) for key in keys]

    app.show_all(app.at_desk(work), COLUMNS)
