"""Commands on a platform that has operators: who they are is proven, and each role does its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]
Ask = Callable[..., Any]

CHANGING = [
    ("channel", "add", "x", "--kind", "merchant", "--fields", "pan,order", "--mac-key-out", "x.key"),
    ("institution", "add", "Bank", "--connector", "iso8583", "--schemes", "unionpay"),
    ("routes", "import", "--shipped"),
    ("ca", "revoke", "00"),
    ("apikey", "add", "bookshop", "--key-out", "shop.key"),
    ("operator", "add", "eve", "--role", "operator", "--key-out", "eve.key"),
    ("operator", "suspend", "ann"),
    ("user", "numbers", "renew"),
]
LOOKING = [
    ("channel", "list"),
    ("institution", "list"),
    ("routes", "history"),
    ("ca", "list"),
    ("apikey", "list"),
    ("operator", "list"),
    ("payment", "list"),
    ("delivery", "doubts"),
    ("events", "tail", "--until-now"),
    ("webhook", "list"),
]


@pytest.fixture
def staff(ask: Ask) -> None:
    """Register an operator, an approver and an auditor; each key is in the file `<name>.key`."""
    ask("operator", "add", "ann", "--role", "operator", "--key-out", "ann.key")
    for person, role in (("bo", "approver"), ("cy", "auditor")):
        ask("--operator-key", "ann.key", "operator", "add", person, "--role", role, "--key-out", f"{person}.key")


def refused(result: Result) -> str:
    assert 1 == result.exit_code
    return str(json.loads(result.stderr)["error"]["code"])


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize("command", CHANGING, ids=lambda command: " ".join(command[:2]))
def test_a_command_that_changes_things_wants_an_operator(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "none.key").touch(0o600)
    (tmp_path / "none.key").write_text("tsk_live_\n")
    assert "api_key_refused" == refused(run("--operator-key", "none.key", *command, "--json"))
    for person in ("bo", "cy"):
        assert "forbidden" == refused(run("--operator-key", f"{person}.key", *command, "--json"))
    assert not (tmp_path / "eve.key").exists()


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize("command", LOOKING, ids=lambda command: " ".join(command[:2]))
def test_an_auditor_looks_at_everything_and_nobody_without_a_key_does(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert 0 == run("--operator-key", "cy.key", *command).exit_code
    assert "api_key_refused" == refused(run(*command, "--json", typed="\n"))


@pytest.mark.usefixtures("staff")
def test_what_is_changed_is_in_the_name_of_the_key_and_a_false_name_is_refused(run: Run, ask: Ask) -> None:
    ask("--operator-key", "ann.key", "institution", "add", "Bank", "--connector", "iso8583", "--schemes", "unionpay")
    assert "ann" == ask("--operator-key", "ann.key", "routes", "history")[0]["author"]
    result = run("--operator-key", "ann.key", "--operator", "bo", "channel", "list", "--json")
    assert "forbidden" == refused(result)


@pytest.mark.usefixtures("staff")
def test_an_operator_s_key_is_asked_for_where_no_file_is_named(run: Run, tmp_path: Path) -> None:
    assert 0 == run("channel", "list", typed=(tmp_path / "cy.key").read_text()).exit_code


@pytest.mark.usefixtures("staff")
def test_a_key_file_that_others_may_read_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ann.key").chmod(0o644)
    assert 1 == run("--operator-key", "ann.key", "channel", "list").exit_code


@pytest.mark.usefixtures("staff")
def test_each_person_renews_their_own_key(run: Run, ask: Ask) -> None:
    made = ask("--operator-key", "bo.key", "operator", "rotate", "--overlap", "1m", "--key-out", "bo-2.key")
    assert ("bo", "approver") == (made["holder"], made["role"])
    assert 0 == run("--operator-key", "bo-2.key", "operator", "list").exit_code


@pytest.mark.usefixtures("staff")
def test_a_suspended_person_runs_nothing(run: Run, ask: Ask) -> None:
    ask("--operator-key", "ann.key", "operator", "suspend", "cy")
    assert "api_key_refused" == refused(run("--operator-key", "cy.key", "channel", "list", "--json"))
    assert 1 == run("--operator-key", "ann.key", "operator", "suspend", "ann").exit_code


@pytest.mark.usefixtures("staff")
def test_the_author_of_a_change_cannot_approve_it_under_another_key_of_theirs(
    run: Run, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_ROUTING__FOUR_EYES", "true")
    ask("--operator-key", "ann.key", "operator", "add", "ann", "--role", "approver", "--key-out", "ann-2.key")
    made = ask(
        "--operator-key", "ann.key", "institution", "add", "Bank", "--connector", "iso8583", "--schemes", "unionpay"
    )
    approve = ("routes", "approve", made["change"], "--json")
    for key in ("ann.key", "ann-2.key", "cy.key"):
        assert "forbidden" == refused(run("--operator-key", key, *approve))
    assert 0 == run("--operator-key", "bo.key", *approve).exit_code
