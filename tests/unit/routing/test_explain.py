"""An explanation names the range and its source, and says of every back end why it stands where it stands."""

from tallystick.assembly.facts import CredentialKind, RoutingFacts
from tallystick.routing.explain import explain, standings
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import RoutingTable, Status
from tallystick.testing.platform import bank

UNIONPAY = bank("10000001", name="UnionPay", schemes=frozenset({"unionpay"}))
SECOND = bank("10000002", name="Second", schemes=frozenset({"unionpay"}), priority=200)
VISA = bank("10000003", name="VISA", schemes=frozenset({"visa"}), currencies=frozenset({"USD"}))
AWAY = bank("10000004", name="Away", schemes=frozenset({"visa", "unionpay"}), status=Status.DRAINING)
WALLET = bank("10000005", name="Wallet", schemes=frozenset({"wallet"}))
RULES = (IssuerRule(low="62", high="62", schemes=("unionpay", "visa"), source="a list of March"),)
TABLE = RoutingTable(version=7, back_ends=(UNIONPAY, SECOND, VISA, AWAY, WALLET), issuer_rules=RULES)


def card(**facts: object) -> RoutingFacts:
    usual = {"kind": CredentialKind.CARD, "currency": "CNY", "issuer": "622202123"}
    return RoutingFacts(**usual | facts)  # type: ignore[arg-type]


def why(facts: RoutingFacts) -> dict[str, tuple[int | None, str]]:
    return {each.name: (each.rank, each.why) for each in standings(facts, TABLE)}


def test_the_range_its_source_and_the_version_are_named() -> None:
    found = explain("card 622202123", card(), TABLE)
    assert (7, "62", "a list of March", "CNY") == (found.version, found.range, found.source, found.currency)
    assert (("unionpay", "visa"), ("10000001", "10000002")) == (found.schemes, found.candidates)


def test_every_back_end_has_its_standing() -> None:
    assert {
        "UnionPay": (1, "scheme unionpay, priority 100"),
        "Second": (2, "scheme unionpay, priority 200"),
        "Away": (None, "is draining; scheme unionpay, priority 100"),
        "VISA": (None, "does not take CNY"),
        "Wallet": (None, "serves wallet"),
    } == why(card())


def test_a_choice_and_an_allowed_list_are_reasons() -> None:
    assert (None, "serves unionpay") == why(card(brand="visa"))["UnionPay"]
    assert (1, "scheme visa, priority 100") == why(card(brand="visa", currency="USD"))["VISA"]
    assert (None, "is not among those the payment allows") == why(card(allowed=("10000002",)))["UnionPay"]


def test_a_named_institution_keeps_all_others_away() -> None:
    named = why(RoutingFacts(kind=CredentialKind.LOGIN, currency="CNY", institution="10000005"))
    assert (1, "priority 100") == named["Wallet"]
    assert {(None, "another institution is named")} == {named[name] for name in ("UnionPay", "VISA", "Away")}


def test_where_nothing_is_known_nothing_has_a_rank() -> None:
    unknown = explain("card 990000000", card(issuer="990000000"), TABLE)
    assert (None, None, (), ()) == (unknown.range, unknown.source, unknown.schemes, unknown.candidates)
    assert {None} == {each.rank for each in standings(card(issuer="990000000"), TABLE)}
