"""The documents against the code: links, paths, tests, names and figures that they mention."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tallystick import limits
from tallystick.assembly.facts import FINAL_STATES, PaymentState
from tallystick.cli.demo import doubts, pages, payments, pins, refusals

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tallystick"
DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PATH_PAGE = (DOCS / "credential-path.md").read_text()
GLOSSARY = (DOCS / "glossary.md").read_text()
README = (ROOT / "README.md").read_text()
EVERYWHERE = {"model.py", "ports.py", "data/"}  # in each stage, and a platform's own directory
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def broken_links(page: Path, text: str) -> list[str]:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(text))
    return [to for to in targets if "://" not in to and not (page.parent / to).exists()]


def lost_paths(text: str) -> list[str]:
    """Return the Python files and code folders named in a page that are neither in the repository nor the package."""
    named = re.findall(r"`([a-z_0-9]+(?:/[a-z_0-9]+)*(?:\.py|/))(?:::[^`]*)?`", prose(text))
    wanted = [name for name in named if name not in EVERYWHERE]
    return [name for name in wanted if not (ROOT / name).exists() and not (SRC / name).exists()]


def lost_tests(text: str) -> list[str]:
    lost = []
    for name in re.findall(r"`(tests/[^`\s]+::[^`\s]+)`", text):
        place, _, test = name.partition("::")
        path = ROOT / place
        tree = ast.parse(path.read_text()) if path.is_file() else ast.parse("")
        if test.rpartition("::")[2] not in {node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS)}:
            lost.append(name)
    return lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_path_and_test_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    assert [] == broken_links(page, text)
    assert [] == lost_paths(text)
    assert [] == lost_tests(text)


def test_a_page_that_names_what_does_not_exist_is_found() -> None:
    assert ["gone.md"] == broken_links(ROOT / "README.md", "[a](gone.md) [b](LICENSE) [c](https://example.org)\n")
    assert ["gone.py", "gone/"] == lost_paths("`gone.py` `path.py` `gone/` `crypto/` `tests/architecture/test_docs.py`")
    assert ["tests/architecture/test_docs.py::test_gone"] == lost_tests("`tests/architecture/test_docs.py::test_gone`")


def test_the_index_names_every_page() -> None:
    listed = set(re.findall(r"\]\(([^)]+)\)", (DOCS / "README.md").read_text()))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"}
    assert set() == pages - listed


def test_decisions_are_numbered_without_a_gap_and_say_what_was_decided() -> None:
    texts = [path.read_text() for path in sorted(DECISIONS.glob("*.md"))]
    numbers = [int(path.name[:4]) for path in sorted(DECISIONS.glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers == [int(text.split()[1].rstrip(".")) for text in texts]
    assert [] == [number for number, text in zip(numbers, texts, strict=True) if "\n## Decision\n" not in text]


# README


def test_the_table_in_the_readme_shows_scenarios_of_the_demo_with_the_outcomes_expected_of_them() -> None:
    stories = (payments, pages, pins, refusals, doubts)
    scenarios = {each.name: each for module in stories for each in module.SCENARIOS}
    shown = [[cell.strip() for cell in line.split("│")[2:5]] for line in README.splitlines() if line.startswith("│")]
    assert len(shown) > 5
    expected = [
        [each.name, " ".join(map(str, each.claims)), each.expected] for each in (scenarios[row[0]] for row in shown)
    ]
    assert expected == shown
    assert f"{len(scenarios)} stories" in README


def test_the_second_table_in_the_readme_shows_what_becomes_of_payments_in_doubt() -> None:
    ends = {mode.name: [mode.ends.get(name, "-") for name in doubts.NAMES] for mode in doubts.MODES}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in README.splitlines()]
    shown = [row for row in rows if row and row[0] in ends]
    assert len(shown) > 5
    assert [[row[0], *ends[row[0]]] for row in shown] == shown


def test_the_readme_is_short_and_says_what_must_be_said() -> None:
    assert len(README.splitlines()) <= 120
    said = ("make demo", "make test", "Beta", "no payment HSM", "CN103186850A", "legal status", "Apache License 2.0")
    assert [] == [words for words in said if words not in README]


def test_the_changelog_knows_this_version() -> None:
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()


# The path


def test_the_path_page_draws_every_state_and_names_the_final_ones() -> None:
    diagram = PATH_PAGE.split("## States of a payment")[1].split("```")[1]
    assert [] == [state for state in PaymentState if state.upper() not in diagram]
    sentence = re.search(r"^(APPROVED,.*?) are final", PATH_PAGE, re.MULTILINE | re.DOTALL)
    assert sentence is not None
    assert {state.upper() for state in FINAL_STATES} == set(re.findall(r"[A-Z]{2,}", sentence[1]))


def test_the_path_page_judges_every_invariant_once_and_tests_what_it_says_to_hold() -> None:
    rows = re.findall(r"^\| I(\d+) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", PATH_PAGE, re.MULTILINE)
    assert list(range(1, 15)) == [int(row[0]) for row in rows]
    untested = [number for number, judged, tests in rows if "::" not in tests and not judged.startswith("not yet")]
    assert [] == untested


@pytest.mark.parametrize(
    "text",
    [
        f"| {limits.FRESHNESS_MS // 60_000} min either way |",
        f"its nonce is kept {limits.NONCE_KEPT_MS // 60_000} min |",
        f"| {limits.SECRET_LIFE_MS // 60_000} min from the first part |",
        f"{limits.ORDER_LIFE_MS // 3_600_000} h at most",
        f"| {limits.EPOCH_KEPT_MS // 60_000} min from its start |",
        f"holds for {(limits.EPOCH_KEPT_MS - limits.EPOCH_MS) // 60_000} min at least;",
        f"after {limits.EPOCH_KEPT_MS // 60_000} min forgotten",
        f"| {limits.OPENING_KEY_LIFE_MS // 3_600_000} h published,",
        f"{limits.OPENING_KEY_OVERLAP_MS // 3_600_000} h overlap |",
    ],
)
def test_the_path_page_states_the_clocks_as_they_are(text: str) -> None:
    assert text in PATH_PAGE


# The glossary


def test_every_word_of_the_glossary_has_one_meaning_and_one_home() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|$", GLOSSARY, re.MULTILINE)
    words = [word for row in rows for word in row[0].split(", ")]
    assert len(rows) > 50
    assert sorted(set(words)) == sorted(words)
    assert [] == [home for _, _, home in rows if not (SRC / home).is_file()]
    lines = [line for line in GLOSSARY.splitlines() if line.startswith("| ") and "Meaning" not in line]
    assert len(lines) == len(rows)


def test_each_part_of_the_glossary_is_in_alphabetical_order() -> None:
    for part in GLOSSARY.split("\n## ")[1:]:
        words = re.findall(r"^\| ([^|]+) \|", part, re.MULTILINE)[1:]
        assert sorted(words, key=str.casefold) == words


def test_the_glossary_has_a_word_for_every_module_of_the_core_that_is_named_by_a_noun() -> None:
    homes = set(re.findall(r"`([^`]+\.py)`", GLOSSARY))
    stages = {"channels", "security", "assembly", "routing", "vault", "delivery"}
    assert stages <= {home.partition("/")[0] for home in homes}


# The libraries


def test_the_page_on_libraries_has_a_reason_for_each_dependency_and_for_no_other() -> None:
    extras = [each for extra in PROJECT["optional-dependencies"].values() for each in extra]
    declared = {re.split(r"[><=;\s]", each)[0] for each in [*PROJECT["dependencies"], *extras]}
    table = re.findall(r"^\| (`[^|]+`) \|", (DECISIONS / "0009-libraries.md").read_text(), re.MULTILINE)
    assert declared == {name for cell in table for name in re.findall(r"`([^`]+)`", cell)}
