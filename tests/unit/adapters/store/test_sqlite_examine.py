"""What an operator's check sees of the store's file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tallystick.adapters.store.sqlite_examine import SAFE, SqliteExamined, examining
from tallystick.errors import StoreFailed


def test_each_unsafe_setting_of_a_connection_is_named() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for setting in ("synchronous = NORMAL", "foreign_keys = OFF", "secure_delete = FAST", "trusted_schema = ON"):
            db.execute(f"PRAGMA {setting}")
        named = [fault.partition(" ")[0] for fault in SqliteExamined(db).unsafe_settings()]
    assert list(SAFE) == named


def test_a_store_opened_as_the_platform_does_is_safe_whole_and_empty(tmp_path: Path) -> None:
    with examining(tmp_path / "store.db") as store:
        assert [] == store.unsafe_settings()
        assert store.damage() is None
        assert 0 == store.newest()
        assert 0 == store.passwords_not_under("argon2id")


def test_a_store_whose_tables_are_gone_fails_without_the_database_s_own_words(tmp_path: Path) -> None:
    with examining(tmp_path / "store.db"), closing(sqlite3.connect(tmp_path / "store.db")) as db:
        db.execute("DROP TABLE event")
    with (
        pytest.raises(StoreFailed, match=r"^the database refused: SQLITE_ERROR$"),
        examining(tmp_path / "store.db") as store,
    ):
        store.newest()
