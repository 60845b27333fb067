"""What another table would do: in words, and in the payments that would go elsewhere."""

from typing import Any

import pytest
from msgspec.structs import replace

from tallystick.routing.compare import OTHER, Move, diff, dry_run
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import Preference, RoutingTable, Status
from tallystick.testing.platform import bank

UNIONPAY = bank("10000001", name="UnionPay", schemes=frozenset({"unionpay"}))
VISA = bank("10000002", name="VISA", schemes=frozenset({"visa"}))
WALLET = bank("10000003", name="Wallet", schemes=frozenset({"wallet"}))
RULES = (
    IssuerRule(low="4", high="4", schemes=("visa",)),
    IssuerRule(low="62", high="62", schemes=("unionpay",)),
    IssuerRule(low="439225", high="439225", schemes=("unionpay", "visa")),
)
OLD = RoutingTable(version=1, back_ends=(UNIONPAY, VISA), issuer_rules=RULES)


def with_(**fields: Any) -> RoutingTable:
    return replace(OLD, **fields)


def move(asked: tuple[str, ...], before: str, after: str, *currencies: str, **fields: Any) -> Move:
    usual = {"brand": None, "recent": 0, "currencies": currencies or ("CNY", OTHER)}
    return Move(**{"asked": asked, "before": tuple(before.split()), "after": tuple(after.split()), **usual} | fields)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (OLD, ()),
        (with_(version=7, back_ends=(replace(VISA, status=Status.DOWN), UNIONPAY)), ()),
        (with_(back_ends=(UNIONPAY,)), ("institution 10000002 (VISA) is gone: scripted, visa, priority 100",)),
        (
            with_(back_ends=(UNIONPAY, VISA, WALLET)),
            ("institution 10000003 (Wallet) is new: scripted, wallet, priority 100",),
        ),
        (
            with_(back_ends=(UNIONPAY, replace(VISA, priority=5, currencies=frozenset({"USD", "EUR"})))),
            (
                "institution 10000002 (VISA): priority 100 becomes 5",
                "institution 10000002 (VISA): currencies none becomes EUR, USD",
            ),
        ),
        (
            with_(issuer_rules=(*RULES[:2], IssuerRule(low="51", high="55", schemes=("mastercard",)))),
            ("range 439225 is gone: unionpay, visa", "range 51-55 is new: mastercard"),
        ),
        (
            with_(issuer_rules=(*RULES[:2], replace(RULES[2], schemes=("visa", "unionpay"), source="other"))),
            ("range 439225: unionpay, visa becomes visa, unionpay",),
        ),
        (with_(issuer_rules=(replace(RULES[0], source="another list"), *RULES[1:])), ()),
        (with_(preferences=()), ("orders in CNY prefer none, not unionpay",)),
        (
            with_(preferences=(*OLD.preferences, Preference(currency="EUR", schemes=("visa", "cb")))),
            ("orders in EUR prefer visa, cb, not none",),
        ),
    ],
)
def test_a_difference_is_said_in_words(new: RoutingTable, words: tuple[str, ...]) -> None:
    assert words == diff(OLD, new)


def test_no_payment_moves_between_tables_that_say_the_same() -> None:
    finer = (*RULES[:1], *(IssuerRule(low=f"62{n}", high=f"62{n}", schemes=("unionpay",)) for n in range(10)), RULES[2])
    assert () == dry_run(OLD, with_(version=9, back_ends=(VISA, UNIONPAY), issuer_rules=finer))


def test_every_number_that_moves_is_named_and_no_other_one() -> None:
    new = with_(issuer_rules=(RULES[0], IssuerRule(low="620", high="624", schemes=("unionpay",)), RULES[2]))
    assert (move(("cards 625-629",), "10000001", ""),) == dry_run(OLD, new)


def test_a_single_number_between_two_edges_is_not_missed() -> None:
    new = with_(issuer_rules=(*RULES, IssuerRule(low="624444444", high="624444444", schemes=("visa",))))
    assert (move(("cards 624444444",), "10000001", "10000002"),) == dry_run(OLD, new)


def test_a_move_that_only_some_currencies_make_names_them() -> None:
    new = with_(back_ends=(UNIONPAY, replace(VISA, currencies=frozenset({"USD"}))))
    elsewhere = dry_run(OLD, new)
    visa = ("cards 400000-439224", "cards 439226-499999", "accounts of visa", "institution 10000002")
    assert move(visa, "10000002", "", "CNY", OTHER) in elsewhere
    assert not any("USD" in each.currencies for each in elsewhere)


def test_a_choice_of_the_payer_is_asked_for_where_it_matters() -> None:
    new = with_(back_ends=(UNIONPAY, VISA, bank("10000004", schemes=frozenset({"visa"}), priority=1)))
    chosen = [each for each in dry_run(OLD, new) if each.brand is not None]
    assert [move(("cards 439225",), "10000002", "10000004 10000002", brand="visa")] == chosen


def test_a_changed_preference_moves_co_badged_cards_of_its_currency_only() -> None:
    new = with_(preferences=(Preference(currency="USD", schemes=("visa",)),))
    assert (move(("cards 439225",), "10000001 10000002", "10000002 10000001", "USD"),) == dry_run(OLD, new)


def test_accounts_and_institutions_move_too() -> None:
    old, new = with_(back_ends=(UNIONPAY, VISA, WALLET)), OLD
    assert (move(("accounts of wallet", "institution 10000003"), "10000003", ""),) == dry_run(old, new)


def test_live_status_moves_nothing_in_a_dry_run() -> None:
    away = with_(back_ends=tuple(replace(each, status=Status.DOWN) for each in OLD.back_ends))
    assert () == dry_run(OLD, away)


def test_recent_payments_say_how_much_would_move_at_most() -> None:
    new = with_(issuer_rules=RULES[:1])
    recent = {("10000001", "CNY"): 7, ("10000001", "EUR"): 4, ("10000002", "CNY"): 9}
    assert 11 in {each.recent for each in dry_run(OLD, new, recent)}
    only_dollars = with_(back_ends=(UNIONPAY, replace(VISA, currencies=frozenset({"CNY"}))))
    moved = dry_run(OLD, only_dollars, {("10000002", "CNY"): 9, ("10000002", "EUR"): 4, ("10000001", "EUR"): 5})
    assert {4} == {each.recent for each in moved if each.before == ("10000002",)}
