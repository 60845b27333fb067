"""docs/claims.md maps every claim to modules and tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tallystick"
PAGE = (ROOT / "docs" / "claims.md").read_text()
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
CLAIMS = (*range(1, 19), 20, 21, 22, 26, 32, 33, 34)


@cache
def found_in(path: Path) -> frozenset[str]:
    """Return the tests of a file as pytest names them, without parameters."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, FUNCTIONS)}
        elif isinstance(node, FUNCTIONS):
            names.add(node.name)
    return frozenset(name for name in names if name.rpartition("::")[2].startswith("test_"))


def rows(page: str) -> dict[int, tuple[list[str], list[str]]]:
    """Read the table: claim to modules and tests."""
    found = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].isdigit():
            found[int(cells[0])] = re.findall(r"`([^`]+)`", cells[2]), re.findall(r"`([^`]+)`", cells[3])
    return found


def missing(names: list[str]) -> list[str]:
    """Return the tests that do not exist."""
    gone = []
    for name in names:
        place, _, test = name.partition("::")
        path = ROOT / place
        if not path.is_file() or test not in found_in(path):
            gone.append(name)
    return gone


TABLE = rows(PAGE)


def test_the_table_has_exactly_the_claims_that_were_asked_for() -> None:
    assert list(CLAIMS) == list(TABLE)


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_has_modules_and_tests_and_they_exist(claim: int) -> None:
    modules, tests = TABLE[claim]
    assert modules
    assert [] == [name for name in modules if not (SRC / name).is_file()]
    assert tests
    assert [] == missing(tests)


def test_a_row_that_names_what_does_not_exist_is_found() -> None:
    here = "tests/architecture/test_claims.py"
    planted = f"| 1 | what | `nowhere.py` | `{here}::test_nothing` |\n| 2 | what | `path.py` | `gone.py::test_x` |"
    assert {1: (["nowhere.py"], [f"{here}::test_nothing"]), 2: (["path.py"], ["gone.py::test_x"])} == rows(planted)
    assert [f"{here}::test_nothing", "gone.py::test_x"] == missing([f"{here}::test_nothing", "gone.py::test_x"])
    assert [] == missing([f"{here}::test_a_row_that_names_what_does_not_exist_is_found"])


def test_the_page_says_which_claims_were_read_without_their_text() -> None:
    guessed = re.findall(r"^\| (\d+) \| read as:", PAGE, re.MULTILINE)
    assert ["17", "18", "20", "21", "22"] == guessed
    assert "not at hand" in PAGE
    assert "legal status" in PAGE
