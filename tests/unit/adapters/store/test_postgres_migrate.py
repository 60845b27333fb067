"""Two releases that follow each other on one PostgreSQL database."""

from collections.abc import Iterator

import pytest
from databases import PostgresDatabase

from tallystick.adapters.store.postgres.migrate import migrate
from tallystick.errors import Misconfigured

LATER = 9_001


@pytest.fixture
def database(postgres: PostgresDatabase) -> Iterator[PostgresDatabase]:
    """Give a database that forgets what a later release did to it."""
    yield postgres
    postgres.change("DELETE FROM schema_migration WHERE number >= %s", LATER)


def test_what_the_next_release_added_is_left_alone(database: PostgresDatabase) -> None:
    database.change("INSERT INTO schema_migration (number, phase) VALUES (%s, %s)", LATER, "pre")
    assert [] == migrate(database.settings.dsn)


def test_once_something_was_taken_away_a_release_that_does_not_know_of_it_is_refused(
    database: PostgresDatabase,
) -> None:
    database.change("INSERT INTO schema_migration (number, phase) VALUES (%s, %s)", LATER, "post")
    with pytest.raises(Misconfigured, match="run a newer release"):
        migrate(database.settings.dsn)
