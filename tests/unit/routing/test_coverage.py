"""What a new set of issuer rules does, said before it is used: overlaps and gaps."""

from tallystick.routing.coverage import coverage
from tallystick.routing.issuer_file import shipped_rules
from tallystick.routing.issuers import IssuerRule


def rule(low: str, high: str, *schemes: str) -> IssuerRule:
    return IssuerRule(low=low, high=high, schemes=schemes)


BEFORE = (rule("40", "49", "visa"), rule("62", "62", "unionpay"), rule("622", "622", "unionpay", "discover"))


def test_the_same_set_again_has_no_gap() -> None:
    found = coverage(BEFORE, BEFORE)
    assert (3, 1, (), ()) == (found.rules, found.nested, found.overlaps, found.gaps)


def test_ranges_across_each_other_are_named_when_they_say_different_things() -> None:
    across = (rule("60", "65", "discover"), rule("62", "69", "unionpay"), rule("63", "63", "maestro"))
    found = coverage(across, ())
    assert ("60-65 (discover) and 62-69 (unionpay)",) == found.overlaps
    assert 1 == found.nested
    assert () == coverage((rule("60", "65", "visa"), rule("62", "69", "visa")), ()).overlaps


def test_numbers_that_lose_a_scheme_are_named_from_the_first_to_the_last() -> None:
    after = (rule("40", "44", "visa"), rule("46", "49", "visa"), rule("62", "62", "unionpay"))
    assert ("622 loses discover", "45 loses visa") == coverage(after, BEFORE).gaps


def test_a_gap_in_the_middle_of_a_range_is_found_though_both_ends_are_known() -> None:
    after = (*BEFORE, rule("62345", "62347", "jcb"))
    assert ("62345-62347 loses unionpay",) == coverage(after, BEFORE).gaps


def test_pieces_that_lie_side_by_side_are_one_gap() -> None:
    assert ("62 loses unionpay",) == coverage((rule("40", "49", "visa"), rule("622", "622", "discover")), BEFORE).gaps


def test_a_set_split_into_finer_ranges_of_the_same_schemes_loses_nothing() -> None:
    finer = tuple(rule(f"4{n}", f"4{n}", "visa") for n in range(10))
    assert () == coverage((*finer, *BEFORE[1:]), BEFORE).gaps


def test_the_shipped_ranges_nest_and_do_not_contradict_each_other() -> None:
    found = coverage(shipped_rules(), ())
    assert () == found.overlaps
    assert found.nested > 50
