"""Four eyes over the command line: certificates and operators wait for another person where the settings say so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tallystick.crypto import x509

Run = Callable[..., Result]
Ask = Callable[..., Any]


@pytest.fixture
def four_eyes(platform: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Ask for other people in everything."""
    for kind in ("ca", "operators", "limits", "keys"):
        monkeypatch.setenv(f"TALLYSTICK_FOUR_EYES__{kind.upper()}", "true")
    return monkeypatch


@pytest.fixture
def channel(ask: Ask, run: Run, platform: Path, tmp_path: Path) -> str:
    """Register a channel, with a certificate request in `shop.csr`; return its id."""
    added = ask("channel", "add", "shop", "--kind", "merchant", "--fields", "pan,order", "--mac-key-out", "shop.mac")
    (tmp_path / "shop.csr").write_bytes(x509.make_csr(x509.new_private_key(), common_name="shop"))
    return str(added["id"])


def refused(result: Result) -> str:
    assert 1 == result.exit_code
    return str(json.loads(result.stderr)["error"]["code"])


def test_a_revocation_waits_for_another_person(
    ask: Ask, run: Run, channel: str, request: pytest.FixtureRequest
) -> None:
    serial = ask("ca", "issue-channel", channel, "shop.csr", "--out", "shop.pem")["serial"]
    request.getfixturevalue("four_eyes")
    made = ask("--operator", "ann", "ca", "revoke", serial)
    assert ("proposed", f"tallystick proposals approve {made['proposal']}") == (made["state"], made["next"])
    assert [None] == [each["revoked"] for each in ask("ca", "list") if each["serial"] == serial]
    assert "forbidden" == refused(run("--operator", "ann", "proposals", "approve", made["proposal"], "--json"))
    assert "applied" == ask("--operator", "bo", "proposals", "approve", made["proposal"])["state"]
    assert [True] == [each["revoked"] is not None for each in ask("ca", "list") if each["serial"] == serial]


def test_a_revocation_that_was_made_in_between_is_not_approved(
    ask: Ask, run: Run, channel: str, four_eyes: pytest.MonkeyPatch
) -> None:
    four_eyes.setenv("TALLYSTICK_FOUR_EYES__CA", "false")
    serial = ask("ca", "issue-channel", channel, "shop.csr", "--out", "shop.pem")["serial"]
    four_eyes.setenv("TALLYSTICK_FOUR_EYES__CA", "true")
    first, second = (ask("--operator", "ann", "ca", "revoke", serial)["proposal"] for _ in range(2))
    ask("--operator", "bo", "proposals", "approve", first)
    assert "conflict" == refused(run("--operator", "bo", "proposals", "approve", second, "--json"))


@pytest.mark.usefixtures("four_eyes")
def test_no_certificate_is_issued_by_one_person(run: Run, channel: str, tmp_path: Path) -> None:
    issue = ("ca", "issue-channel", channel, "shop.csr", "--out", "shop.pem", "--json")
    assert "forbidden" == refused(run(*issue))
    add = ("channel", "add", "pc", "--kind", "pc_browser", "--fields", "pan", "--profile-out", "pc")
    assert "forbidden" == refused(run(*add, "--base-url", "https://localhost:1", "--json"))
    assert not (tmp_path / "shop.pem").exists()
    assert not (tmp_path / "pc").exists()


@pytest.mark.usefixtures("four_eyes")
def test_from_the_first_approver_on_an_operator_is_registered_by_two(ask: Ask, run: Run) -> None:
    ask("operator", "add", "ann", "--role", "operator", "--key-out", "ann.key")
    ask("--operator-key", "ann.key", "operator", "add", "bo", "--role", "approver", "--key-out", "bo.key")
    waits = ask("--operator-key", "ann.key", "operator", "add", "eve", "--role", "approver", "--key-out", "eve.key")
    assert "proposed" == waits["state"]
    approve = ("proposals", "approve", waits["proposal"], "--json")
    assert "api_key_refused" == refused(run("--operator-key", "eve.key", *approve))
    assert "forbidden" == refused(run("--operator-key", "ann.key", *approve))
    assert 0 == run("--operator-key", "bo.key", *approve).exit_code
    assert 0 == run("--operator-key", "eve.key", "proposals", "list").exit_code


@pytest.mark.usefixtures("four_eyes")
def test_two_approvals_are_two_persons(ask: Ask, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_FOUR_EYES__APPROVALS", "2")
    ask("operator", "add", "ann", "--role", "operator", "--key-out", "ann.key")
    for person in ("bo", "cy"):
        monkeypatch.setenv("TALLYSTICK_FOUR_EYES__OPERATORS", "false")
        ask("--operator-key", "ann.key", "operator", "add", person, "--role", "approver", "--key-out", f"{person}.key")
    monkeypatch.setenv("TALLYSTICK_FOUR_EYES__OPERATORS", "true")
    made = ask("--operator-key", "ann.key", "operator", "add", "di", "--role", "auditor", "--key-out", "di.key")
    approve = ("proposals", "approve", made["proposal"], "--json")
    assert "proposed" == json.loads(run("--operator-key", "bo.key", *approve).stdout)["state"]
    assert "conflict" == refused(run("--operator-key", "bo.key", *approve))
    assert "applied" == json.loads(run("--operator-key", "cy.key", *approve).stdout)["state"]


@pytest.mark.usefixtures("platform")
def test_zero_approvals_cannot_be_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_FOUR_EYES__APPROVALS", "0")
    assert "misconfigured" == refused(run("proposals", "list", "--json"))


@pytest.mark.usefixtures("four_eyes")
def test_a_rejected_proposal_is_shown_and_never_approved(ask: Ask, run: Run) -> None:
    ask("operator", "add", "ann", "--role", "operator", "--key-out", "ann.key")
    ask("--operator-key", "ann.key", "operator", "add", "bo", "--role", "approver", "--key-out", "bo.key")
    made = ask("--operator-key", "ann.key", "operator", "add", "eve", "--role", "operator", "--key-out", "eve.key")
    ask("--operator-key", "bo.key", "proposals", "reject", made["proposal"])
    assert "conflict" == refused(run("--operator-key", "bo.key", "proposals", "approve", made["proposal"], "--json"))
    listed = ask("--operator-key", "bo.key", "proposals", "list")
    assert [("rejected", "ann", "bo")] == [(each["state"], each["author"], each["decided_by"]) for each in listed]


@pytest.mark.usefixtures("four_eyes")
def test_a_key_is_rotated_and_destroyed_by_two(ask: Ask, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.adapters.keys.rotation.RETIRED_MS", 0)

    def states() -> dict[str, str]:
        return {each["id"]: each["state"] for each in ask("keys", "status") if each["id"].startswith("vault")}

    made = ask("--operator", "ann", "keys", "rotate", "vault")
    assert {"vault-1": "active"} == states()
    assert "forbidden" == refused(run("--operator", "ann", "proposals", "approve", made["proposal"], "--json"))
    ask("--operator", "bo", "proposals", "approve", made["proposal"])
    assert {"vault-1": "verify-only", "vault-2": "active"} == states()
    made = ask("--operator", "ann", "keys", "destroy", "vault", "1")
    assert "verify-only" == states()["vault-1"]
    ask("--operator", "bo", "proposals", "approve", made["proposal"])
    assert "destroyed" == states()["vault-1"]
