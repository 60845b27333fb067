"""No unaudited operation: every command leaves exactly its entries, only reads, or says why it needs none."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tallystick.cli.main import cli
from tallystick.crypto import x509

ROOT = Path(__file__).parents[3]
PASSWORD = "correct horse battery"  # of this test's payer
URL = "https://localhost:1"
CLIENT = "speaks to a platform over the network as a client, which audits what it then does"
ROWS = "changes rows of the store alone, which refuses every write without a rule (tests/contract/test_store_audit.py)"
OWN = "reads what it is given, and opens no platform"

EXEMPT = {
    "audit checkpoint": "signs the chain's head: the checkpoint is the record of itself",
    "ca export-request": "writes the request that a party made, which is public, to a file",
    "ca import-chain": ROWS,
    "ceremony check": OWN,
    "ceremony inspect": OWN,
    "delivery resolve": ROWS,
    "demo": "makes platforms of its own for one hour and removes them; each audits what is done in it",
    "enrol": CLIENT,
    "listen": CLIENT,
    "pages link": ROWS,
    "pages verify": CLIENT,
    "part send": CLIENT,
    "part show": CLIENT,
    "payment create": CLIENT,
    "receipt verify": OWN,
    "serve": "serves until it is stopped: each message, timer and certificate in it has its own entries",
    "store migrate": "makes the tables before there is a chain to write to; the database names each migration",
    "store status": "reads the database's list of migrations, before there may be a store to open",
    "test advance": CLIENT,
    "test pay": CLIENT,
    "trigger": CLIENT,
    "worker": "works until it is stopped: each timer and delivery in it has its own entries",
}
"""Commands that leave no entry by themselves, and why."""

ELSEWHERE = {
    "ca approve": "tests/e2e/test_enrolment.py",
    "ceremony create": "tests/unit/cli/test_cli_ceremony.py",
    "hsm create-key": "tests/unit/cli/test_cli_hsm.py",
    "hsm status": "tests/unit/cli/test_cli_hsm.py",
    "institution connect": "tests/unit/cli/test_cli_doctor.py",
    "institution test": "tests/unit/cli/test_live_test.py",
    "keys destroy": "tests/unit/cli/test_cli_keys.py",
    "payment show": "tests/e2e/test_cli.py",
    "pin import-key": "tests/unit/cli/test_cli_pin.py",
    "webhook redeliver": "tests/unit/cli/test_cli_webhook.py",
}
"""Commands that need more than a new platform, and where they run."""


LEAVES = {
    "apikey add": ["api-key.set"],
    "apikey revoke": ["api-key.set=revoked"],
    "apikey rotate": ["api-key.set"],
    "audit export": ["audit.read=export"],
    "audit show": ["audit.read=show"],
    "audit tail": ["audit.read=tail"],
    "ca anchor add": ["anchor.added"],
    "ca anchor remove": ["anchor.removed"],
    "ca deny": ["certificate.denied"],
    "ca invite": ["enrolment.invited"],
    "ca issue-back-end": ["certificate.issued=begun"],
    "ca issue-channel": ["certificate.issued=begun"],
    "ca reject": ["enrolment.moved=rejected"],
    "ca revoke": ["certificate.revoked=begun"],
    "channel add": ["channel.added", "certificate.issued=begun"],
    "channel resume": ["channel.changed=active"],
    "channel suspend": ["channel.changed=suspended"],
    "delivery doubts": ["payment.read=doubts"],
    "delivery drain": ["institution.status=draining"],
    "init": ["certificate.issued=begun", "routes.changed"],
    "institution add": ["routes.changed"],
    "institution status": ["institution.status=active"],
    "keys protect": ["keys.changed=protect"],
    "keys rewrap": ["keys.rewrapped"],
    "keys rotate": ["keys.changed=rotate"],
    "keys rotate-channel": ["channel.changed=active"],
    "keys rotate-opening": ["keys.changed=rotate"],
    "limits set": ["proposal.made"],  # the last run, under four eyes; what it proposed is `limits.set` when approved
    "operator add": ["api-key.set"],
    "operator rotate": ["api-key.set"],
    "operator suspend": ["api-key.set=revoked"],
    "payment list": ["payment.read=list"],
    "pin make-key": ["pin-key.added"],
    "pin retire": ["pin-key.retired"],
    "proposals approve": ["limits.set"],
    "proposals reject": ["proposal.moved=rejected"],
    "routes approve": ["routes.decided=applied"],
    "routes import": ["routes.changed"],
    "routes propose": ["routes.proposed"],
    "routes reject": ["routes.decided=rejected"],
    "routes rollback": ["routes.changed"],
    "user add": ["user.added"],
    "user app": ["user.changed"],
    "user credential": ["password.tried", "password.right", "credential.stored"],
    "webhook add": ["endpoint.set=active"],
    "webhook disable": ["endpoint.set=disabled"],
    "webhook enable": ["endpoint.set=active"],
    "webhook rotate": ["endpoint.set=active"],
}
"""Commands that change something or show payments, and the entries that each run of the story below leaves."""

READS = {
    "apikey list",
    "audit verify",
    "blast-radius",
    "ca anchor list",
    "ca denied",
    "ca list",
    "ca requests",
    "ca trust",
    "channel list",
    "channel show",
    "doctor",
    "events tail",
    "institution list",
    "keys status",
    "limits show",
    "nodes",
    "operator list",
    "pin list",
    "proposals list",
    "prove-erasure",
    "routes changes",
    "routes diff",
    "routes explain",
    "routes history",
    "routes rules",
    "routes table",
    "user numbers renew",  # while no number is due
    "user numbers status",
    "webhook dead-letters",
    "webhook list",
}
"""Commands that run in the story below and leave no entry."""


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*path, name))
    else:
        yield " ".join(path)


class Shell:
    """Run commands on one platform, and note which entries each one left."""

    def __init__(self, data: Path) -> None:
        self.store = data / "store.db"
        self.seen: dict[str, list[str]] = {}
        self.actors: set[str] = set()
        self.before: tuple[str, ...] = ()

    def __call__(self, command: str, *arguments: str, typed: str | None = None) -> Any:
        """Run a command that must succeed; return its document, None where it is not one."""
        after = self.count()
        words = [*self.before, *command.split(), *arguments, "--json"]
        result = CliRunner().invoke(cli, words, input=typed, prog_name="tallystick")
        assert 0 == result.exit_code, (command, result.output)
        left = self.entries(after)
        self.seen[command] = [entry[3] + ("" if entry[4] == "done" else f"={entry[4]}") for entry in left]
        self.actors |= {entry[2] for entry in left}
        try:
            return json.loads(result.stdout)
        except json.JSONDecodeError:
            return None

    def count(self) -> int:
        return len(self.entries(0))

    def entries(self, after: int) -> list[list[Any]]:
        if not self.store.exists():
            return []
        db = sqlite3.connect(self.store)
        try:
            rows = db.execute("SELECT body FROM audit WHERE seq > ? ORDER BY seq", (after,)).fetchall()
        finally:
            db.close()
        return [json.loads(row[0]) for row in rows]


def parties(shell: Shell, home: Path) -> None:
    """Run what registers channels, back ends and their certificates."""
    shell("channel add", "till", "--kind", "merchant", "--fields", "pan", "--mac-key-out", "till.mac")
    added = shell(
        "channel add", "shop", "--kind", "merchant", "--fields", "pan,order", "--profile-out", "shop", "--base-url", URL
    )
    shop = added["id"]
    for command in ("channel suspend", "channel resume", "channel show"):
        shell(command, shop)
    shell("channel list")
    bank = shell("institution add", "Bank", "--connector", "rest", "--schemes", "bamboo")["id"]
    shell("institution list")
    shell("institution status", bank, "active")
    shell("ca requests")
    asked = shell("ca invite", "channel", shop)["id"]
    shell("ca reject", asked)
    (home / "any.csr").write_bytes(
        x509.make_csr(x509.new_private_key(), uri="tallystick:channel:any", common_name="any")
    )
    serial = shell("ca issue-channel", shop, "any.csr", "--out", "shop.pem")["serial"]
    shell("ca issue-back-end", bank, "any.csr", "--out", "bank.pem")
    for command in ("ca list", "ca trust", "ca denied", "ca anchor list"):
        shell(command)
    shell("ca revoke", serial)
    shell("ca deny", "bank.pem")
    anchor = shell("ca anchor add", "institution", bank, "data/ca/trust.pem", "--no-crl")
    shell("ca anchor remove", anchor["id"])
    people(shell, shop, bank)


def people(shell: Shell, shop: str, bank: str) -> None:
    """Run what concerns payers, holders of API keys, terminals and merchants' endpoints."""
    shell("user add", "lihua", "--email", "lihua@example.org", typed=f"{PASSWORD}\n{PASSWORD}\n")
    shell("user app", "lihua", "--uri-out", "app.uri")
    shell(
        "user credential",
        "lihua",
        "--institution",
        bank,
        "--kind",
        "account",
        typed=f"{PASSWORD}\nbamboo:lihua\nriver-stone\n",
    )
    shell("user numbers renew")
    shell("user numbers status")
    key = shell("apikey add", "bookshop", "--key-out", "1.key")["id"]
    shell("apikey rotate", key, "--key-out", "2.key")
    shell("apikey revoke", key)
    shell("apikey list")
    endpoint = shell("webhook add", shop, "https://shop.example/hook", "--secret-out", "1.whsec")["id"]
    shell("webhook rotate", endpoint, "--secret-out", "2.whsec")
    shell("webhook disable", endpoint)
    shell("webhook enable", endpoint)
    shell("webhook list")
    shell("webhook dead-letters")
    shell("delivery drain", bank)
    shell("pin make-key", "app-1", "--channel", shop, "--profile", "shop")
    shell("pin list")
    shell("pin retire", "app-1")


def record(shell: Shell) -> None:
    """Run what reads the record, and what of routes and limits one person changes alone."""
    shell("limits set", "element", "20/10m")
    Path("rules.csv").write_text("low,high,schemes\n99,99,visa\n")
    shell("routes import", "rules.csv")
    shell("routes rollback", str(shell("routes table")["version"] - 1))
    for command in ("routes changes", "routes history", "routes rules", "limits show", "nodes", "payment list"):
        shell(command)
    shell("routes diff", "1")
    shell("delivery doubts")
    shell("doctor")
    shell("blast-radius", "--database")
    for command in ("audit tail", "audit export", "audit verify", "audit checkpoint", "prove-erasure"):
        shell(command)
    shell("audit show", "operator:ann")
    shell("routes explain", "--institution", shell("institution list")[0]["id"])
    shell("events tail", "--until-now")


def keys(shell: Shell, home: Path) -> None:
    """Run what concerns the platform's own keys."""
    shell("keys status")
    shell("keys rotate", "vault")
    shell("keys rotate-channel", shell("channel list")[0]["id"], "--mac-key-out", "till-2.mac")
    shell("keys rotate-opening")
    shell("keys rewrap")
    (home / "passphrase").touch(0o600)
    (home / "passphrase").write_text("correct horse battery staple nine\n")
    shell("keys protect", "--passphrase-file", "passphrase")


def four_eyes(shell: Shell, home: Path) -> None:
    """Run what one person proposes and another decides; then what registers persons."""
    with (home / "data" / "tallystick.toml").open("a") as settings:
        settings.write("\n[four_eyes]\nlimits = true\n")
    table = shell("routes table")
    table["back_ends"][0]["name"] = "Another name"
    (home / "table.json").write_text(json.dumps(table))
    proposed = [shell("routes propose", "table.json")["submitted"]["change"] for _ in range(2)]
    asked = [shell("limits set", "credential", limit)["proposal"] for limit in ("5/1h", "6/1h")]
    shell("proposals list")
    shell.before = ("--operator", "bo")
    shell("routes reject", proposed[0])
    shell("routes approve", proposed[1])
    shell("proposals approve", asked[0])
    shell("proposals reject", asked[1])
    shell.before = ()
    shell("operator add", "ann", "--role", "operator", "--key-out", "ann.key")
    shell.before = ("--operator-key", "ann.key")
    shell("operator add", "cy", "--role", "auditor", "--key-out", "cy.key")
    shell("operator list")
    shell("operator suspend", "cy")
    shell("operator rotate", "--key-out", "ann-2.key")
    shell.before = ("--operator-key", "ann-2.key")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Run all that a new platform can be asked for, once."""
    home = tmp_path_factory.mktemp("audited")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("TALLYSTICK_DATA", str(home / "data"))
        patch.setenv("TALLYSTICK_OPERATOR", "ann")
        made = Shell(home / "data")
        made("init", "--port", "0")
        parties(made, home)
        record(made)
        four_eyes(made, home)
        keys(made, home)
        yield made


def test_each_command_leaves_exactly_its_entries(shell: Shell) -> None:
    changed = {command: left for command, left in shell.seen.items() if command not in {*READS, *EXEMPT}}
    assert LEAVES == changed


def test_a_command_that_only_reads_leaves_no_entry(shell: Shell) -> None:
    assert {} == {command: shell.seen[command] for command in READS if shell.seen[command]}


def test_each_entry_names_the_operator_who_ran_the_command(shell: Shell) -> None:
    assert {"operator:ann", "operator:bo"} == shell.actors


def test_every_command_is_accounted_for() -> None:
    """When this fails for a new command: run it in the story and name its entries, or say why it leaves none."""
    named = [*LEAVES, *READS, *EXEMPT, *ELSEWHERE]
    assert sorted(commands(cli)) == sorted(named)


@pytest.mark.parametrize("command", ELSEWHERE)
def test_a_command_that_needs_more_than_a_new_platform_runs_elsewhere(command: str) -> None:
    words = ", ".join(f'"{word}"' for word in command.split())
    assert words in (ROOT / ELSEWHERE[command]).read_text()
