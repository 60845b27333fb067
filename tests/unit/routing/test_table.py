"""Which routing tables may stand, what of them is versioned, and when two are equal."""

from typing import Any

import pytest
from msgspec.structs import replace

from tallystick.errors import AlreadyExists, FieldInvalid
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import BackEnd, Preference, RoutingTable, Status
from tallystick.routing.table import BACK_ENDS_MAX, RULES_MAX, check_table, digest, versioned, with_back_end
from tallystick.testing.platform import bank

RULE = IssuerRule(low="62", high="62", schemes=("unionpay",))
TABLE = RoutingTable(version=4, back_ends=(bank("10000002"), bank("10000001")), issuer_rules=(RULE,))


def with_(**fields: Any) -> RoutingTable:
    return replace(TABLE, **fields)


def with_bank(**fields: Any) -> RoutingTable:
    return with_(back_ends=(bank(**{"institution": "10000001", **fields}),))


def with_rule(**fields: Any) -> RoutingTable:
    return with_(issuer_rules=(replace(RULE, **fields),))


def with_preferences(*preferences: Preference) -> RoutingTable:
    return with_(preferences=preferences)


EURO = Preference(currency="EUR", schemes=("visa",))


def test_a_table_may_stand() -> None:
    check_table(TABLE)
    check_table(RoutingTable(version=0, back_ends=(), issuer_rules=(), preferences=()))


@pytest.mark.parametrize(
    "wrong",
    [
        with_bank(institution="1"),
        with_bank(institution="1234567a"),
        with_bank(name=""),
        with_bank(name="a\x1bb"),
        with_bank(name="x" * 65),
        with_bank(schemes=frozenset({"Visa"})),
        with_bank(currencies=frozenset({"euro"})),
        with_bank(in_flight_max=0),
        with_bank(per_second_max=-1),
        with_rule(low="6222021234", high="6222021234"),
        with_rule(low="", high=""),
        with_rule(low="6a", high="6a"),
        with_rule(low="62", high="620"),
        with_rule(low="63"),
        with_rule(schemes=()),
        with_rule(schemes=("visa", "visa")),
        with_rule(schemes=("v",)),
        with_rule(source="x" * 101),
        with_preferences(replace(EURO, currency="eur")),
        with_preferences(replace(EURO, schemes=())),
        with_(back_ends=tuple(bank(f"{10**7 + n}") for n in range(BACK_ENDS_MAX + 1))),
        with_(issuer_rules=tuple(replace(RULE, low=f"{n:09d}", high=f"{n:09d}") for n in range(RULES_MAX + 1))),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(wrong: RoutingTable) -> None:
    with pytest.raises(FieldInvalid):
        check_table(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        with_(back_ends=(bank("10000001", name="A"), bank("10000001", name="B"))),
        with_(back_ends=(bank("10000001", name="A"), bank("10000002", name="A"))),
        with_(issuer_rules=(RULE, replace(RULE, schemes=("visa",)))),
        with_(issuer_rules=(RULE, replace(RULE, low="620", high="629"))),
        with_preferences(EURO, replace(EURO, schemes=("unionpay",))),
    ],
)
def test_two_of_one_kind_are_refused(wrong: RoutingTable) -> None:
    with pytest.raises(AlreadyExists):
        check_table(wrong)


def test_what_is_versioned_has_no_live_status_and_one_order() -> None:
    still = versioned(TABLE)
    assert ["10000001", "10000002"] == [back_end.id for back_end in still.back_ends]
    assert {Status.SUSPENDED} == {back_end.status for back_end in still.back_ends}
    assert still == versioned(with_(back_ends=TABLE.back_ends[::-1]))


def test_equal_tables_have_equal_digests_whatever_their_version_and_status() -> None:
    down = tuple(replace(back_end, status=Status.DOWN) for back_end in TABLE.back_ends[::-1])
    assert digest(TABLE) == digest(with_(version=9, back_ends=down))


@pytest.mark.parametrize(
    "other",
    [
        with_(back_ends=TABLE.back_ends[:1]),
        with_(back_ends=(replace(TABLE.back_ends[0], priority=1), TABLE.back_ends[1])),
        with_rule(schemes=("unionpay", "visa")),
        with_preferences(EURO),
    ],
)
def test_a_difference_shows_in_the_digest(other: RoutingTable) -> None:
    assert digest(TABLE) != digest(other)


def test_a_back_end_is_added_or_replaced_by_its_id() -> None:
    def names(table: RoutingTable) -> set[str]:
        return {back_end.name for back_end in table.back_ends}

    third: BackEnd = bank("10000003", name="Third")
    assert {"Bank 10000001", "Bank 10000002", "Third"} == names(with_back_end(TABLE, third))
    assert {"Bank 10000002", "New"} == names(with_back_end(TABLE, bank("10000001", name="New")))
