"""`tallystick apikey`: keys by which merchants call the platform's API."""

from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick.bootstrap.office import Office
from tallystick.channels import access, operators
from tallystick.channels.access import GRANTS, NewKey
from tallystick.channels.model import ApiKey, Role, Scope
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.enrolments import Duration
from tallystick.cli.inputs import CommaList, new_path, refuse_existing, write_new
from tallystick.delivery.books import Books
from tallystick.runtime import Millis
from tallystick.security.access_keys import KeyringAccess

PRIVATE: Final = 0o600
COLUMNS: Final = ("id", "holder", "scopes", "mode", "state", "expires_at", "used_at")
SCOPES: Final = tuple(scope.value for scope in GRANTS[Role.MERCHANT])


class KeyView(Struct, frozen=True, kw_only=True):
    """A key as operators see it; the key itself is only in `key_file`, once. `used_at` is exact to the hour."""

    id: str
    holder: str
    role: Role
    scopes: tuple[Scope, ...]
    mode: str
    state: str
    created_at: Millis
    expires_at: Millis
    used_at: Millis | None = None
    key_file: str | None = None


key_out = click.option("--key-out", type=new_path, required=True, help="A new file for the key made here.")
life = click.option("--expires", type=Duration(), default="365d", show_default=True, help="How long the key lives.")


@click.group(cls=Group, examples="tallystick apikey list")
def apikey() -> None:
    """Give merchants keys for the platform's API, rotate and revoke them."""


@apikey.command(
    "add",
    examples="""
    tallystick apikey add bookshop --key-out bookshop.key
    tallystick apikey add bookshop --test --scopes order,read --expires 30d --key-out test.key
    """,
)
@click.argument("holder")
@click.option(
    "--scopes",
    type=CommaList(SCOPES),
    default="order,read",
    show_default=True,
    help="order: create payments and supply the merchant's own half; read: see them; refund: ask for refunds.",
)
@click.option("--test", "test_mode", is_flag=True, help="A key for test mode: it never moves money.")
@life
@key_out
@pass_app
def add(app: App, holder: str, scopes: tuple[str, ...], expires: int, key_out: Path, *, test_mode: bool) -> None:
    """Give a merchant a key.

    What belongs to HOLDER stays when keys are rotated. No scope completes a payment: the other half of its credential
    comes over another channel. The key is written once; the platform keeps a digest of it.
    """
    refuse_existing(key_out)

    async def work(desk: Office) -> NewKey:
        keys = KeyringAccess(desk.keyring)
        made = access.make(
            keys,
            desk.clock,
            desk.randomness,
            holder=holder,
            role=Role.MERCHANT,
            scopes=frozenset(Scope(scope) for scope in scopes),
            live=not test_mode,
            life=expires,
        )
        await desk.store.transact(lambda books: access.add(books, keys, made.key, made.key.created_at))
        return made

    hand_over(app, app.at_desk(work), key_out)


@apikey.command("list", examples="tallystick apikey list --json")
@pass_app
def list_(app: App) -> None:
    """List all keys, oldest first: revoked and expired ones too."""

    async def work(desk: Office) -> list[KeyView]:
        now = desk.clock.now()
        keys, uses = await desk.store.read(_keys)
        return [view(key, now, uses.get(key.id)) for key in keys if key.role is Role.MERCHANT]

    app.show_all(app.at_desk(work, needs=operators.READ), COLUMNS)


@apikey.command(
    "rotate",
    examples="tallystick apikey rotate key_0f6b7c2d9e8a41538c6d7e9fa0b1c2d3 --overlap 24h --key-out bookshop-2.key",
)
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", type=Duration(), default="24h", show_default=True, help="How long the old key still opens the API."
)
@life
@key_out
@pass_app
def rotate(app: App, key_id: str, overlap: int, expires: int, key_out: Path) -> None:
    """Make a key's successor, with the same holder and scopes; the old one is over after the overlap."""
    refuse_existing(key_out)

    async def work(desk: Office, books: Books) -> NewKey:
        access_keys = KeyringAccess(desk.keyring)
        return await access.rotate(
            books, access_keys, desk.clock, desk.randomness, key_id, life=expires, overlap=overlap
        )

    hand_over(app, app.at_desk(lambda desk: desk.store.transact(lambda books: work(desk, books))), key_out)


@apikey.command("revoke", examples="tallystick apikey revoke key_0f6b7c2d9e8a41538c6d7e9fa0b1c2d3")
@click.argument("key_id", metavar="ID")
@pass_app
def revoke(app: App, key_id: str) -> None:
    """Make a key useless at once and for good."""

    async def work(desk: Office) -> KeyView:
        access_keys, now = KeyringAccess(desk.keyring), desk.clock.now()
        key = await desk.store.transact(lambda books: access.revoke(books, access_keys, key_id, now))
        return view(key, now)

    app.show(app.at_desk(work))


def hand_over(app: App, made: NewKey, out: Path) -> None:
    """Write a key made here to its file, for its owner only, and show what it is."""
    write_new(out, f"{made.token.reveal()}\n".encode(), PRIVATE)
    app.show(view(made.key, made.key.created_at, key_file=str(out)))


def view(key: ApiKey, now: Millis, used_at: Millis | None = None, *, key_file: str | None = None) -> KeyView:
    """Show a key without its digest."""
    state = "revoked" if key.revoked_at is not None else "current" if now < key.expires_at else "over"
    return KeyView(
        id=key.id,
        holder=key.holder,
        role=key.role,
        scopes=tuple(sorted(key.scopes)),
        mode="live" if key.live else "test",
        state=state,
        created_at=key.created_at,
        expires_at=key.expires_at,
        used_at=used_at,
        key_file=key_file,
    )


async def _keys(books: Books) -> tuple[list[ApiKey], dict[str, Millis]]:
    return await books.api_keys(), await books.key_uses()
