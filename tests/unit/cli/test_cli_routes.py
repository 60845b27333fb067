"""`tallystick routes`: explain, history, and changes by one operator or two."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tallystick.cli.app import this_user

Run = Callable[..., Result]
Ask = Callable[..., Any]
Private = Callable[..., str]

PAN = "6222021234567890"
UNIONPAY = ("institution", "add", "UnionPay", "--connector", "iso8583", "--schemes", "unionpay")
VISA = ("institution", "add", "VISA", "--connector", "rest", "--schemes", "visa", "--currencies", "USD")
ANN, BO = ("--operator", "ann"), ("--operator", "bo")


def refused(result: Result, *, code: int = 1) -> str:
    assert code == result.exit_code
    assert "" == result.stdout
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture
def four_eyes(platform: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for two operators from here on."""
    monkeypatch.setenv("TALLYSTICK_ROUTING__FOUR_EYES", "true")


def edited(ask: Ask, tmp_path: Path, **fields: Any) -> str:
    """Write the present table with its first institution changed; return the file's name."""
    table = ask("routes", "table")
    table["back_ends"][0].update(fields)
    (tmp_path / "table.json").write_text(json.dumps(table))
    return "table.json"


# Explain


def test_a_route_is_explained_by_the_leading_digits_and_shows_no_more_of_them(run: Run, ask: Ask) -> None:
    institution = ask(*UNIONPAY)["id"]
    for result in (run("routes", "explain", PAN), run("routes", "explain", "-", typed=f"{PAN}\n")):
        assert 0 == result.exit_code
        assert re.search(rf"- +{institution} +UnionPay +is suspended; scheme unionpay", result.stdout)
        assert PAN[:9] in result.output
        assert PAN[:10] not in result.output


def test_an_explanation_names_range_source_version_and_the_standing_of_all(ask: Ask) -> None:
    unionpay, visa = ask(*UNIONPAY)["id"], ask(*VISA)["id"]
    for institution in (unionpay, visa):
        ask("institution", "status", institution, "active")
    found = ask("routes", "explain", "439225001", "--currency", "USD")
    assert ("439225", ["unionpay", "visa"], 3) == (found["range"], found["schemes"], found["version"])
    assert "cardbin" in found["source"]
    assert [unionpay, visa] == found["candidates"]
    chosen = ask("routes", "explain", "439225001", "--currency", "USD", "--brand", "visa")
    assert [visa] == chosen["candidates"]
    assert {visa: "scheme visa, priority 100", unionpay: "serves unionpay"} == {
        each["id"]: each["why"] for each in chosen["standings"]
    }


def test_a_route_is_explained_for_an_institution_and_an_account_scheme(ask: Ask) -> None:
    institution = ask("institution", "add", "Qianbao", "--connector", "rest", "--schemes", "qianbao")["id"]
    ask("institution", "status", institution, "active")
    assert [institution] == ask("routes", "explain", "--institution", institution)["candidates"]
    assert [institution] == ask("routes", "explain", "--scheme", "qianbao", "--currency", "EUR")["candidates"]


def test_a_number_that_leads_nowhere_fails_with_a_remedy_and_without_the_number(run: Run, ask: Ask) -> None:
    ask(*UNIONPAY)
    said = refused(run("routes", "explain", "9922021234567890"))
    assert "import rules" in said
    assert "serves unionpay" in said
    assert "992202" not in said
    refused(run("routes", "explain"), code=2)
    refused(run("routes", "explain", "62", "--scheme", "qianbao"), code=2)
    refused(run("routes", "explain", "not-a-number"), code=2)


def test_too_few_digits_are_told_instead_of_guessed(run: Run, platform: Path) -> None:
    said = refused(run("routes", "explain", "62"))
    assert "too few" in said
    assert "first 9 digits" in said


# Import


def test_rules_that_were_listed_can_be_imported(ask: Ask, tmp_path: Path) -> None:
    listed = ask("routes", "rules")
    assert {"low": "62", "high": "62", "schemes": ["unionpay"]}.items() <= next(
        each for each in listed if each["high"] == "62"
    ).items()
    more = [*listed, {"prefix": "99", "schemes": ["visa"]}]
    (tmp_path / "rules.json").write_text(json.dumps(more))
    imported = ask("routes", "import", "rules.json", "--note", "a letter of March")
    assert ("applied", 2) == (imported["submitted"]["state"], imported["submitted"]["version"])
    assert (len(more), []) == (imported["coverage"]["rules"], imported["coverage"]["gaps"])
    assert ["range 99 is new: visa"] == imported["comparison"]["words"]
    assert {"low": "99", "high": "99", "schemes": ["visa"], "source": "rules.json"} in ask("routes", "rules")
    newest = ask("routes", "history")[0]
    assert (2, "a letter of March", this_user()) == (newest["version"], newest["note"], newest["author"])


def test_an_import_reports_overlaps_and_gaps_and_a_dry_run_changes_nothing(run: Run, ask: Ask, tmp_path: Path) -> None:
    institution = ask(*UNIONPAY)["id"]
    (tmp_path / "few.csv").write_text("low,high,schemes\n60,64,discover\n63,69,unionpay\n")
    before = ask("routes", "table")
    found = ask("routes", "import", "few.csv", "--dry-run")
    assert ["60-64 (discover) and 63-69 (unionpay)"] == found["coverage"]["overlaps"]
    assert "62000-62777 loses unionpay" in found["coverage"]["gaps"]
    assert "submitted" not in found or found["submitted"] is None
    assert [institution] in [move["before"] for move in found["comparison"]["moves"]]
    assert before == ask("routes", "table")
    people = run("routes", "import", "few.csv").stdout
    assert "more: --json has all" in people
    assert re.search(r"version +3", people)


def test_the_shipped_set_comes_back(ask: Ask, tmp_path: Path, run: Run) -> None:
    shipped = ask("routes", "rules")
    (tmp_path / "few.csv").write_text("low,high,schemes\n62,62,unionpay\n")
    ask("routes", "import", "few.csv")
    ask("routes", "import", "--shipped")
    assert shipped == ask("routes", "rules")
    refused(run("routes", "import"), code=2)
    refused(run("routes", "import", "few.csv", "--shipped"), code=2)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('{"prefix": "62"}', "holds no issuer rules"),
        ('[{"prefix": "6222021234", "schemes": ["unionpay"]}]', "entry 1"),
        ('[{"prefix": "62", "schemes": []}]', "entry 1"),
        ("low,high,schemes\n62,,unionpay\n6,,x y z\n", "line 3"),
        ("low,high,schemes\n62,,unionpay\n62,,visa\n", "line 3"),
    ],
)
def test_rules_of_a_wrong_form_change_nothing(rules: str, said: str, run: Run, ask: Ask, tmp_path: Path) -> None:
    before = ask("routes", "table")["version"]
    (tmp_path / "rules").write_text(rules)
    answer = refused(run("routes", "import", "rules"))
    assert "remedy:" in answer
    assert said in answer
    assert before == ask("routes", "table")["version"]


# Changes


def test_one_operator_changes_the_table_at_once_where_two_are_not_asked_for(ask: Ask) -> None:
    made = ask(*ANN, *UNIONPAY)
    assert made["change"] is None
    newest = ask("routes", "history")[0]
    assert ("ann", None, "institution UnionPay added") == (newest["author"], newest["approver"], newest["note"])


def test_status_is_no_change_of_the_table(ask: Ask) -> None:
    institution = ask(*UNIONPAY)["id"]
    before = ask("routes", "table")["version"]
    assert "draining" == ask("institution", "status", institution, "draining")["status"]
    table = ask("routes", "table")
    assert (before, "draining") == (table["version"], table["back_ends"][0]["status"])


@pytest.mark.usefixtures("four_eyes")
def test_an_institution_waits_for_a_second_operator(run: Run, ask: Ask) -> None:
    made = ask(*ANN, *UNIONPAY)
    assert [] == ask("institution", "list")
    assert "no institution has this id" in refused(run("institution", "status", made["id"], "active"))
    reviewed = ask("routes", "changes", made["change"])
    assert any(made["id"] in words for words in reviewed["comparison"]["words"])
    said = refused(run(*ANN, "routes", "approve", made["change"]))
    assert "another operator" in said
    assert 2 == ask(*BO, "routes", "approve", made["change"])["version"]
    assert [made["id"]] == [each["id"] for each in ask("institution", "list")]
    newest = ask("routes", "history")[0]
    assert ("ann", "bo") == (newest["author"], newest["approver"])


@pytest.mark.usefixtures("four_eyes")
def test_people_are_told_how_a_waiting_change_is_approved(run: Run) -> None:
    said = run(*ANN, *UNIONPAY).stdout
    change = re.search(r"rc_[0-9a-f]{32}", said)
    assert change is not None
    assert f"routes approve {change[0]}" in said


def test_a_proposed_table_is_reviewed_approved_and_rolled_back(run: Run, ask: Ask, tmp_path: Path) -> None:
    institution = ask(*UNIONPAY)["id"]
    file = edited(ask, tmp_path, priority=7)
    looked = ask("routes", "propose", file, "--dry-run")
    words = [f"institution {institution} (UnionPay): priority 100 becomes 7"]
    assert words == looked["comparison"]["words"]
    assert [] == ask("routes", "changes")
    waiting = ask(*ANN, "routes", "propose", file, "--note", "first")["submitted"]
    assert ("proposed", 2) == (waiting["state"], ask("routes", "table")["version"])
    assert 3 == ask(*ANN, "routes", "approve", waiting["change"])["version"]
    assert words == ask("routes", "diff", "2")["words"] == ask("routes", "diff", "2", "3")["words"]
    ask("routes", "rollback", "2", "--dry-run")
    assert 3 == ask("routes", "table")["version"]
    assert 4 == ask("routes", "rollback", "2")["submitted"]["version"]
    assert [] == ask("routes", "diff", "2", "4")["words"]
    assert "back to version 2" in run("routes", "history").stdout
    assert "never had this version" in refused(run("routes", "rollback", "9"))
    assert "changes nothing" in refused(run("routes", "rollback", "4"))


def test_a_rejected_or_stale_change_is_never_approved(run: Run, ask: Ask, tmp_path: Path) -> None:
    ask(*UNIONPAY)
    file = edited(ask, tmp_path, priority=7)
    rejected, stale = (ask("routes", "propose", file)["submitted"]["change"] for _ in range(2))
    assert "rejected" == ask(*BO, "routes", "reject", rejected)["state"]
    assert "this change is rejected" in refused(run("routes", "approve", rejected))
    ask(*VISA)
    assert "this change is stale" in refused(run("routes", "approve", stale))
    assert "made from version 2" in refused(run("routes", "propose", file))
    assert {rejected: "rejected", stale: "stale"} == {each["id"]: each["state"] for each in ask("routes", "changes")}
    assert stale in run("routes", "changes").stdout
    assert "priority 100 becomes 7" in run("routes", "changes", stale).stdout
    assert "no change has this id" in refused(run("routes", "changes", "rc_none"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"connector": "telex"}, "connector of no known kind"),
        ({"zone": "Nowhere/Land"}, "remedy:"),
        ({"id": "1"}, "8 digits"),
        ({"prioritaet": 1}, "unknown field"),
        ({"priority": "high"}, "holds no routing table"),
    ],
)
def test_a_table_that_cannot_be_meant_is_not_proposed(
    fields: dict[str, Any], said: str, run: Run, ask: Ask, tmp_path: Path
) -> None:
    ask(*UNIONPAY)
    assert said in refused(run("routes", "propose", edited(ask, tmp_path, **fields)))
    assert [] == ask("routes", "changes")


def test_preferences_are_changed_like_all_else_of_the_table(ask: Ask, tmp_path: Path) -> None:
    table = ask("routes", "table")
    table["preferences"] = [{"currency": "EUR", "schemes": ["visa"]}]
    (tmp_path / "table.json").write_text(json.dumps(table))
    waiting = ask("routes", "propose", "table.json")["submitted"]["change"]
    ask("routes", "approve", waiting)
    assert "orders in EUR go by visa, unionpay" in ask_reasons(ask)


def ask_reasons(ask: Ask) -> list[str]:
    institution = ask(*VISA[:-2])["id"]
    ask("institution", "status", institution, "active")
    reasons: list[str] = ask("routes", "explain", "439225001", "--currency", "EUR")["reasons"]
    return reasons
