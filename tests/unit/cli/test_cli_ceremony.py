"""`tallystick ceremony`, and a platform whose keys are under custodians' key."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]
Ask = Callable[..., Any]
NAMES = ("alice", "bob", "carol")
CREATE = ("ceremony", "create", "--threshold", "2", *(f"--custodian={name}" for name in NAMES))
REAL = ("--operator-key", "ann.key", *CREATE, "--second-key", "bo.key")


@pytest.fixture
def staff(ask: Ask) -> None:
    """Register an operator, an approver and an auditor; each key is in the file `<name>.key`."""
    ask("operator", "add", "ann", "--role", "operator", "--key-out", "ann.key")
    for person, role in (("bo", "approver"), ("cy", "auditor")):
        ask("--operator-key", "ann.key", "operator", "add", person, "--role", role, "--key-out", f"{person}.key")


@pytest.fixture
def held(ask: Ask, staff: None) -> Any:
    """Hold a real ceremony: its shares are in `shares/`, its record in `record.txt`."""
    return ask(*REAL, "--out", "shares", "--record", "record.txt")


@pytest.fixture
def piped(tmp_path: Path) -> Callable[..., str]:
    """Return what `cat` gives of some custodians' share files."""

    def cat(*names: str, place: str = "shares") -> str:
        return "".join((tmp_path / place / f"{name}.share").read_text() for name in names)

    return cat


def groups(text: str) -> set[str]:
    """Return the groups of letters of the shares in a text, which are secret."""
    return {group for word in text.split() if word.startswith("tks1-") for group in word.split("-")[6:]}


def test_each_share_is_a_file_of_its_custodian_and_the_record_holds_no_key_material(
    held: Any, tmp_path: Path, piped: Callable[..., str]
) -> None:
    assert ["alice.share", "bob.share", "carol.share"] == sorted(path.name for path in (tmp_path / "shares").iterdir())
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "shares").iterdir()}
    for name in NAMES:
        assert [name] == [other for other in NAMES if other in piped(name)]
    record = (tmp_path / "record.txt").read_text()
    assert all(word in record for word in (*NAMES, held["ceremony"], held["check"], "ann and bo", "Signature"))
    assert all(share["check"] in record for share in held["shares"])
    told = record + json.dumps(held)
    assert {group for group in groups(piped(*NAMES)) if f"-{group}" in told or f"{group}-" in told} == set()
    assert "REHEARSAL" not in record


def test_any_two_shares_give_the_key_of_the_record(held: Any, run: Run, ask: Ask, piped: Callable[..., str]) -> None:
    for names in (("alice", "bob"), ("carol", "alice"), ("bob", "carol"), NAMES):
        told = run("ceremony", "check", "--shares-file", "-", "--json", typed=piped(*names))
        assert held["check"] == json.loads(told.stdout)["check"]
        assert groups(piped(*NAMES)).isdisjoint(told.output.replace('"', "-").split("-"))


def test_one_share_is_compared_with_the_record_without_the_others(
    held: Any, run: Run, ask: Ask, piped: Callable[..., str]
) -> None:
    told = ask("ceremony", "inspect", "--share-file", "shares/bob.share")
    recorded = held["shares"][1]
    assert (held["ceremony"], 2, 3, recorded["check"]) == (
        told["ceremony"],
        told["number"],
        told["total"],
        told["check"],
    )
    (line,) = (line for line in piped("bob").splitlines() if line.startswith("tks1-"))
    assert told == json.loads(run("ceremony", "inspect", "--json", typed=f"{line}\n").stdout)
    assert "mistyped" in run("ceremony", "inspect", typed=f"{line[:-1]}\n").output
    assert groups(line).isdisjoint(json.dumps(told).replace('"', "-").split("-"))


def test_inspecting_wants_one_share(
    held: Any, run: Run, private: Callable[..., str], piped: Callable[..., str]
) -> None:
    for names in ((), ("alice", "bob")):
        refused = run("ceremony", "inspect", "--share-file", private("given", piped(*names)))
        assert "not one share" in refused.output


def test_the_audit_chain_says_who_began_it(held: Any, ask: Ask) -> None:
    entries = ask("--operator-key", "cy.key", "audit", "show", held["ceremony"])
    assert [("operator:ann", "keys.ceremony", "begun", "bo")] == [
        (entry["actor"], entry["action"], entry["outcome"], entry["details"]["second"]) for entry in entries
    ]


@pytest.mark.parametrize(
    ("names", "told"),
    [(["bob"], "1 more of the 3 shares"), (["bob", "bob"], "given twice"), ([], "no share was given")],
)
def test_too_few_shares_are_refused(
    held: Any, run: Run, piped: Callable[..., str], names: list[str], told: str
) -> None:
    refused = run("ceremony", "check", "--shares-file", "-", typed=piped(*names))
    assert 1 == refused.exit_code
    assert told in refused.output


def test_shares_of_two_ceremonies_do_not_mix(held: Any, run: Run, ask: Ask, piped: Callable[..., str]) -> None:
    ask(*REAL, "--out", "other", "--record", "other.txt")
    mixed = piped("alice") + piped("bob", place="other")
    assert "different ceremonies" in run("ceremony", "check", "--shares-file", "-", typed=mixed).output


def test_a_file_of_shares_is_closed_to_others(
    held: Any, run: Run, private: Callable[..., str], piped: Callable[..., str]
) -> None:
    shares = piped("alice", "carol")
    assert held["check"] in run("ceremony", "check", "--shares-file", private("given", shares)).output
    assert "open to others" in run("ceremony", "check", "--shares-file", private("open", shares, 0o644)).output


# Two persons


def test_one_person_holds_no_ceremony(run: Run, staff: None, tmp_path: Path) -> None:
    alone = ("--operator-key", "ann.key", *CREATE, "--out", "shares", "--record", "record.txt")
    for second, told in (("ann.key", "one person"), ("cy.key", "does not run this")):
        refused = run(*alone, "--second-key", second)
        assert 1 == refused.exit_code
        assert told in refused.output
    (tmp_path / "wrong.key").touch(0o600)
    (tmp_path / "wrong.key").write_text("tsk_live_x")
    assert 1 == run(*alone, "--second-key", "wrong.key").exit_code
    assert not (tmp_path / "shares").exists()
    assert not (tmp_path / "record.txt").exists()


def test_without_operators_there_is_a_rehearsal_only(run: Run, platform: Path) -> None:
    refused = run(*CREATE, "--out", "shares", "--record", "record.txt")
    assert "two proven persons" in refused.output
    assert 0 == run(*CREATE, "--out", "shares", "--record", "record.txt", "--rehearsal").exit_code


def test_a_rehearsal_needs_no_platform_and_its_shares_protect_nothing(
    run: Run, tmp_path: Path, piped: Callable[..., str]
) -> None:
    assert 0 == run(*CREATE, "--out", "shares", "--record", "record.txt", "--rehearsal").exit_code
    assert "REHEARSAL" in (tmp_path / "record.txt").read_text()
    assert all("REHEARSAL" in piped(name) for name in NAMES)
    assert 0 == run("ceremony", "check", "--shares-file", "-", typed=piped("alice", "bob")).exit_code
    assert 0 == run("init", "--port", "0").exit_code
    refused = run("keys", "protect", "--with", "shares", "--shares-file", "-", typed=piped("alice", "bob"))
    assert "rehearsal" in refused.output


@pytest.mark.parametrize(
    "wrong",
    [
        ("--threshold", "1", "--custodian", "alice", "--custodian", "bob"),
        ("--threshold", "3", "--custodian", "alice", "--custodian", "bob"),
        ("--threshold", "2", "--custodian", "alice", "--custodian", "alice"),
        ("--threshold", "2", "--custodian", "alice", "--custodian", "../bob"),
    ],
)
def test_a_ceremony_that_cannot_be_is_wrong_usage(run: Run, tmp_path: Path, wrong: tuple[str, ...]) -> None:
    refused = run("ceremony", "create", *wrong, "--rehearsal", "--out", "shares", "--record", "record.txt")
    assert 2 == refused.exit_code
    assert not (tmp_path / "shares").exists()


def test_nothing_is_overwritten_and_shares_go_to_no_pipe(run: Run, tmp_path: Path) -> None:
    assert "on a terminal only" in run(*CREATE, "--rehearsal", "--record", "record.txt").output
    (tmp_path / "shares").mkdir()
    assert "is there already" in run(*CREATE, "--rehearsal", "--out", "shares", "--record", "record.txt").output
    assert [] == list((tmp_path / "shares").iterdir())


# A platform under custodians' key


def test_a_platform_under_custodians_key_opens_with_enough_shares_only(
    held: Any, run: Run, platform: Path, piped: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect = ("keys", "protect", "--with", "shares", "--shares-file", "-")
    before = sorted(path.read_bytes() for path in (platform / "keys").iterdir())
    assert 0 != run(*protect, typed=piped("alice", "bob")).exit_code  # by nobody who is proven
    assert before == sorted(path.read_bytes() for path in (platform / "keys").iterdir())
    done = run("--operator-key", "ann.key", *protect, typed=piped("alice", "bob"))
    assert 0 == done.exit_code
    assert not any(b"purpose" in path.read_bytes() for path in (platform / "keys").iterdir())
    monkeypatch.setenv("TALLYSTICK_KEYS__PROVIDER", "shares")
    looking = ("--operator-key", "cy.key", "channel", "list")
    assert "TALLYSTICK_KEYS__SHARES_FILE" in run(*looking).output
    monkeypatch.setenv("TALLYSTICK_KEYS__SHARES_FILE", str(tmp_path / "given"))
    (tmp_path / "given").write_text(piped("carol"))
    assert "1 more of the 3 shares" in run(*looking).output
    (tmp_path / "given").write_text(piped("carol", "bob"))
    assert 0 == run(*looking).exit_code


def test_shares_never_stand_in_the_settings(run: Run, platform: Path) -> None:
    with (platform / "tallystick.toml").open("a") as settings:
        settings.write('\n[keys]\nshares = "tks1-abcd"\n')
    refused = run("channel", "list")
    assert "keys.shares is a secret" in refused.output
    assert "abcd" not in refused.output
