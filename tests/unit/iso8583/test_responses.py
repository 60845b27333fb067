"""The table of response codes: what each says about the money, and the page that shows it."""

import re
from pathlib import Path

import pytest

from tallystick.iso8583 import responses
from tallystick.iso8583.responses import RESPONSES, Concern, Effect, find

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "response-codes.md"


def codes(effect: Effect) -> set[str]:
    return {code for code, response in RESPONSES.items() if response.effect is effect}


def test_only_these_codes_mean_that_money_moved_as_asked() -> None:
    assert {"00", "11", "16"} == codes(Effect.APPROVED)


def test_only_where_nothing_was_reached_another_route_is_tried() -> None:
    assert {"92"} == codes(Effect.ELSEWHERE)


@pytest.mark.parametrize("code", ["06", "08", "09", "10", "20", "22", "32", "68", "94", "96", "98", "A2", "A6"])
def test_a_code_that_leaves_the_outcome_open_is_unknown(code: str) -> None:
    assert Effect.UNKNOWN is find(code).effect


@pytest.mark.parametrize("code", [None, "", "0", "000", "ZZ", "70", "00 ", "a0"])
def test_a_code_that_the_table_has_not_is_unknown(code: str | None) -> None:
    assert Effect.UNKNOWN is find(code).effect


@pytest.mark.parametrize(
    ("code", "concern"),
    [("55", Concern.PIN), ("43", Concern.FRAUD), ("30", Concern.OURS), ("A0", Concern.KEY), ("51", Concern.FUNDS)],
)
def test_a_code_says_what_it_concerns(code: str, concern: Concern) -> None:
    assert concern is find(code).concern


def test_every_code_is_two_letters_or_digits_with_a_meaning_and_one_sentence() -> None:
    assert [] == [each.code for each in RESPONSES.values() if not re.fullmatch(r"[0-9A-Z]{2}", each.code)]
    assert [] == [each.code for each in RESPONSES.values() if not each.meaning or each.advice[-1] != "."]


def test_no_code_stands_twice_in_the_table() -> None:
    assert sorted({row[0] for row in responses._ROWS}) == [row[0] for row in responses._ROWS]


def test_the_page_shows_the_table() -> None:
    rows = [
        f"| {each.code} | {each.meaning} | {each.effect} | {each.concern} | {each.advice} |"
        for each in RESPONSES.values()
    ]

    assert rows == [line for line in PAGE.read_text().splitlines() if re.match(r"\| [0-9A-Z]{2} \|", line)]
