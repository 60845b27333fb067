"""The operator's commands about the renewal of dynamic numbers."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]
Ask = Callable[..., Any]

PASSWORD = "correct horse battery"  # of this test's payer


@pytest.fixture
def bank(ask: Ask) -> str:
    """Add a bank whose numbers the platform makes, and a payer with an account there; return its id."""
    asked = ("--connector", "rest", "--schemes", "bamboo", "--numbers", "platform")
    institution: str = ask("institution", "add", "Bank", *asked)["id"]
    ask("user", "add", "lihua", "--email", "lihua@example.org", typed=f"{PASSWORD}\n{PASSWORD}\n")
    account = ("--institution", institution, "--kind", "account")
    ask("user", "credential", "lihua", *account, typed=f"{PASSWORD}\nbamboo:lihua\nriver-stone\n")
    return institution


def test_an_operator_sees_how_far_a_renewal_is_and_drives_it(ask: Ask, bank: str) -> None:
    before = ask("user", "numbers", "status")
    assert [(bank, 0, 1)] == [(each["institution"], each["made"], each["left"]) for each in before["renewals"]]
    assert {"notices": 0, "urgent": 0, "oldest_s": 0} == before["outbox"]

    done = {"institution": bank, "made": 1, "unreachable": 0}
    assert [done] == ask("user", "numbers", "renew", "--institution", bank)
    assert [{**done, "made": 0}] == ask("user", "numbers", "renew")

    after = ask("user", "numbers", "status", "--institution", bank)
    assert [(1, 0)] == [(each["made"], each["left"]) for each in after["renewals"]]
    assert (1, 1) == (after["outbox"]["notices"], after["outbox"]["urgent"])


def test_people_see_a_line_for_each_institution_and_one_for_what_waits(run: Run, bank: str) -> None:
    assert 0 == run("user", "numbers", "renew").exit_code
    shown = run("user", "numbers", "status")
    assert (0, "") == (shown.exit_code, shown.stderr)
    header, line, *outbox = shown.stdout.splitlines()
    assert ["institution", "period", "made", "left", "ends_at"] == header.split()
    assert [bank, "1", "0"] == [line.split()[place] for place in (0, 2, 3)]
    assert ["notices 1", "urgent 1", "oldest_s 0"] == [" ".join(each.split()) for each in outbox]


@pytest.mark.parametrize("command", ["renew", "status"])
def test_an_institution_without_numbers_of_the_platform_is_refused(ask: Ask, run: Run, command: str) -> None:
    own = ask("institution", "add", "Own", "--connector", "rest", "--schemes", "bamboo")["id"]
    for institution, code in ((own, "forbidden"), ("99999999", "not_found")):
        result = run("user", "numbers", command, "--institution", institution, "--json")
        assert (1, code) == (result.exit_code, json.loads(result.stderr)["error"]["code"])
