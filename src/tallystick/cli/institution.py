"""`tallystick institution`: register the back ends (patent claims 1, 3, 33)."""

from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick.adapters.connectors.kinds import BUILT_IN
from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli import administer
from tallystick.cli.administer import NewInstitution
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import CommaList, ConnectorName, file_path, read_private_object
from tallystick.cli.live_test import live_test
from tallystick.cli.output import Failure
from tallystick.cli.route_desk import Submitted, how_to_approve
from tallystick.crypto.signing import load_public
from tallystick.errors import Misconfigured
from tallystick.routing.model import BackEnd, ChangeState, NumberPolicy, Status
from tallystick.routing.table import SCHEME
from tallystick.security.orders import CURRENCIES
from tallystick.vault.periods import period_at

SETTABLE: Final = (Status.ACTIVE, Status.DRAINING, Status.SUSPENDED)  # DOWN is the health check's word
COLUMNS: Final = ("id", "name", "connector", "status", "schemes", "priority", "currencies", "numbers", "issuer")
STEP_COLUMNS: Final = ("step", "passed", "ms", "detail")
KIND_HELP: Final = f"{', '.join(sorted(kind.name for kind in BUILT_IN))}, or that of an installed plug-in."
SETTINGS_REMEDY: Final = "Correct what is named in the file given to --settings."
RENEWAL_REMEDY: Final = "Give --renew-at as HH:MM and --zone as a name of the tz database, such as Asia/Shanghai."


class Echo(Struct, frozen=True):
    """The outcome of a test."""

    institution: str
    name: str
    answers: bool


@click.group(cls=Group, examples="tallystick institution list")
def institution() -> None:
    """Register, connect, test and switch institutions (back ends)."""


@institution.command(
    "add",
    examples="""
    tallystick institution add UnionPay --connector iso8583 --schemes unionpay --currencies CNY,HKD --issuer
    tallystick institution add Qianbao --connector rest --schemes qianbao --numbers platform --zone Asia/Shanghai
    tallystick institution add Rehearsal --connector test --schemes test,visa,unionpay --sandbox
    """,
)
@click.argument("name")
@click.option("--connector", type=ConnectorName(), required=True, help=KIND_HELP)
@click.option("--schemes", type=CommaList(), required=True, help="Card or account schemes it serves.")
@click.option("--priority", type=int, default=100, show_default=True, help="A smaller one is preferred.")
@click.option("--currencies", type=CommaList(CURRENCIES), default=(), help="Those it takes; without it, all.")
@click.option("--issuer", is_flag=True, help="It issued its cards: the vault may store their PINs.")
@click.option("--sandbox", is_flag=True, help="It moves no money: payments of test mode go here, and no others.")
@click.option(
    "--numbers",
    type=click.Choice([policy.value for policy in NumberPolicy]),
    default=NumberPolicy.NONE.value,
    show_default=True,
    help="Who makes its payers' dynamic numbers.",
)
@click.option("--renew-at", default="04:00", show_default=True, help="When they are renewed, local time.")
@click.option("--zone", default="UTC", show_default=True, help="The time zone of --renew-at.")
@click.option("--in-flight", type=click.IntRange(1), default=256, show_default=True, help="Requests at a time.")
@click.option("--per-second", type=click.IntRange(0), default=0, help="Requests a second; without it, any number.")
@click.option("--failures", type=click.IntRange(1), default=5, show_default=True, help="In a row: opens its circuit.")
@pass_app
def add(
    app: App,
    name: str,
    connector: str,
    schemes: tuple[str, ...],
    priority: int,
    currencies: tuple[str, ...],
    *,
    issuer: bool,
    sandbox: bool,
    numbers: str,
    renew_at: str,
    zone: str,
    in_flight: int,
    per_second: int,
    failures: int,
) -> None:
    """Register an institution under a new id.

    The id is random and of fixed length. The institution is suspended until it is connected. With four_eyes in the
    settings, it waits for a second operator first: see `routes changes`.
    """
    if not all(SCHEME.fullmatch(scheme) for scheme in schemes):
        raise click.BadParameter("a scheme has 2 to 32 small letters, digits or hyphens", param_hint="--schemes")

    async def register(desk: Office) -> NewInstitution:
        _check_renewal(renew_at, zone, desk)
        return await administer.add_institution(
            desk,
            name=name,
            connector=connector,
            schemes=frozenset(schemes),
            priority=priority,
            currencies=frozenset(currencies),
            issuer=issuer,
            sandbox=sandbox,
            numbers=NumberPolicy(numbers),
            renew_at=renew_at,
            zone=zone,
            in_flight_max=in_flight,
            per_second_max=per_second,
            failures_max=failures,
            author=app.operator,
        )

    made = app.at_desk(register)
    app.show(made)
    if made.change is not None and not app.as_json:
        app.show(Submitted(state=ChangeState.PROPOSED, change=made.change, next=how_to_approve(made.change)))


@institution.command(
    "connect",
    examples="""
    tallystick institution connect 40718253 --settings unionpay.json
    tallystick institution connect 51920374 --settings qianbao.json --sender-key qianbao.pem
    """,
)
@click.argument("institution_id")
@click.option("--settings", type=file_path, required=True, help="Its connector's settings: JSON, mode 0600.")
@click.option("--sender-key", type=file_path, help="The public key (PEM) by which it signs messages to us.")
@pass_app
def connect(app: App, institution_id: str, settings: Path, sender_key: Path | None) -> None:
    """Set and seal an institution's connector.

    The settings are checked, sealed in the store, and make the institution active. They may hold keys: their file must
    be closed to others, and may be destroyed afterwards.
    """
    written = read_private_object(settings)
    pem = sender_key.read_bytes() if sender_key is not None else None
    if pem is not None:
        load_public(pem)
    key = pem.decode() if pem is not None else None

    async def work(desk: Office) -> BackEnd:
        try:
            return await administer.set_connector(desk, institution_id, written, key)
        except Misconfigured as error:
            raise Failure.of(error, SETTINGS_REMEDY) from error

    app.show(app.at_desk(work))


@institution.command("list", examples="tallystick institution list --json")
@pass_app
def list_(app: App) -> None:
    """List all institutions with their status."""
    table = app.at_desk(lambda desk: desk.store.read(lambda books: books.routing_table()), needs=operators.READ)
    app.show_all(table.back_ends, COLUMNS)


@institution.command("status", examples="tallystick institution status 40718253 draining")
@click.argument("institution_id")
@click.argument("status", type=click.Choice([status.value for status in SETTABLE]))
@pass_app
def set_status(app: App, institution_id: str, status: str) -> None:
    """Switch an institution on or off.

    Only an active one gets new payments; a draining one ends those it has. Status is live: it makes no new version of
    the routing table.
    """
    app.show(app.at_desk(lambda desk: administer.set_status(desk, institution_id, Status(status))))


@institution.command("test", examples="tallystick institution test 40718253")
@click.argument("institution_id")
@pass_app
def test(app: App, institution_id: str) -> None:
    """Prove an institution's link, step by step.

    Its settings, TCP and TLS with its certificate, sign-on, and an echo with its time; then what its connector can do
    about an unknown outcome. Everything goes over its own connector, with the platform's certificate and keys. No
    payment is made. A step that fails ends the test with its remedy.
    """
    tested, failure = app.at_desk(lambda desk: live_test(desk, institution_id))
    if app.as_json:
        app.show(tested)
    else:
        app.show(Echo(institution=tested.institution, name=tested.name, answers=tested.answers))
        app.show_all(tested.steps, STEP_COLUMNS)
    if failure is not None:
        raise failure


def _check_renewal(renew_at: str, zone: str, desk: Office) -> None:
    """Refuse a time or zone by which no number could ever be renewed."""
    probe = BackEnd(
        id="", name="", connector="", status=Status.SUSPENDED, schemes=frozenset(), renew_at=renew_at, zone=zone
    )
    try:
        period_at(probe, desk.clock.now())
    except Misconfigured as error:
        raise Failure.of(error, RENEWAL_REMEDY) from error
