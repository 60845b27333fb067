"""The sandbox's own rules: its magic amounts, what it counts as an effect, and its page of documentation."""

import re
from pathlib import Path

import pytest

from tallystick.testing.sandbox import record
from tallystick.testing.sandbox.record import Entry
from tallystick.testing.sandbox.unionpay_magic import DECLINES, FAILURES, Failure, Magic, magic_of

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "sandboxes.md"


def entry(*, effective: bool = False, undone: bool = False) -> Entry:
    return {"kind": "0200", "effective": effective, "undone": undone}


def test_effective_authorisations_are_approvals_less_reversals() -> None:
    approved, declined, undone = entry(effective=True), entry(), entry(undone=True)

    assert 0 == record.effective([])
    assert 2 == record.effective([approved, declined, approved])
    assert 1 == record.effective([approved, approved, undone])
    assert 0 == record.effective([approved, declined, undone])


def test_entries_that_know_no_reversal_count_too() -> None:
    assert 1 == record.effective([{"kind": "payment", "effective": True}])


def test_a_double_effect_would_be_seen() -> None:
    assert 2 == record.effective([entry(effective=True), entry(effective=True)])


@pytest.mark.parametrize(
    ("amount", "magic"),
    [
        ("000000001000", Magic()),
        ("000000001051", Magic(code="51")),
        ("000000019901", Magic(failure=Failure.SILENT)),
        ("000000019914", Magic(failure=Failure.LOST)),
        ("000000009843", Magic(code="43")),
        ("000000009851", Magic(code="51")),
        ("000000009800", Magic(code="A0")),
        ("000000009796", Magic(code="96", moves=True)),
        ("000000009751", Magic(code="51", moves=True)),
    ],
)
def test_an_amount_asks_for_what_its_last_digits_say(amount: str, magic: Magic) -> None:
    assert magic == magic_of(amount)


def test_the_page_shows_every_magic_value() -> None:
    section = PAGE.read_text().split("## UnionPay style")[1].split("\n## ")[0]
    shown = set(re.findall(r"^\| `…([0-9]{2}|[0-9]{4})` ", section, re.MULTILINE))

    assert FAILURES.keys() | DECLINES.keys() == shown
    assert {"97", "98"} == set(re.findall(r"^\| `…([0-9]{2})cc` ", section, re.MULTILINE))
