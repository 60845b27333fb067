"""docs/operations/production.md against the checks."""

from pathlib import Path

from tallystick.cli.checks.catalogue import CHECKS
from tallystick.cli.checks.model import Check, Weight

PAGE = Path(__file__).parents[4] / "docs" / "operations" / "production.md"
EFFECT = {Weight.STOPS: "fails always", Weight.UNSAFE: "fails in production", Weight.ADVICE: "warns"}


def row(check: Check) -> str:
    return f"| {check.name} | {EFFECT[check.weight]} | {check.look.__doc__} | {check.remedy} |"


def test_the_page_lists_every_check_in_its_order_with_its_claim_and_remedy() -> None:
    """When this fails, the assertion shows the rows to copy."""
    listed = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert [row(check) for check in CHECKS] == listed[1:]


def test_every_check_has_a_name_of_its_own_and_ends_its_remedy_like_a_sentence() -> None:
    assert len(CHECKS) == len({check.name for check in CHECKS})
    assert [] == [check.name for check in CHECKS if not check.remedy.endswith(".")]
