"""`tallystick user`: register payers and keep their credentials (patent claims 6, 7)."""

from pathlib import Path
from typing import Final

import click
import segno
from msgspec import Struct

from tallystick.bootstrap.office import Office
from tallystick.cli import administer
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import ask, file_path, new_path, read_fields, read_password, refuse_existing, write_new
from tallystick.cli.numbers import numbers
from tallystick.cli.output import Failure
from tallystick.errors import CredentialRefused
from tallystick.secret import Pan, Secret
from tallystick.security.fields import check_fields
from tallystick.vault import holding
from tallystick.vault.model import AccountCredential, CardCredential, Contact, Credential

CARD_FIELDS: Final = frozenset({"pan", "expiry", "pin_block"})
ACCOUNT_FIELDS: Final = frozenset({"account", "secret"})
PRIVATE: Final = 0o600
REFUSED_REMEDY: Final = "Give the user's name and password as registered; too many wrong tries lock for 30 minutes."

password_file = click.option(
    "--password-file", type=file_path, help="A file, mode 0600, whose first line is the password; else it is asked for."
)


class Registered(Struct, frozen=True):
    """A user just registered."""

    user: str
    username: str


class Stored(Struct, frozen=True):
    """A credential just stored."""

    username: str
    institution: str
    kind: str


class AppGiven(Struct, frozen=True):
    """The authenticator app of a user has a new key."""

    username: str
    uri_file: str | None


@click.group(cls=Group, examples="tallystick user add lihua --phone +8613800138000")
def user() -> None:
    """Register payers and store their credentials."""


user.add_command(numbers)


@user.command(
    "add",
    examples="""
    tallystick user add lihua --phone +8613800138000 --email lihua@example.org
    tallystick user add lihua --email lihua@example.org --password-file lihua.txt
    """,
)
@click.argument("username")
@click.option("--phone", help="Where dynamic numbers go by SMS, in E.164 form.")
@click.option("--email", help="Where they go by mail.")
@password_file
@pass_app
def add(app: App, username: str, phone: str | None, email: str | None, password_file: Path | None) -> None:
    """Register a payer.

    The password is asked for without echo, or is the next line of standard input: it never stands on a command line.
    """
    password = read_password(password_file, "Password", confirm=True)
    contact = Contact(phone=phone, email=email)
    user_id = app.at_desk(lambda desk: administer.add_user(desk, username=username, password=password, contact=contact))
    app.show(Registered(user=user_id, username=username))


@user.command(
    "credential",
    examples="""
    tallystick user credential lihua --institution 51920374 --kind account
    tallystick user credential lihua --institution 40718253 --from-file card.json
    """,
)
@click.argument("username")
@click.option("--institution", required=True, help="The institution id it is for.")
@click.option("--kind", type=click.Choice(["account", "card"]), help="What to ask for, without --from-file.")
@click.option("--from-file", type=file_path, help="A JSON object of its fields, mode 0600.")
@password_file
@pass_app
def credential(
    app: App,
    username: str,
    institution: str,
    kind: str | None,
    from_file: Path | None,
    password_file: Path | None,
) -> None:
    """Store or replace a payer's credential.

    It is a card or a third-party account, for one institution. It needs the payer's password: nobody can open the
    record without it. Fields of a card: pan, expiry (YYMM), and for an issuer pin_block (ISO 9564 format 1, hex).
    Fields of an account: account (scheme:name), secret.
    """
    if (kind is None) == (from_file is None):
        raise click.UsageError("Give exactly one of --kind and --from-file.")
    password = read_password(password_file, "The payer's password")
    fields = read_fields((), from_file) if from_file is not None else _ask_fields(str(kind))
    kept = _credential(check_fields(fields))

    async def store(desk: Office) -> None:
        await administer.store_credential(
            desk, username=username, password=password, institution=institution, credential=kept
        )

    try:
        app.at_desk(store)
    except CredentialRefused as error:
        raise Failure.of(error, REFUSED_REMEDY) from error
    stored_kind = "card" if isinstance(kept, CardCredential) else "account"
    app.show(Stored(username=username, institution=institution, kind=stored_kind))


@user.command(
    "app",
    examples="""
    tallystick user app lihua
    tallystick user app lihua --uri-out lihua.otpauth
    """,
)
@click.argument("username")
@click.option("--uri-out", type=new_path, help="A new file, mode 0600, for the otpauth address, instead of a QR code.")
@pass_app
def app_(app: App, username: str, uri_out: Path | None) -> None:
    """Give a payer's authenticator app a key, in the place of SMS and mail.

    The app's codes (TOTP, RFC 6238: 8 digits, 30 s) then count wherever the payer's dynamic number does. The QR code is
    shown once; it is the payer's, who points the app at it.
    """
    if uri_out is not None:
        refuse_existing(uri_out)

    async def set_up(desk: Office) -> Secret:
        return await holding.set_up(
            desk.store, desk.keyring, desk.randomness, username=username, issuer=desk.settings.gateway.names[0]
        )

    address = app.at_desk(set_up)
    if uri_out is not None:
        write_new(uri_out, address.reveal().encode(), PRIVATE)
    elif not app.as_json:
        segno.make_qr(address.reveal()).terminal(compact=True)
    app.show(AppGiven(username=username, uri_file=str(uri_out) if uri_out is not None else None))


def _ask_fields(kind: str) -> dict[str, Secret]:
    if kind == "account":
        return {"account": ask("Account (scheme:name)"), "secret": ask("Secret")}
    pan = ask("Card number")
    optional = {
        "expiry": ask("Expiry (YYMM, or empty)", optional=True),
        "pin_block": ask("PIN block (format 1, hex, or empty)", optional=True),
    }
    return {"pan": pan, **{name: value for name, value in optional.items() if len(value)}}


def _credential(fields: dict[str, Secret]) -> Credential:
    if set(fields) == ACCOUNT_FIELDS:
        return AccountCredential(account=fields["account"], secret=fields["secret"])
    if "pan" in fields and set(fields) <= CARD_FIELDS:
        return CardCredential(
            pan=Pan(fields["pan"].reveal()), expiry=fields.get("expiry"), pin_block=fields.get("pin_block")
        )
    raise Failure("these fields are no credential", "Give account and secret, or pan with expiry and pin_block.")
