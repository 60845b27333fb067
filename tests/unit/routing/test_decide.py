"""Which back end: institution id, longest issuer rule, currency for co-badged cards, priority, health, allowed list."""

import pytest

from tallystick.assembly.facts import CredentialKind, RoutingFacts
from tallystick.errors import NoRoute, Unavailable
from tallystick.routing.decide import decide, longest_rule
from tallystick.routing.institutions import STARTING_RULES, new_institution_id
from tallystick.routing.model import BackEnd, IssuerRule, RoutingTable, Status
from tallystick.testing.clock import SeededRandomness
from tallystick.testing.platform import bank

UNIONPAY = bank("10000001", name="UnionPay", schemes=frozenset({"unionpay"}))
VISA = bank("10000002", name="VISA", schemes=frozenset({"visa"}))
WALLET = bank("10000003", name="Wallet", schemes=frozenset({"wallet"}))


def table(*back_ends: BackEnd, rules: tuple[IssuerRule, ...] = STARTING_RULES, version: int = 7) -> RoutingTable:
    return RoutingTable(version=version, back_ends=back_ends, issuer_rules=rules)


def facts(issuer: str | None = None, currency: str = "CNY", **others: object) -> RoutingFacts:
    return RoutingFacts(kind=CredentialKind.CARD, currency=currency, issuer=issuer, **others)  # type: ignore[arg-type]


def chosen(wanted: RoutingFacts, *back_ends: BackEnd) -> list[str]:
    return [back_end.name for back_end in decide(wanted, table(*back_ends)).candidates]


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [("621214260", ["UnionPay"]), ("810000000", ["UnionPay"]), ("817999999", ["UnionPay"]), ("411111111", ["VISA"])],
)
def test_a_card_goes_to_the_back_end_of_its_issuer(issuer: str, expected: list[str]) -> None:
    assert expected == chosen(facts(issuer), UNIONPAY, VISA, WALLET)


@pytest.mark.parametrize("issuer", ["818000000", "511111111", "", "610000000"])
def test_a_card_of_no_known_issuer_has_no_route(issuer: str) -> None:
    with pytest.raises(NoRoute):
        decide(facts(issuer), table(UNIONPAY, VISA, WALLET))


@pytest.mark.parametrize(
    ("issuer", "prefix"),
    [
        ("621234567", "621234567"),
        ("621234560", "62123456"),
        ("621234500", "6212345"),
        ("621234000", "621234"),
        ("621000000", "62"),
    ],
)
def test_the_longest_prefix_of_up_to_nine_digits_wins(issuer: str, prefix: str) -> None:
    prefixes = ("62", "621234", "6212345", "62123456", "621234567")
    rules = tuple(IssuerRule(prefix=prefix, schemes=("visa",)) for prefix in prefixes)
    for order in (rules, rules[::-1]):
        rule = longest_rule(issuer, order)
        assert rule is not None
        assert prefix == rule.prefix


@pytest.mark.parametrize(("currency", "first"), [("CNY", "UnionPay"), ("USD", "UnionPay"), ("EUR", "UnionPay")])
def test_a_co_badged_card_goes_first_to_the_scheme_its_rule_names_first(currency: str, first: str) -> None:
    assert first == chosen(facts("439225000", currency), VISA, UNIONPAY)[0]


@pytest.mark.parametrize(("currency", "expected"), [("CNY", ["UnionPay", "VISA"]), ("USD", ["VISA", "UnionPay"])])
def test_a_co_badged_card_goes_to_unionpay_when_the_order_is_in_cny(currency: str, expected: list[str]) -> None:
    rules = (IssuerRule(prefix="4", schemes=("visa", "unionpay")),)
    decision = decide(facts("439225000", currency), table(UNIONPAY, VISA, rules=rules))
    assert expected == [back_end.name for back_end in decision.candidates]


def test_a_smaller_priority_is_preferred_within_a_scheme_and_ties_are_settled_by_id() -> None:
    first = bank("10000009", name="First", schemes=frozenset({"unionpay"}), priority=1)
    twin = bank("10000000", name="Twin", schemes=frozenset({"unionpay"}))
    assert ["First", "Twin", "UnionPay"] == chosen(facts("621214260"), UNIONPAY, twin, first)


@pytest.mark.parametrize("status", [Status.DOWN, Status.DRAINING, Status.SUSPENDED])
def test_only_active_back_ends_are_candidates_and_the_reason_names_the_others(status: Status) -> None:
    away = bank("10000009", name="Away", schemes=frozenset({"unionpay"}), priority=1, status=status)
    decision = decide(facts("621214260"), table(UNIONPAY, away))
    assert (UNIONPAY,) == decision.candidates
    assert any("Away" in line and status in line for line in decision.reason)


def test_a_decision_without_candidates_is_no_missing_route() -> None:
    assert [] == chosen(facts("411111111"), bank("1", schemes=frozenset({"visa"}), status=Status.DOWN))


def test_the_allowed_list_and_the_currencies_narrow_the_choice() -> None:
    dollars = bank("10000009", name="Dollars", schemes=frozenset({"visa"}), currencies=frozenset({"USD"}))
    assert ["Dollars"] == chosen(facts("411111111", "USD", allowed=("10000009",)), VISA, dollars)
    assert ["VISA"] == chosen(facts("411111111", "EUR"), VISA, dollars)
    with pytest.raises(NoRoute):
        decide(facts("411111111", "EUR", allowed=("10000009",)), table(VISA, dollars))


def test_the_institution_id_of_the_element_decides_alone() -> None:
    assert ["Wallet"] == chosen(facts("621214260", institution="10000003"), UNIONPAY, VISA, WALLET)
    with pytest.raises(NoRoute):
        decide(facts("621214260", institution="10000099"), table(UNIONPAY))
    with pytest.raises(NoRoute):
        decide(facts("621214260", institution="10000003", allowed=("10000001",)), table(UNIONPAY, WALLET))


def test_an_account_goes_by_its_scheme() -> None:
    account = RoutingFacts(kind=CredentialKind.ACCOUNT, currency="CNY", scheme="wallet")
    assert ["Wallet"] == chosen(account, UNIONPAY, WALLET)


def test_the_decision_names_the_version_of_its_table() -> None:
    assert 42 == decide(facts("621214260"), table(UNIONPAY, version=42)).version


def test_routing_has_no_way_to_see_more_than_facts() -> None:
    assert {"kind", "currency", "institution", "issuer", "scheme", "allowed"} == set(RoutingFacts.__struct_fields__)


def test_an_institution_id_is_drawn_until_it_is_unused_and_has_a_fixed_length() -> None:
    drawn = new_institution_id(table(), SeededRandomness(5))
    assert (8, True) == (len(drawn), drawn.isdigit())
    again = new_institution_id(table(bank(drawn)), SeededRandomness(5))
    assert drawn != again


def test_a_table_without_a_free_institution_id_is_told() -> None:
    class Stuck(SeededRandomness):
        def below(self, bound: int) -> int:
            return 7

    with pytest.raises(Unavailable):
        new_institution_id(table(bank("00000007")), Stuck())
