"""`tallystick init`: make a platform's data directory."""

import json
from typing import Final

import click
from msgspec import Struct

from tallystick.bootstrap.layout import PLATFORM_URI, create
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.presenting import Presenting
from tallystick.bootstrap.storing import migrate
from tallystick.bootstrap.wrapping import check_protection, first_wrapper
from tallystick.cli.app import App, Command, pass_app
from tallystick.config import FILE_NAME, parse
from tallystick.crypto import x509
from tallystick.routing.changes import begin

PORT_MAX: Final = 65_535

SETTINGS: Final = """\
# Settings of one Tallystick platform. A line that begins with # is a default or an example.
# The environment overrides this file: TALLYSTICK_GATEWAY__PORT=9443 stands for port in [gateway].
# Secrets never stand here: TALLYSTICK_SMTP__PASSWORD_FILE and TALLYSTICK_SMS__TOKEN_FILE name files that hold them.

[gateway]
# The address that channels, merchants and institutions connect to.
host = {host}
port = {port}
# Host names (or IP addresses) in the platform's certificate; profiles name the first one.
names = {names}

# What protects the key files: file (their mode alone), sealed-file (a passphrase besides, whose file is named in
# TALLYSTICK_KEYS__PASSPHRASE_FILE), pkcs11 (a key in a hardware token, whose PIN's file is named in
# TALLYSTICK_KEYS__PIN_FILE), or shares (a key of custodians, who give their shares on the terminal or by
# TALLYSTICK_KEYS__SHARES_FILE). "tallystick keys protect" goes from one to another.
# [keys]
# provider = "pkcs11"
# module = "/usr/lib/softhsm/libsofthsm2.so"
# token = "payments"
# key = "tallystick-kek"

# The mail server that takes codes and dynamic numbers. security: tls, starttls, or none (this machine only).
# [smtp]
# host = "mail.example"
# port = 587
# sender = "numbers@pay.example"
# security = "starttls"
# username = "tallystick"

# Who may change the routing table: with four_eyes, a change counts when a second operator has approved it.
# [routing]
# four_eyes = true

# What else one person only proposes, and how many others approve it: see tallystick proposals.
# [four_eyes]
# keys = true
# ca = true
# limits = true
# operators = true
# approvals = 1

# The SMS provider: url takes a POST for each message; its bearer token comes from TALLYSTICK_SMS__TOKEN_FILE.
# [sms]
# url = "https://sms.example/messages"

# Many nodes keep everything in one PostgreSQL database (docs/operations/database.md); its connection string comes from
# TALLYSTICK_STORE__DSN_FILE. `ca` certifies its server, unless that is on this machine.
# [store]
# kind = "postgres"
# ca = "database-ca.pem"

# Webhooks go to public addresses with a certificate of a public authority, unless said otherwise.
# [webhooks]
# allow_private = true
# ca = "receivers.pem"

# The payer's two pages, each an origin of its own (docs/howto/pages.md).
# [pages]
# pc_url = "https://pay.example"
# phone_url = "https://phone.example"
# independence = [ {{ score = 2 }}, {{ score = 3, amount = 100000 }} ]

# Split policies beside those built in (card, card-3, account, login, card-shares-2, card-shares-3, account-shares-2).
# [[policies]]
# name = "card-expiry-by-phone"
# kind = "card"
# parts = [ {{ required = ["pan"] }}, {{ required = ["expiry", "pin_block"] }} ]
"""


class Created(Struct, frozen=True):
    """What `init` made."""

    data: str
    settings: str
    trust: str
    listens: str


@click.command(
    cls=Command,
    examples="""
    tallystick init
    tallystick --data /srv/tallystick init --host 0.0.0.0 --name pay.example
    """,
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, PORT_MAX), default=8443, show_default=True)
@click.option(
    "--name", "names", multiple=True, default=("localhost",), show_default=True, help="A host name of the platform."
)
@pass_app
def init(app: App, host: str, port: int, names: tuple[str, ...]) -> None:
    """Make a platform's data directory.

    In it are settings to edit, keys, a certification authority, the platform's certificate and an empty store. Nothing
    is ever overwritten: a directory that holds a platform is refused.
    """
    # A name that no certificate can carry is refused before anything is made.
    x509.make_csr(x509.new_private_key(), uri=PLATFORM_URI, dns=names, common_name="Tallystick platform")
    text = SETTINGS.format(host=json.dumps(host), port=port, names=json.dumps(list(names)))
    settings = parse(text)
    keys = settings.keys
    check_protection(keys)
    layout = create(app.data, text, lambda: first_wrapper(app.data, keys))
    if settings.store.kind == "postgres":
        migrate(layout, settings.store, ("pre", "post"))
    app.at_desk(_furnish)
    app.show(
        Created(
            data=str(layout.root),
            settings=str(layout.root / FILE_NAME),
            trust=str(layout.ca / "trust.pem"),
            listens=f"{host}:{port}",
        )
    )


async def _furnish(desk: Office) -> None:
    """Make what `serve` would make at its first start, so that every command works before it."""
    await Presenting(desk).ensure()
    await desk.store.transact(lambda books: begin(books, desk.clock.now()))
