"""Two releases side by side: a migration of phase `pre` only adds, so that the release before goes on working."""

import re
from pathlib import Path

import pytest

from tallystick.adapters.store.sqlite_open import PHASES_FROM

STORE = Path(__file__).parents[2] / "src" / "tallystick" / "adapters" / "store"
ADDS = (
    r"CREATE TABLE (?!.* AS SELECT)",
    r"CREATE INDEX ",
    r"DROP INDEX ",  # costs time, never an answer
    r"INSERT INTO ",
    r"UPDATE ",
    r"ALTER TABLE \w+ ADD (COLUMN )?\w+ (?!.*NOT NULL)(?!.*UNIQUE)(?!.*REFERENCES)(?!.*CHECK)",
    r"ALTER TABLE \w+ ADD (COLUMN )?\w+ .*NOT NULL.* DEFAULT ",
)
COUNTS = re.compile(
    r"CREATE TRIGGER \w+ AFTER (?:INSERT|UPDATE|DELETE) ON \w+"
    r" BEGIN UPDATE (\w+) SET version = version \+ 1 WHERE one = 1; END;",
    re.IGNORECASE,
)
"""Changes nothing but a number in a table that a process of the release before does not know."""
UNIQUE = re.compile(r"CREATE UNIQUE INDEX \w+ ON (\w+)", re.IGNORECASE)
TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.IGNORECASE)

SCRIPTS = sorted(
    path
    for path in [*(STORE / "sql").glob("*.sql"), *(STORE / "postgres" / "sql" / "migrations").glob("*.sql")]
    if ".post." not in path.name and (int(path.name[:4]) >= PHASES_FROM or path.name.endswith(".pre.sql"))
)
"""Not the first ones of SQLite, which were applied while nothing served: the database did not note phases yet."""


def taking_away(script: str) -> list[str]:
    """Return the statements that could break a process which knows nothing of them."""
    plain = " ".join(re.sub(r"--[^\n]*", "", script).split())
    made = set(TABLE.findall(plain))
    rest = COUNTS.sub(lambda found: "" if found[1] in made else found[0], plain)
    statements = [each.strip() for each in rest.split(";") if each.strip()]
    return [
        each
        for each in statements
        if not any(re.match(form, each, re.IGNORECASE) for form in ADDS)
        and not ((found := UNIQUE.match(each)) and found[1] in made)
    ]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_a_migration_of_phase_pre_only_adds(path: Path) -> None:
    assert [] == taking_away(path.read_text())


@pytest.mark.parametrize(
    "planted",
    [
        "DROP TABLE payment;",
        "ALTER TABLE payment RENAME COLUMN state TO word;",
        "ALTER TABLE payment DROP COLUMN state;",
        "ALTER TABLE payment ADD COLUMN node TEXT NOT NULL;",
        "ALTER TABLE payment ADD COLUMN node TEXT REFERENCES node (id);",
        "CREATE UNIQUE INDEX one ON payment (state);",
        "DELETE FROM payment;",
        "CREATE TRIGGER t AFTER INSERT ON payment BEGIN SELECT 1; END;",
        "CREATE TRIGGER t AFTER INSERT ON payment BEGIN UPDATE a SET version = version + 1 WHERE one = 1; END;",
        "CREATE TABLE a (b);\nCREATE TRIGGER t AFTER INSERT ON c BEGIN UPDATE a SET b = 1; DELETE FROM c; END;",
        "CREATE TABLE copy AS SELECT id FROM payment;",
        "-- adds\nCREATE TABLE a (x TEXT);\nDROP TABLE b;",
    ],
)
def test_a_planted_statement_that_takes_away_is_found(planted: str) -> None:
    assert taking_away(planted)


def test_a_unique_index_on_a_table_of_the_same_script_breaks_nobody() -> None:
    assert [] == taking_away("CREATE TABLE a (x TEXT);\nCREATE UNIQUE INDEX one ON a (x);")


def test_a_trigger_that_only_counts_in_a_table_of_the_same_script_breaks_nobody() -> None:
    counting = (
        "CREATE TRIGGER t AFTER UPDATE ON channel\nBEGIN UPDATE a SET version = version + 1 WHERE one = 1; END;\n"
    )
    assert [] == taking_away(f"CREATE TABLE a (one, version);\n{counting}")
    assert ["DROP TABLE b"] == taking_away(f"CREATE TABLE a (one, version);\n{counting}DROP TABLE b;\n")


def test_no_statement_of_a_store_takes_whatever_columns_there_are() -> None:
    """A column that the next release adds would reach code that does not expect it."""
    texts = {path: path.read_text() for path in [*STORE.rglob("*.py"), *STORE.rglob("*.sql")]}
    every = re.compile(r"SELECT (?:\w+\.)?\* FROM (?!unnest)", re.IGNORECASE)
    assert [] == [path.name for path, text in texts.items() if every.search(text)]
    assert every.search("SELECT p.* FROM payment p")
