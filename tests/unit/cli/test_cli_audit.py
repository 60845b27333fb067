"""`tallystick audit`: what operators read, and what they find when somebody was at the record."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., Any]

FORGE = """
DROP TRIGGER audit_never_changes; DROP TRIGGER audit_never_shrinks;
DROP TRIGGER audit_checkpoint_never_changes; DROP TRIGGER audit_checkpoint_never_goes;
"""


@pytest.fixture
def busy(ask: Ask) -> Ask:
    """Do a few things that leave entries, and sign the head."""
    made = ask("channel", "add", "shop", "--kind", "merchant", "--fields", "pan", "--mac-key-out", "shop.key")
    for verb in ("suspend", "resume", "suspend"):
        ask("channel", verb, made["id"])
    assert {"made": True} == ask("audit", "checkpoint")
    ask("channel", "resume", made["id"])
    return ask


def forge(platform: Path, statement: str) -> None:
    """Do to the store what only its owner's rights allow."""
    db = sqlite3.connect(platform / "store.db")
    db.executescript(FORGE + statement)
    db.close()


def tampered(run: Any, *arguments: str) -> list[str]:
    result = run("audit", "verify", *arguments, "--json")
    assert 1 == result.exit_code
    assert "tampered" in json.loads(result.stderr)["error"]["detail"]
    return [f"{fault['seq']}: {fault['what'].split(':')[0]}" for fault in json.loads(result.stdout)["faults"]]


def test_a_chain_that_nobody_touched_is_whole_and_proven_up_to_its_checkpoint(busy: Ask) -> None:
    found = busy("audit", "verify")
    assert {"entries": found["proven"] + 1, "checkpoints": 1, "proven": found["proven"]} == found
    assert {"made": True} == busy("audit", "checkpoint")
    assert {"made": False} == busy("audit", "checkpoint")
    assert found["entries"] == busy("audit", "verify")["proven"]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit SET body = replace(body, 'suspended', 'active') WHERE seq = 4", "4: the hash does not fit"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 3", "3: the hash does not fit"),
        ("UPDATE audit SET body = CAST(x'ff00' AS TEXT) WHERE seq = 3", "3: the hash does not fit"),
        ("DELETE FROM audit WHERE seq = 3", "4: entry 3 is missing or out of place"),
        ("DELETE FROM audit WHERE seq > 2", "6: the chain does not reach this checkpoint"),
        ("UPDATE audit_checkpoint SET at = at + 1", "6: no key of the platform signed this checkpoint"),
    ],
)
def test_what_somebody_did_to_the_store_is_found(
    run: Any, busy: Ask, platform: Path, statement: str, fault: str
) -> None:
    forge(platform, statement)
    assert fault in tampered(run)


def test_a_copy_is_verified_with_the_keys_of_the_platform_and_with_its_anchor(
    run: Any, busy: Ask, platform: Path, tmp_path: Path
) -> None:
    with (platform / "tallystick.toml").open("a") as settings:
        settings.write('\n[audit]\nanchor = "../anchor.jsonl"\n')
    busy("audit", "checkpoint")
    assert 3 == busy("audit", "verify")["checkpoints"]  # two in the store, one of them in the anchor as well
    db = sqlite3.connect(platform / "store.db")
    db.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    db.close()
    assert busy("audit", "verify")["entries"] == busy("audit", "verify", "--store", "copy.db")["entries"]

    # Who owns the store removes the end, and the checkpoints that tell of it: the anchor still does.
    forge(platform, "DELETE FROM audit WHERE seq > 2; DELETE FROM audit_checkpoint")
    assert ["7: the chain does not reach this checkpoint"] == tampered(run)
    assert 0 == run("audit", "verify", "--store", "copy.db").exit_code


def test_an_export_is_verified_as_the_store_is_and_its_own_entry_is_in_it(run: Any, busy: Ask, tmp_path: Path) -> None:
    lines = run("audit", "export").stdout.splitlines()
    entries = [json.loads(line)["entry"] for line in lines if '"entry":[' in line]
    assert ["audit.read", "export"] == entries[-1][3:5]
    (tmp_path / "whole.jsonl").write_text("\n".join(lines))
    assert len(entries) == busy("audit", "verify", "--export", "whole.jsonl")["proven"]
    (tmp_path / "changed.jsonl").write_text("\n".join(lines).replace("channel.changed", "channel.added", 1))
    assert "the hash does not fit" in tampered(run, "--export", "changed.jsonl")[0]
    (tmp_path / "nonsense.jsonl").write_text("{}\nnonsense")
    assert 1 == run("audit", "verify", "--export", "nonsense.jsonl").exit_code


def test_who_saw_what_is_in_the_chain_too(run: Any, ask: Ask) -> None:
    run("--operator", "mallory", "payment", "list")
    run("--operator", "mallory", "payment", "show", "pay_none")
    run("--operator", "mallory", "delivery", "doubts")
    run("--operator", "mallory", "audit", "show", "operator:mallory")

    seen = [(e["action"], e["outcome"]) for e in ask("audit", "tail") if e["actor"] == "operator:mallory"]
    assert [("payment.read", "list"), ("payment.read", "doubts"), ("audit.read", "show")] == seen


def test_the_entries_of_one_subject_or_operator_are_shown_oldest_first(busy: Ask, ask: Ask) -> None:
    channel = ask("channel", "list")[0]["id"]
    shown = ask("audit", "show", channel)
    assert ["channel.added", *["channel.changed"] * 4] == [entry["action"] for entry in shown]
    assert ["done", "suspended", "active", "suspended", "active"] == [entry["outcome"] for entry in shown]
