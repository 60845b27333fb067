"""What was measured gets into the documents."""

from pathlib import Path

import pytest
from bench import results, tables

FOUND = {"commit": "abc1234", "load_average_before": 0.1}


def test_a_block_is_renewed_and_the_rest_of_the_document_stays() -> None:
    text = f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n"
    once = tables.renewed(text, "new\n")
    assert f"before\n{tables.BEGIN}\n\nnew\n\n{tables.END}\nafter\n" == once
    assert once == tables.renewed(once, "new\n")


def test_a_document_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        tables.renewed("text", "new")


def test_each_row_names_its_commit_and_how_busy_the_machine_was() -> None:
    assert tables.HEAD + "| a | 1 | abc1234 | 0.1 |\n" == tables.table(iter([("a", "1", FOUND)]))


def test_growth_tells_the_cost_at_each_size_and_what_a_payment_leaves() -> None:
    sizes = [
        {"finished": 0, "open": 0, "cpu_us": 900.0, "store_gib": 0.0},
        {"finished": 2_000_000, "open": 0, "cpu_us": 1_000.0, "store_gib": 4.0},
        {"finished": 2_000_000, "open": 100_000, "cpu_us": 1_010.0, "store_gib": 4.2},
    ]
    (_, cost, _), (_, left, _) = tables.growth({**FOUND, "sizes": sizes})
    assert "0 M: 900 µs, 2 M: 1000 µs, 2 M and 0.1 M open: 1010 µs" == cost
    assert "2147 bytes" == left


def test_a_result_is_read_back_and_a_missing_one_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    results.write("some", FOUND)
    assert FOUND == results.read("some", tmp_path)
    assert results.read("other", tmp_path) is None


def test_the_documents_have_a_place_for_it() -> None:
    for name in ("operations/scale.md", "guarantees.md"):
        text = (tables.DOCS / name).read_text(encoding="utf-8")
        assert tables.renewed(text, "new")
