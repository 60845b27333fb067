"""No statement of the store reads a whole table that grows, but for those listed with a reason."""

# ruff: noqa: S608  # every text is built from constants of the store

import ast
import importlib
import pkgutil
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from growing import SMALL

from tallystick.adapters import store
from tallystick.adapters.store import sqlite_kept
from tallystick.adapters.store.sqlite_open import connect
from tallystick.assembly.facts import PaymentState
from tallystick.outcomes.model import WAITING_STATES
from tallystick.security.kept import RENEWED

NEWEST: Final = "reads the newest rows by their order and stops at the limit"
WAITING: Final = "reads what waits only: its partial index holds nothing else"
CHECK: Final = "an operator's check in a process of its own reads everything on purpose"
ENDED: Final = "nobody asks for a state that a payment stays in; those that are asked for have an index"

MAY_SCAN: Final = {
    "examination.HELD": CHECK,
    "examination.NEWEST": NEWEST,
    "examination.PASSWORDS": CHECK,
    "examination.PAYERS": CHECK,
    "examination.SEALED_NOW": CHECK,
    "sqlite_audit.ABOUT": "an auditor's search in a process of its own reads the chain",
    "sqlite_audit.HEAD": NEWEST,
    "sqlite_backlog.DEAD": WAITING,
    "sqlite_backlog.NOTICES": "reads an index of what waits only",
    "sqlite_intents.ACCOUNTS_KEPT": WAITING,
    "sqlite_intents.LOST": WAITING,
    "sqlite_intents.UNSETTLED": WAITING,
    "sqlite_kept.counts": CHECK,
    "sqlite_payments.IN_STATE": ENDED,
    "sqlite_payments.RECENT": NEWEST,
    "sqlite_webhooks.DEAD": WAITING,
    "sqlite_webhooks.PURGE": WAITING,
}

STATEMENT: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
SCAN: Final = re.compile(r"SCAN (\w+)(?: AS (\w+))?")
ALIAS: Final = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)\s+(?:AS\s+)?(\w+)\b")
PARAMETERS_MAX: Final = 40
BUILT: Final = {"sqlite_kept": 3, "sqlite_routes": 1}
"""Calls whose statement is no constant: `kept_statements` builds those of `sqlite_kept`, routes pass theirs on."""


def modules() -> list[Any]:
    names = sorted(
        each.name for each in pkgutil.iter_modules(store.__path__) if each.name.startswith(("sqlite_", "examination"))
    )
    return [importlib.import_module(f"{store.__name__}.{name}") for name in names]


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str) and STATEMENT.match(value):
        yield value
    elif isinstance(value, dict):
        yield from (text for each in value.values() for text in texts(each))
    elif isinstance(value, tuple):
        yield from (text for each in value for text in texts(each))


def statements() -> list[tuple[str, str]]:
    found = [
        (f"{module.__name__.rpartition('.')[2]}.{name}", text)
        for module in modules()
        for name, value in vars(module).items()
        if name.isupper()
        for text in texts(value)
    ]
    return found + list(kept_statements())


def kept_statements() -> Iterator[tuple[str, str]]:
    for kind, at in sqlite_kept.WHERE.items():
        columns = ", ".join(at.columns)
        if kind in RENEWED:
            yield "sqlite_kept.rows", f"SELECT {columns} FROM {at.table} WHERE {at.id} > ? ORDER BY {at.id} LIMIT ?"
            yield "sqlite_kept.put", f"UPDATE {at.table} SET {at.columns[0]} = ? WHERE {at.id} = ?"
        yield "sqlite_kept.counts", f"SELECT {columns}, count(*) FROM {at.table} WHERE {at.counts} GROUP BY {columns}"


def plan(db: sqlite3.Connection, text: str) -> list[str]:
    if ":now" in text:
        return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", {"now": 1})]
    for count in range(PARAMETERS_MAX):
        try:
            return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", (None,) * count)]
        except sqlite3.ProgrammingError:
            continue
    raise AssertionError(text)


def scanned(db: sqlite3.Connection, text: str) -> set[str]:
    """Return the tables that grow and that a statement reads whole, or sorts."""
    aliases = {alias: table for table, alias in ALIAS.findall(text)}
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    found = {SCAN.match(line)[1] for line in plan(db, text) if SCAN.match(line)}  # type: ignore[index]
    return {aliases.get(name, name) for name in found} & tables - SMALL


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = connect(tmp_path / "store.db")
    yield made
    made.close()


def test_no_statement_reads_a_table_that_grows_but_for_those_with_a_reason(db: sqlite3.Connection) -> None:
    found = {name: tables for name, text in statements() if (tables := scanned(db, text))}

    assert found.keys() <= MAY_SCAN.keys(), {name: found[name] for name in found.keys() - MAY_SCAN.keys()}
    assert found.keys() == MAY_SCAN.keys(), "a reason without a statement"


def test_a_statement_without_an_index_is_found(db: sqlite3.Connection) -> None:
    assert {"payment"} == scanned(db, "SELECT id FROM payment WHERE reason = ?")
    assert {"part"} == scanned(db, "SELECT p.id FROM part AS p WHERE p.rival = 1")
    assert set() == scanned(db, "SELECT id FROM payment WHERE id = ?")
    db.execute("DROP INDEX part_payment")
    assert {"part"} == scanned(db, dict(statements())["sqlite_parts.LIST"])


def test_states_that_are_asked_for_are_found_by_an_index(db: sqlite3.Connection) -> None:
    asked = {name: text for name, text in statements() if name == "sqlite_payments.IN_STATE"}
    assert asked
    for state in ("joined", "delivering", "unknown", "inquiry", "manual"):
        text = next(text for name, text in statements() if name in asked and f"state = '{state}'" in text)
        assert not scanned(db, text)
        assert not any("TEMP B-TREE" in line for line in plan(db, text))


def test_an_owners_list_needs_no_sort_and_reads_no_other_payments(db: sqlite3.Connection) -> None:
    lists = [text for name, text in statements() if name == "sqlite_merchants.OF_OWNER"]
    assert len(lists) == len(PaymentState) + 1
    for text in lists:
        moving = any(f"state = '{state}'" in text for state in WAITING_STATES)
        expected = "payment_moving (state=?" if moving else "payment_owner"
        assert any(expected in line for line in plan(db, text)), plan(db, text)
        assert moving or not any("TEMP B-TREE" in line for line in plan(db, text))
    assert any(
        "event_owner (owner=? AND rowid>?" in line for line in plan(db, dict(statements())["sqlite_events.OF_OWNER"])
    )


def test_counting_what_waits_reads_indexes_only(db: sqlite3.Connection) -> None:
    for name in ("sqlite_backlog.PAYMENTS", "sqlite_backlog.NOTICES", "sqlite_backlog.WEBHOOKS"):
        assert any("COVERING INDEX" in line for line in plan(db, dict(statements())[name])), name


def test_every_statement_is_a_constant_that_is_looked_at() -> None:
    """A statement that is built where it is executed would escape the first test."""
    for module in modules():
        name = module.__name__.rpartition(".")[2]
        if name in {"sqlite_open", "sqlite_examine"}:  # settings and migrations; checks by an operator
            continue
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        calls = [
            node.args[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr.startswith("execute")
        ]
        built = [ast.unparse(each) for each in calls if not ast.unparse(each).partition("[")[0].isupper()]
        assert BUILT.get(name, 0) == len(built), (name, built)
