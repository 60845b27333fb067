"""Ranges of leading digits: the narrowest wins, whatever their order and however they lie."""

import pytest

from tallystick.routing.issuers import NUMBERS, IssuerIndex, IssuerRule, span, spans, words


def rule(low: str, high: str = "", *schemes: str) -> IssuerRule:
    return IssuerRule(low=low, high=high or low, schemes=schemes or ("visa",))


def test_an_index_without_rules_owns_nothing() -> None:
    index = IssuerIndex(())
    assert (None,) == index.owners("622202123")
    assert [0] == index.cuts


@pytest.mark.parametrize(
    ("number", "owner"),
    [
        (619_999_999, None),
        (620_000_000, "62"),
        (621_999_999, "62"),
        (622_000_000, "622-625"),
        (623_456_700, "623456700"),
        (623_456_701, "622-625"),
        (625_999_999, "622-625"),
        (626_000_000, "62"),
        (630_000_000, None),
    ],
)
def test_a_range_inside_another_one_counts_from_its_first_to_its_last_number(number: int, owner: str | None) -> None:
    rules = (rule("62"), rule("622", "625"), rule("623456700"))
    for order in (rules, rules[::-1]):
        found = IssuerIndex(order).owner(number)
        assert owner == (found.words if found else None)


@pytest.mark.parametrize(("number", "owner"), [(10, "10-30"), (29, "29-40"), (30, "29-40"), (40, "29-40"), (41, None)])
def test_of_ranges_that_lie_across_each_other_the_narrower_one_wins(number: int, owner: str | None) -> None:
    rules = (rule("10", "30"), rule("29", "40"))
    for order in (rules, rules[::-1]):
        found = IssuerIndex(order).owner(number * 10**7)
        assert owner == (found.words if found else None)


def test_of_two_that_are_equally_wide_the_lower_one_wins() -> None:
    rules = (rule("20", "29"), rule("25", "34"))
    for order in (rules, rules[::-1]):
        found = IssuerIndex(order).owner(270_000_000)
        assert found is not None
        assert "20-29" == found.words


def test_the_first_and_the_last_number_of_all_belong_to_a_range() -> None:
    index = IssuerIndex((rule("0"), rule("999999999")))
    assert [rule("0"), None, rule("999999999")] == [index.owner(n) for n in (0, NUMBERS - 2, NUMBERS - 1)]


def test_pieces_of_one_owner_are_joined_and_cut_at_its_bounds() -> None:
    assert [0, 620_000_000, 630_000_000] == IssuerIndex((rule("62"),)).cuts


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (620_000_000, 629_999_999, "62"),
        (622_126_000, 622_925_999, "622126-622925"),
        (0, 999_999_999, "0-9"),
        (123_456_789, 123_456_789, "123456789"),
        (180_000_000, 200_000_000, "180000000-200000000"),
    ],
)
def test_a_span_is_written_with_as_few_digits_as_say_the_same(first: int, last: int, said: str) -> None:
    assert said == words(first, last)
    low, _, high = said.partition("-")
    assert (first, last) == span(low, high or low)


def test_the_spans_between_cuts_cover_every_number_once() -> None:
    assert [(0, 4), (5, 8), (9, NUMBERS - 1)] == list(spans([9, 0, 5, 9]))
