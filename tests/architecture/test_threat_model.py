"""docs/threat-model.md has a row for everything asked for, and each row a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
ASSESSMENT = (ROOT / "docs" / "security" / "cross-device.md").read_text()
ADVERSARIES = (
    "one channel",
    "one key",
    "a merchant",
    "SMS",
    "reading the database",
    "writing the database",
    "one node",
)
THREATS = (
    "guessed element",
    "squatting",
    "mixed-up parts",
    "race",
    "replay",
    "colluding channels",
    "recycled phone number",
    "PIN brute force",
    "enumeration by answer",
    "enumeration by time",
    "downgrade",
    "database row swap",
    "log leakage",
    "fixation",
    "QR phishing",
)
SIGN_UP_THREATS = ["SMS pumping", "name squatting", "phishing of the code", "guessed code", "half a credential at rest"]
OWN_TESTS = ROOT / "tests" / "misuse"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of each row of the table under a heading."""
    section = page.split(f"\n## {heading}")[1].split("\n## ", maxsplit=1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def without_test(found: list[list[str]]) -> list[str]:
    """Return the first cells of rows that name no test."""
    return [row[0] for row in found if not re.search(r"`tests/[^`]+::test_[^`]+`", row[-1])]


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_every_adversary_has_a_row(adversary: str) -> None:
    assert [adversary] == [adversary for row in rows(PAGE, "Who attacks") if row[0].startswith(adversary)]


@pytest.mark.parametrize("threat", THREATS)
def test_every_threat_has_a_row_and_a_test_of_its_name(threat: str) -> None:
    (row,) = [row for row in rows(PAGE, "Threats of a split join") if row[0] == threat]
    name = "test_" + re.sub(r"[^a-z]+", "_", threat.lower())
    trees = [ast.parse(path.read_text()) for path in OWN_TESTS.glob("test_threats_*.py")]
    tests = {node.name for tree in trees for node in tree.body if isinstance(node, FUNCTIONS)}
    named = [test for test in tests if test.startswith(name)]
    assert named
    assert [test for test in named if f"::{test}`" in row[-1]]


def test_every_row_names_a_test() -> None:
    tables = ("Who attacks", "Threats of a split join", "Threats to sign-up by pages")
    assert [] == [name for table in tables for name in without_test(rows(PAGE, table))]
    assert SIGN_UP_THREATS == [row[0] for row in rows(PAGE, tables[-1])]
    planted = "\n## Planted\n\n| a | b |\n|---|---|\n| lost | none |\n| kept | `tests/x.py::test_x` |\n"
    assert ["lost"] == without_test(rows(planted, "Planted"))


def test_every_mitigation_is_taken_or_not_with_a_reason() -> None:
    for _, taken, reason in rows(PAGE, "RFC 10027"):
        assert taken in {"yes", "partly", "no"}
        assert reason


def test_every_mitigation_in_the_risk_assessment_is_one_of_the_threat_model_with_code_and_test_where_taken() -> None:
    assessed = rows(ASSESSMENT, "Mitigations")
    stands = {row[0]: row[1] for row in rows(PAGE, "RFC 10027")}
    assert stands == {row[0]: row[1].partition(":")[0] for row in assessed}
    taken = [row for row in assessed if not row[1].startswith("no:")]
    assert [] == without_test(taken)
    assert [] == [row[0] for row in taken if not row[2]]
