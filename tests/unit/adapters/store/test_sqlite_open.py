"""Opening and migrating the database file."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.adapters.store import sqlite_open
from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.adapters.store.sqlite_open import PHASES_FROM, Script, connect, migrate, migrations, statements
from tallystick.errors import Misconfigured

IDS = ("11111111", "22222222", "33333333")


@pytest.fixture
def empty() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    yield db
    db.close()


def schema(db: sqlite3.Connection) -> set[tuple[str, ...]]:
    return set(db.execute("SELECT type, name, sql FROM sqlite_schema"))


def version(db: sqlite3.Connection) -> int:
    seen: int = db.execute("PRAGMA user_version").fetchone()[0]
    return seen


def test_the_schema_is_the_sum_of_the_migrations(tmp_path: Path, empty: sqlite3.Connection) -> None:
    for script in migrations():
        empty.executescript(script.text)

    db = connect(tmp_path / "store.db")
    assert schema(empty) == schema(db)
    assert version(db) == len(migrations()) >= 1
    db.close()


def test_migrations_are_numbered_without_a_gap() -> None:
    folder = Path(migrate.__code__.co_filename).parent / "sql"
    numbers = sorted(int(script.name[:4]) for script in folder.glob("*.sql"))
    assert list(range(1, len(numbers) + 1)) == numbers
    assert len(migrations()) == len(numbers)


def test_opening_twice_is_harmless_and_loses_nothing(tmp_path: Path) -> None:
    db = connect(tmp_path / "store.db")
    before = schema(db)
    db.execute("INSERT INTO connector (institution, sealed) VALUES ('12345678', x'00')")
    db.close()

    again = connect(tmp_path / "store.db")
    assert before == schema(again)
    assert [("12345678", b"\x00")] == again.execute("SELECT * FROM connector").fetchall()
    again.close()


def test_a_database_of_a_newer_release_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    newer = len(migrations()) + 1
    db = connect(tmp_path / "store.db")
    db.execute(f"PRAGMA user_version = {newer}")
    db.close()

    with pytest.raises(Misconfigured, match="newer release"):
        connect(tmp_path / "store.db")
    with sqlite3.connect(tmp_path / "store.db") as left:
        assert version(left) == newer
    left.close()


def scripts(*texts: str) -> list[Script]:
    return [Script(number, "pre", text) for number, text in enumerate(texts, 1)]


def test_only_the_scripts_not_seen_yet_are_applied(empty: sqlite3.Connection) -> None:
    first, second = "CREATE TABLE a (x);\nCREATE TABLE b (x);\n", "CREATE TABLE c (x);\n"
    migrate(empty, scripts(first))
    migrate(empty, scripts(first, second))

    assert {"a", "b", "c"} == {name for _, name, _ in schema(empty)}
    assert version(empty) == 2


def test_scripts_are_applied_all_or_none(empty: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError):
        migrate(empty, scripts("CREATE TABLE a (x);\n", "CREATE TABLE b (x);\nCREATE TABLE b (x);\n"))

    assert schema(empty) == set()
    assert version(empty) == 0


# The release before, the next one, and the one after that, on one file


def next_release(monkeypatch: pytest.MonkeyPatch, *phases: str) -> None:
    """Let this process be a later release: it has one script more for each phase."""
    known = migrations()
    texts = {"pre": "ALTER TABLE connector ADD COLUMN more_{} TEXT;\n", "post": "DROP TABLE tally;\n"}
    more = [Script(number, phase, texts[phase].format(number)) for number, phase in enumerate(phases, len(known) + 1)]
    monkeypatch.setattr(sqlite_open, "migrations", lambda: [*known, *more])


async def test_a_process_of_the_release_before_goes_on_and_starts_again_on_what_the_next_release_only_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = SqliteStore(tmp_path / "store.db")
    await before.transact(lambda books: books.put_connector_settings("11111111", b"old"))
    with monkeypatch.context() as later:
        next_release(later, "pre", "pre")
        after = SqliteStore(tmp_path / "store.db")
    await before.transact(lambda books: books.put_connector_settings("22222222", b"old"))
    await after.transact(lambda books: books.put_connector_settings("33333333", b"new"))
    again = SqliteStore(tmp_path / "store.db")
    for store in (before, after, again):
        found = [await store.read(lambda books, each=each: books.connector_settings(each)) for each in IDS]
        assert [b"old", b"old", b"new"] == found
    for store in (before, after, again):
        await store.aclose()
    with sqlite3.connect(tmp_path / "store.db") as left:
        assert version(left) == len(migrations()) + 2, "an older process takes no number back"
    left.close()


def test_a_release_after_the_next_one_takes_away_and_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        next_release(later, "pre", "post")
        connect(tmp_path / "store.db").close()
        connect(tmp_path / "store.db").close()
    with pytest.raises(Misconfigured, match="run a newer release"):
        connect(tmp_path / "store.db")


def test_what_each_script_beyond_the_first_does_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "schema_migration" in migrations()[PHASES_FROM - 1].text
    next_release(monkeypatch, "pre", "post")
    db = connect(tmp_path / "store.db")
    known = [each for each in sqlite_open.migrations() if each.number > PHASES_FROM]
    assert [(each.number, each.phase) for each in known] == db.execute(
        "SELECT number, phase FROM schema_migration ORDER BY number"
    ).fetchall()
    db.close()


def test_a_script_is_split_at_the_ends_of_its_statements_only() -> None:
    script = "-- a note;\nCREATE TABLE a (\n  x TEXT DEFAULT ';'\n);\nSELECT 1;\n"
    assert [s.strip() for s in statements(script)][-1] == "SELECT 1;"
    assert "".join(statements(script)) == script


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database" * 100)

    with pytest.raises(Misconfigured, match="SQLITE_NOTADB"):
        connect(tmp_path / "store.db")


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="FileNotFoundError"):
        connect(tmp_path / "missing" / "store.db")
