"""No statement of the PostgreSQL store has to read a whole table that grows, but for those listed with a reason."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from databases import PostgresDatabase
from growing import SMALL

from tallystick.adapters.store.postgres.statements import load

COUNT: Final = "an operator's look at keys, in a process of its own, reads everything on purpose"

MAY_SCAN: Final = {
    "count_created_order": COUNT,
    "count_notice": COUNT,
    "count_page_link": COUNT,
    "count_payer": COUNT,
    "count_pull_delivery": COUNT,
    "payments_in": "nobody asks for a state that a payment stays in; the others have statements of their own",
}


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def scanned(database: PostgresDatabase, text: str) -> set[str]:
    """Return the tables that grow and that a statement reads whole though that is made as dear as can be."""
    ((told,),) = database.rows(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {text}")
    plan = told if isinstance(told, list) else json.loads(told)
    read = {node["Relation Name"] for node in nodes(plan[0]["Plan"]) if node["Node Type"] == "Seq Scan"}
    return read - SMALL


@pytest.fixture
def database(postgres: PostgresDatabase) -> Iterator[PostgresDatabase]:
    postgres.rows("SELECT set_config('enable_seqscan', 'off', false)")
    yield postgres
    postgres.rows("SELECT set_config('enable_seqscan', 'on', false)")


def test_no_statement_reads_a_table_that_grows_but_for_those_with_a_reason(database: PostgresDatabase) -> None:
    texts = {name: query.read.text.decode() for name, query in load().items()}
    found = {name: tables for name, text in texts.items() if (tables := scanned(database, text))}

    assert found.keys() == MAY_SCAN.keys(), found


def test_a_statement_without_an_index_is_found(database: PostgresDatabase) -> None:
    assert {"payment"} == scanned(database, "SELECT id FROM payment WHERE reason = $1")
    assert set() == scanned(database, "SELECT id FROM payment WHERE id = $1")
