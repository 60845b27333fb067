"""What every test shares."""

import contextlib
import os
from collections.abc import Iterator

import pytest
from databases import PostgresDatabase
from hypothesis import settings
from softhsm import SoftToken, make_token

from tallystick.testing.postgres_server import FAST, postgres_server

# A busy machine must not fail a property: examples are bounded in number, not in time.
settings.register_profile("tallystick", deadline=None)
settings.load_profile("tallystick")


@pytest.fixture(scope="session")
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """Make the one token of this process, whose library reads its settings when it is first loaded."""
    token = make_token(tmp_path_factory.mktemp("softhsm"))
    os.environ.update(token.environment)
    return token


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let tests of the store run on whatever PostgreSQL somebody has, of another release or reached over TLS."""
    parser.addoption(
        "--database", metavar="DSN", help="a database that the tests may empty, instead of our own server's"
    )


@pytest.fixture(scope="session")
def postgres_once(pytestconfig: pytest.Config) -> Iterator[PostgresDatabase]:
    """Start the one server of this process; its commits do not wait for the disk."""
    with contextlib.ExitStack() as stack:
        given = pytestconfig.getoption("--database")
        database = PostgresDatabase(given or stack.enter_context(postgres_server(*FAST)).dsn)
        stack.callback(database.close)
        yield database


@pytest.fixture
def postgres(postgres_once: PostgresDatabase) -> PostgresDatabase:
    """Give an empty database, its schema up to date."""
    postgres_once.empty()
    return postgres_once
