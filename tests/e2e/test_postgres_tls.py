"""The database over TLS, and the store's contract on the distribution's release: the wheel's server knows no TLS."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from certified import Certified
from click.testing import CliRunner, Result
from databases import programs_with_tls
from test_cli import free_port

from tallystick.adapters.store.postgres.examine import examining
from tallystick.adapters.store.postgres.migrate import applied, migrate
from tallystick.adapters.store.postgres.opening import Settings, open_link, secured
from tallystick.adapters.store.postgres.statements import statement
from tallystick.adapters.store.postgres.store import PostgresStore
from tallystick.bootstrap.layout import Layout, create
from tallystick.bootstrap.storing import connection_string, storing
from tallystick.cli.main import cli
from tallystick.config import StoreSection
from tallystick.crypto.ca import BACK_END
from tallystick.errors import Misconfigured, StoreFailed, TallystickError
from tallystick.runtime import SystemClock
from tallystick.secret import Secret
from tallystick.testing.postgres_server import FAST, PostgresServer, postgres_server

pytestmark = pytest.mark.e2e

HOST = "db.example"
RELOAD_TIMEOUT_S = 20.0
CONTRACT_TIMEOUT_S = 300.0
LONG = bytes(range(256)) * 131_072  # 32 MiB: many TLS records, and more than sockets take before somebody reads
LETS_IN = "local all all trust\nhostssl all all all cert\n"
"""pg_hba.conf: whoever comes over TCP proves by a certificate who they are."""
ROLE = """
    CREATE ROLE node LOGIN;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO node
"""
SETTINGS = '[gateway]\nport = 0\n[store]\nkind = "postgres"\nca = "database-ca.pem"\n'
CHECKED = ("store schema", "store", "store integrity")
CORE = ("transactions", "races", "on_postgres", "payments", "claims")


@dataclass(frozen=True)
class Database:
    """A server whose certificate is for HOST; `home` has the authorities `ca` and `other`, and roles' certificates."""

    server: PostgresServer
    home: Path
    port: int

    @property
    def ca(self) -> Path:
        return self.home / "ca" / "trust.pem"

    def dsn(self, host: str = HOST, user: str = "postgres", **more: object) -> str:
        """Return how a role reaches the server as if it were on another machine."""
        given = {"host": host, "hostaddr": "127.0.0.1", "port": self.port, "user": user, "dbname": "postgres"}
        proof = {"sslcert": self.home / f"{user}.pem", "sslkey": self.home / f"{user}.key"}
        return " ".join(f"{name}={value}" for name, value in (given | proof | more).items())

    def ask(self, statement: str, dbname: str = "postgres") -> list[tuple[Any, ...]]:
        """Ask over the Unix socket, and leave no connection behind."""
        with psycopg.connect(self.server.database(dbname), autocommit=True) as connection:
            answer = connection.execute(statement.encode())
            return answer.fetchall() if answer.description else []

    def set(self, **settings: str) -> None:
        """Change settings, and wait until new connections are under them."""
        for name, value in settings.items():
            self.ask(f"ALTER SYSTEM SET {name} = '{value}'")
        self.ask("SELECT pg_reload_conf()")
        until = time.monotonic() + RELOAD_TIMEOUT_S
        while any(self.ask(f"SHOW {name}") != [(value,)] for name, value in settings.items()):
            assert time.monotonic() < until, "the server does not take its settings"

    @contextlib.contextmanager
    def without_tls(self) -> Iterator[None]:
        self.set(ssl="off")
        try:
            yield
        finally:
            self.set(ssl="on")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    programs = programs_with_tls()
    home, port = tmp_path_factory.mktemp("authorities"), free_port()
    certified = Certified.create(home)
    certified.certify("server", BACK_END, "tallystick:institution:server", (HOST,))
    for role in ("postgres", "node"):
        certified.certify(role, BACK_END, f"tallystick:institution:{role}")
    Certified.create(home / "other")
    with postgres_server(*FAST, "-c", "log_connections=on", port=port, programs=programs) as server:
        made = Database(server, home, port)
        (server.folder / "data" / "pg_hba.conf").write_text(LETS_IN)
        chain, key = certified.made["server"]
        files = {"ssl_cert_file": chain, "ssl_key_file": key, "ssl_ca_file": made.ca}
        given = {name: str(server.give(name, path.read_bytes())) for name, path in files.items()}
        made.set(**given, ssl="on")
        migrate(secured(made.dsn(), made.ca))
        made.ask(ROLE)
        yield made


@pytest.fixture
def layout(database: Database, tmp_path: Path) -> Layout:
    """Make a platform whose settings name the authority of the database."""
    made = create(tmp_path / "data", SETTINGS)
    shutil.copy(database.ca, made.root / "database-ca.pem")
    return made


def section(dsn: str, ca: str = "ca/trust.pem") -> StoreSection:
    return StoreSection(kind="postgres", dsn=Secret(dsn), ca=ca)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(Settings(dsn=secured(database.dsn(), database.ca), pool_max=2), SystemClock())
    yield made
    await made.aclose()


def run(layout: Layout, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--data", str(layout.root), *words])


def findings(layout: Layout) -> dict[str, dict[str, str]]:
    report = json.loads(run(layout, "doctor", "--json").stdout)
    return {each["check"]: each for each in report["findings"] if each["check"] in CHECKED}


def test_a_node_with_a_certificate_works_over_tls_1_3_on_a_server_that_proves_its_name(
    database: Database, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_STORE__DSN", database.dsn(user="node"))
    began = database.server.log.stat().st_size

    key = str(layout.root.parent / "voice.key")
    added = run(layout, "channel", "add", "voice", "--kind", "voice", "--fields", "pin_block", "--mac-key-out", key)
    assert 0 == added.exit_code, added.stderr
    assert ["ok"] * 3 == [findings(layout)[check]["result"] for check in CHECKED]
    assert 0 == run(layout, "audit", "verify").exit_code

    assert [("voice",)] == database.ask("SELECT name FROM channel")
    said = database.server.log.read_bytes()[began:].decode()
    sessions = [line for line in said.splitlines() if "application_name=tallystick" in line]
    assert sessions
    assert [] == [line for line in sessions if "user=node" not in line or "protocol=TLSv1.3" not in line]


async def test_what_takes_many_tls_records_arrives_whole_both_ways(database: Database) -> None:
    link = await open_link(Settings(dsn=secured(database.dsn(), database.ca)))
    echo = statement("echo", "SELECT $1::bytea")
    link.send(echo, (LONG,))

    assert [(LONG,)] == (await link.answer()).rows()
    link.close()


@pytest.mark.parametrize(
    ("host", "ca", "told"),
    [
        (HOST, "other/ca/trust.pem", "not of the authority in .* put that authority's root there"),
        ("elsewhere.example", "ca/trust.pem", "names another host: certify it for the host of the connection string"),
        (HOST, "missing.pem", "not there or holds no certificate: put the root"),
        (HOST, "node.key", "not there or holds no certificate: put the root"),
    ],
)
async def test_a_server_that_proves_not_to_be_the_one_meant_is_refused_with_the_remedy(
    database: Database, host: str, ca: str, told: str
) -> None:
    await refused_everywhere(database, section(database.dsn(host), ca), told)


async def test_a_server_that_speaks_no_tls_is_refused_with_the_remedy(database: Database) -> None:
    with database.without_tls():
        await refused_everywhere(database, section(database.dsn()), "speaks no TLS: set ssl = on there")


async def test_a_node_without_a_certificate_is_told_so_where_the_server_wants_one(database: Database) -> None:
    told = "wants a certificate of this node: name one in sslcert and sslkey"
    await refused_everywhere(database, section(database.dsn(sslcertmode="disable")), told)


async def refused_everywhere(database: Database, settings: StoreSection, told: str) -> None:
    """Refuse to serve, to migrate and to look: none of them gets as far as to be let in."""
    layout, began = Layout(database.home), database.server.log.stat().st_size
    with pytest.raises(Misconfigured, match=told):
        async with storing(layout, settings):
            pass
    dsn = connection_string(layout, settings)
    for act in (migrate, applied, look):
        with pytest.raises(TallystickError, match=told):
            act(dsn)
    said = database.server.log.read_bytes()[began:].decode()
    assert "connection received" in said
    assert "connection authorized" not in said


def look(dsn: str) -> None:
    with examining(dsn):
        pass


async def test_a_node_that_serves_refuses_works_while_the_server_is_not_to_be_trusted_and_goes_on_after(
    database: Database, store: PostgresStore
) -> None:
    assert await store.time() > 0

    with database.without_tls():
        database.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tallystick'")
        with pytest.raises(StoreFailed, match="speaks no TLS"):
            await store.time()

    assert await store.time() > 0


def test_no_variable_of_the_environment_sends_a_node_to_another_address(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")  # nobody listens there
    dsn = database.dsn("localhost").replace("hostaddr=127.0.0.1", "")

    assert [] != applied(secured(dsn, None))


def test_the_doctor_tells_what_keeps_the_database_from_being_trusted(
    database: Database, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_STORE__DSN", database.dsn())
    shutil.copy(database.home / "other" / "ca" / "trust.pem", layout.root / "database-ca.pem")

    found = findings(layout)

    assert ["failed"] * 3 == [found[check]["result"] for check in CHECKED]
    assert [] == [each for each in found.values() if "not of the authority in [store] ca" not in each["seen"]]
    assert "Have the database answer" in found["store"]["remedy"]


def test_the_core_of_the_stores_contract_holds_over_tls_on_the_release_of_the_distribution(database: Database) -> None:
    database.ask("CREATE DATABASE contract")
    folder = Path(__file__).parents[1] / "contract"
    modules = [folder / f"test_store_{name}.py" for name in CORE]
    given = ["-k", "not memory and not sqlite", "--database"]
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "pytest", *modules, *given, secured(database.dsn(dbname="contract"), database.ca)],
        capture_output=True,
        text=True,
        timeout=CONTRACT_TIMEOUT_S,
        check=False,
    )

    assert 0 == done.returncode, done.stdout[-5_000:]
    assert [(True,)] == database.ask("SELECT count(*) > 0 FROM schema_migration", "contract"), "they ran on it"
