"""`tallystick route`: show and explain the routing table (patent claims 3, 5, 11)."""

import re
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct

from tallystick import limits
from tallystick.assembly.facts import CredentialKind, RoutingFacts
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import ASK, ask, file_path
from tallystick.cli.institution import SCHEME
from tallystick.cli.output import Failure
from tallystick.errors import NoRoute
from tallystick.routing.decide import decide
from tallystick.routing.model import IssuerRule, RoutingTable
from tallystick.secret import MASK
from tallystick.security.folding import fold_digits
from tallystick.security.orders import CURRENCIES

COLUMNS: Final = ("rank", "id", "name", "connector", "status", "schemes", "priority", "currencies")
PREFIX: Final = re.compile(rf"[0-9]{{1,{limits.ISSUER_DIGITS}}}")
NUMBER: Final = re.compile(rf"[0-9]{{1,{limits.PAN_MAX}}}")
NO_ROUTE_REMEDY: Final = (
    "Look at tallystick route table and route rules; add an institution, or import rules that know these digits."
)
RULES_REMEDY: Final = 'Write what `tallystick route rules --json` prints: [{"prefix": "62", "schemes": ["unionpay"]}]'


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a payment goes where it goes; `candidates` are ids, best first."""

    asked: str
    currency: str
    version: int
    candidates: tuple[str, ...]
    reasons: tuple[str, ...]


class Version(Struct, frozen=True, kw_only=True):
    """A version of the routing table."""

    version: int
    rules: int


@click.group(cls=Group, examples="tallystick route explain 622202")
def route() -> None:
    """Show the routing table, and explain where a payment goes."""


@route.command(
    "explain",
    examples=f"""
    tallystick route explain 622202123
    tallystick route explain {ASK} --currency USD
    tallystick route explain --institution 40718253
    tallystick route explain --scheme qianbao
    """,
)
@click.argument("number", required=False)
@click.option("--institution", help="An institution id instead of a card number.")
@click.option("--scheme", help="An account scheme instead of a card number.")
@click.option("--currency", type=click.Choice(sorted(CURRENCIES)), default="CNY", show_default=True, metavar="CODE")
@pass_app
def explain(app: App, number: str | None, institution: str | None, scheme: str | None, currency: str) -> None:
    """Explain where a payment goes, and why.

    Routing sees the leading 9 digits of a card number and no more: they are all that is needed here. A whole number on
    a command line can be seen by other users of this machine; write - to be asked for it.
    """
    if sum(given is not None for given in (number, institution, scheme)) != 1:
        raise click.UsageError("Give exactly one of NUMBER, --institution and --scheme.")
    facts, asked = _facts(number, institution, scheme, currency)
    table = _table(app)
    try:
        decision = decide(facts, table)
    except NoRoute as error:
        raise Failure.of(error, NO_ROUTE_REMEDY) from error
    app.show(
        Explanation(
            asked=asked,
            currency=currency,
            version=decision.version,
            candidates=tuple(back_end.id for back_end in decision.candidates),
            reasons=decision.reason,
        )
    )


@route.command("table", examples="tallystick route table --json")
@pass_app
def show_table(app: App) -> None:
    """Show the routing table.

    It lists all institutions that payments may go to, with the table's version; JSON has the issuer rules as well.
    """
    table = _table(app)
    if app.as_json:
        app.show(table)
        return
    app.show(Version(version=table.version, rules=len(table.issuer_rules)))
    app.show_all(table.back_ends, COLUMNS[1:])


@route.command("rules", examples="tallystick route rules --json > rules.json")
@pass_app
def rules(app: App) -> None:
    """List the issuer rules.

    They say which leading digits belong to which schemes, best first; the longest prefix counts.
    """
    app.show_all(_table(app).issuer_rules, ("prefix", "schemes"))


@route.command("import-rules", examples="tallystick route import-rules rules.json")
@click.argument("file", type=file_path)
@pass_app
def import_rules(app: App, file: Path) -> None:
    """Replace all issuer rules by those of a file.

    The file is JSON in the form that `tallystick route rules --json` prints.
    """
    read = _read_rules(file)
    version = app.at_desk(lambda desk: desk.store.transact(lambda books: books.put_issuer_rules(read)))
    app.show(Version(version=version, rules=len(read)))


def _table(app: App) -> RoutingTable:
    return app.at_desk(lambda desk: desk.store.read(lambda books: books.routing_table()))


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


def _read_rules(file: Path) -> tuple[IssuerRule, ...]:
    try:
        read = msgspec.json.decode(file.read_bytes(), type=tuple[IssuerRule, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failure(f"{file.name} does not hold issuer rules: {error}", RULES_REMEDY) from error
    for rule in read:
        if not PREFIX.fullmatch(rule.prefix):
            detail = f"a prefix has 1 to {limits.ISSUER_DIGITS} digits: routing sees no more of a card number"
            raise Failure(detail, RULES_REMEDY)
        if not rule.schemes or not all(SCHEME.fullmatch(scheme) for scheme in rule.schemes):
            raise Failure(f"the rule of prefix {rule.prefix} has no schemes, or one of a wrong form", RULES_REMEDY)
    if len({rule.prefix for rule in read}) != len(read):
        raise Failure("two rules have the same prefix", RULES_REMEDY)
    return read
