"""`tallystick routes`: show and explain the routing table (patent claims 3, 5, 11)."""

import re
from typing import Final

import click
from msgspec import Struct, structs

from tallystick import limits
from tallystick.assembly.facts import CredentialKind, RoutingFacts
from tallystick.channels import operators
from tallystick.cli import route_changes
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import ASK, ask
from tallystick.cli.output import Failure
from tallystick.errors import NoRoute
from tallystick.routing import explain as explaining
from tallystick.routing.decide import decide
from tallystick.routing.explain import Explanation, Standing
from tallystick.routing.model import RoutingTable
from tallystick.secret import MASK
from tallystick.security.folding import fold_digits
from tallystick.security.orders import CURRENCIES

COLUMNS: Final = ("id", "name", "connector", "status", "schemes", "priority", "currencies")
NUMBER: Final = re.compile(rf"[0-9]{{1,{limits.PAN_MAX}}}")
NO_ROUTE_REMEDY: Final = (
    "Look at tallystick routes table and routes rules; add an institution, or import rules that know these digits."
)
SHOWN: Final = 8  # ranges named when digits are too few to tell


class Answer(Explanation, frozen=True, kw_only=True):
    """An explanation with the standing of every institution."""

    standings: tuple[Standing, ...]


class Version(Struct, frozen=True, kw_only=True):
    """A version of the routing table."""

    version: int
    rules: int
    preferences: tuple[str, ...]


@click.group(cls=Group, examples="tallystick routes explain 622202123")
def routes() -> None:
    """Show, explain and change the routing table."""


@routes.command(
    "explain",
    examples=f"""
    tallystick routes explain 622202123
    tallystick routes explain {ASK} --currency USD
    tallystick routes explain 439225001 --brand visa
    tallystick routes explain --institution 40718253
    tallystick routes explain --scheme qianbao
    """,
)
@click.argument("number", required=False)
@click.option("--institution", help="An institution id instead of a card number.")
@click.option("--scheme", help="An account scheme instead of a card number.")
@click.option("--brand", help="The brand that the payer chose for a co-badged card.")
@click.option("--currency", type=click.Choice(sorted(CURRENCIES)), default="CNY", show_default=True, metavar="CODE")
@pass_app
def explain(
    app: App, number: str | None, institution: str | None, scheme: str | None, brand: str | None, currency: str
) -> None:
    """Explain where a payment goes, and why.

    It shows the range that matched and its source, every institution with its rank or what keeps it away, and the
    order in which they are tried. Routing sees the leading 9 digits of a card number and no more: they are all that is
    needed here. A whole number on a command line can be seen by other users of this machine; write - to be asked for
    it.
    """
    if sum(given is not None for given in (number, institution, scheme)) != 1:
        raise click.UsageError("Give exactly one of NUMBER, --institution and --scheme.")
    facts, asked = _facts(number, institution, scheme, currency)
    facts = structs.replace(facts, brand=brand)
    table = _table(app)
    _refuse_too_few(facts, table)
    found = explaining.standings(facts, table)
    try:
        decide(facts, table)
    except NoRoute as error:
        others = "".join(f"; {each.name} ({each.id}): {each.why}" for each in found)
        raise Failure(f"{error.detail}{others}", NO_ROUTE_REMEDY, code=error.code) from error
    explanation = explaining.explain(asked, facts, table)
    if app.as_json:
        app.show(Answer(**structs.asdict(explanation), standings=found))
        return
    app.show(explanation)
    app.show_all(found, ("rank", "id", "name", "why"))


@routes.command("table", examples="tallystick routes table --json > table.json")
@pass_app
def show_table(app: App) -> None:
    """Show the routing table.

    It lists all institutions that payments may go to, with the table's version. JSON has the issuer rules and the
    preferences as well, in the form that `routes propose` takes.
    """
    table = _table(app)
    if app.as_json:
        app.show(table)
        return
    preferences = tuple(f"{each.currency}: {' '.join(each.schemes)}" for each in table.preferences)
    app.show(Version(version=table.version, rules=len(table.issuer_rules), preferences=preferences))
    app.show_all(table.back_ends, COLUMNS)


@routes.command("rules", examples="tallystick routes rules --json > rules.json")
@pass_app
def rules(app: App) -> None:
    """List the issuer rules.

    They say which leading digits belong to which schemes, best first; the narrowest range counts. JSON has the form
    that `routes import` takes.
    """
    app.show_all(_table(app).issuer_rules, ("low", "high", "schemes", "source"))


for command in route_changes.COMMANDS:
    routes.add_command(command)


def _table(app: App) -> RoutingTable:
    return app.at_desk(lambda desk: desk.store.read(lambda books: books.routing_table()), needs=operators.READ)


def _facts(number: str | None, institution: str | None, scheme: str | None, currency: str) -> tuple[RoutingFacts, str]:
    """Return what routing may know, and how to name it in an answer."""
    if institution is not None:
        facts = RoutingFacts(kind=CredentialKind.LOGIN, currency=currency, institution=institution)
        return facts, f"institution {institution}"
    if scheme is not None:
        return RoutingFacts(kind=CredentialKind.ACCOUNT, currency=currency, scheme=scheme), f"account scheme {scheme}"
    digits = fold_digits(ask("Card number").reveal() if number in {ASK, None} else str(number))
    if not NUMBER.fullmatch(digits):
        raise click.BadParameter(f"a card number has up to {limits.PAN_MAX} digits", param_hint="NUMBER")
    issuer = digits[: limits.ISSUER_DIGITS]
    mask = MASK if len(digits) > len(issuer) else ""
    return RoutingFacts(kind=CredentialKind.CARD, currency=currency, issuer=issuer), f"card {issuer}{mask}"


def _refuse_too_few(facts: RoutingFacts, table: RoutingTable) -> None:
    """Refuse digits that lead into several ranges: the answer would be that of one of them."""
    owners = table.index.owners(facts.issuer) if facts.issuer else ()
    if len(owners) > 1:
        known = sorted({owner.words for owner in owners if owner is not None})
        more = ", ..." if len(known) > SHOWN else ""
        detail = f"these digits are too few to tell: they lead into {', '.join(known[:SHOWN])}{more}"
        raise Failure(detail, f"Give the first {limits.ISSUER_DIGITS} digits.")
