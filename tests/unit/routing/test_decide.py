"""Which back end: institution id, narrowest issuer rule, brand of a co-badged card, priority, health, allowed list."""

import pytest
from msgspec.structs import replace

from tallystick.assembly.facts import CredentialKind, RoutingFacts
from tallystick.errors import NoRoute, Unavailable
from tallystick.routing.decide import decide, issuer_rule
from tallystick.routing.institutions import new_institution_id
from tallystick.routing.issuer_file import shipped_rules
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import BackEnd, Preference, RoutingTable, Status
from tallystick.testing.clock import SeededRandomness
from tallystick.testing.platform import bank

UNIONPAY = bank("10000001", name="UnionPay", schemes=frozenset({"unionpay"}))
VISA = bank("10000002", name="VISA", schemes=frozenset({"visa"}))
WALLET = bank("10000003", name="Wallet", schemes=frozenset({"wallet"}))


SHIPPED = shipped_rules()
CO_BADGED = (IssuerRule(low="40", high="49", schemes=("visa", "unionpay")),)


def table(*back_ends: BackEnd, rules: tuple[IssuerRule, ...] = SHIPPED, version: int = 7) -> RoutingTable:
    return RoutingTable(version=version, back_ends=back_ends, issuer_rules=rules)


def facts(issuer: str | None = None, currency: str = "CNY", **others: object) -> RoutingFacts:
    return RoutingFacts(kind=CredentialKind.CARD, currency=currency, issuer=issuer, **others)  # type: ignore[arg-type]


def chosen(wanted: RoutingFacts, *back_ends: BackEnd) -> list[str]:
    return [back_end.name for back_end in decide(wanted, table(*back_ends)).candidates]


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [("621214260", ["UnionPay"]), ("810000000", ["UnionPay"]), ("817199999", ["UnionPay"]), ("411111111", ["VISA"])],
)
def test_a_card_goes_to_the_back_end_of_its_issuer(issuer: str, expected: list[str]) -> None:
    assert expected == chosen(facts(issuer), UNIONPAY, VISA, WALLET)


@pytest.mark.parametrize("issuer", ["817200000", "511111111", "", "610000000"])
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
    rules = tuple(IssuerRule(low=prefix, high=prefix, schemes=("visa",)) for prefix in prefixes)
    for order in (rules, rules[::-1]):
        rule = issuer_rule(issuer, table(rules=order))
        assert rule is not None
        assert prefix == rule.low


def test_digits_that_lead_into_several_ranges_belong_to_none_of_them() -> None:
    rules = (
        IssuerRule(low="62", high="62", schemes=("unionpay",)),
        IssuerRule(low="6221", high="6222", schemes=("discover",)),
    )
    known = {digits: issuer_rule(digits, table(rules=rules)) for digits in ("", "6", "62", "622", "6221", "623")}
    assert {"": None, "6": None, "62": None, "622": None, "6221": rules[1], "623": rules[0]} == known


@pytest.mark.parametrize(("currency", "first"), [("CNY", "UnionPay"), ("USD", "UnionPay"), ("EUR", "UnionPay")])
def test_a_co_badged_card_goes_first_to_the_scheme_its_rule_names_first(currency: str, first: str) -> None:
    assert first == chosen(facts("439225000", currency), VISA, UNIONPAY)[0]


@pytest.mark.parametrize(("currency", "expected"), [("CNY", ["UnionPay", "VISA"]), ("USD", ["VISA", "UnionPay"])])
def test_a_co_badged_card_goes_to_unionpay_when_the_order_is_in_cny(currency: str, expected: list[str]) -> None:
    decision = decide(facts("439225000", currency), table(UNIONPAY, VISA, rules=CO_BADGED))
    assert expected == [back_end.name for back_end in decision.candidates]


def test_preferences_are_data_and_what_they_do_not_name_comes_after() -> None:
    rules = (IssuerRule(low="4", high="4", schemes=("visa", "unionpay", "cb")),)
    euros = (Preference(currency="EUR", schemes=("cb", "mada")),)
    asked = replace(table(UNIONPAY, VISA, bank("10000004", schemes=frozenset({"cb"})), rules=rules), preferences=euros)
    order = [each.id for each in decide(facts("411111111", "EUR"), asked).candidates]
    assert ["10000004", "10000002", "10000001"] == order
    assert "10000002" == decide(facts("411111111", "CNY"), asked).candidates[0].id


@pytest.mark.parametrize("currency", ["CNY", "USD"])
@pytest.mark.parametrize(("brand", "expected"), [("visa", ["VISA"]), ("unionpay", ["UnionPay"])])
def test_the_payers_choice_of_a_brand_is_binding(currency: str, brand: str, expected: list[str]) -> None:
    decision = decide(facts("439225000", currency, brand=brand), table(UNIONPAY, VISA, rules=CO_BADGED))
    assert expected == [back_end.name for back_end in decision.candidates]
    assert f"the payer chose {brand}" in decision.reason


def test_a_chosen_brand_that_is_away_or_not_served_is_replaced_by_no_other_one() -> None:
    chosen_visa = facts("439225000", brand="visa")
    away = bank("10000002", schemes=frozenset({"visa"}), status=Status.DOWN)
    assert () == decide(chosen_visa, table(UNIONPAY, away, rules=CO_BADGED)).candidates
    with pytest.raises(NoRoute):
        decide(chosen_visa, table(UNIONPAY, rules=CO_BADGED))


def test_a_choice_of_a_brand_the_card_does_not_have_is_ignored_and_said_so() -> None:
    decision = decide(facts("621214260", brand="visa"), table(UNIONPAY, VISA))
    assert (UNIONPAY,) == decision.candidates
    assert any("ignored" in line for line in decision.reason)


def test_a_scheme_that_stands_first_comes_before_a_smaller_priority() -> None:
    eager = bank("10000009", name="Eager", schemes=frozenset({"visa"}), priority=1)
    decision = decide(facts("439225000", "CNY"), table(UNIONPAY, eager, rules=CO_BADGED))
    assert ["UnionPay", "Eager"] == [back_end.name for back_end in decision.candidates]


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
    assert {"kind", "currency", "institution", "issuer", "scheme", "brand", "sandbox", "allowed"} == set(
        RoutingFacts.__struct_fields__
    )


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
