"""`tallystick demo`: every scenario ends as expected, and the back ends' own records are what says so."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from watched_demo import DemoRun

from tallystick.cli.demo import command, model
from tallystick.cli.demo.back_ends import SandboxBackEnd
from tallystick.cli.demo.model import FIRST_AMOUNT, Scenario, Stage
from tallystick.cli.demo.processes import Child
from tallystick.cli.main import cli
from tallystick.routing.model import BackEnd, Status
from tallystick.testing.sandbox import record
from tallystick.testing.sandbox.record import Entry, Record

pytestmark = pytest.mark.e2e

CLAIMS = {*range(1, 17), 32, 33, 34}
PAID: Entry = {"amount": FIRST_AMOUNT, "outcome": "00", "effective": True}
DECLINED: Entry = {"amount": FIRST_AMOUNT, "outcome": "55", "effective": False}


class ScenarioShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scenario as the document's readers expect it."""

    name: str
    claims: tuple[int, ...]
    expected: str
    outcome: str
    back_end: str | None
    ms: float


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document as its readers expect it."""

    ok: bool
    scenarios: tuple[ScenarioShape, ...]


def document(run: DemoRun) -> Shape:
    return msgspec.json.decode(run.stdout, type=Shape)


def recorded(run: DemoRun, amount: int) -> dict[str, list[Entry]]:
    """Read what each back end of a demo recorded about an amount, by the back end's name."""
    found: dict[str, list[Entry]] = {}
    for place in (run.folder / "back-ends").iterdir():
        entries = record.read(place / "record.jsonl") if (place / "record.jsonl").exists() else []
        own = [entry for entry in entries if entry.get("amount") == amount]
        if own:
            found[place.name] = own
    return found


# The real demo


def test_the_demo_ends_with_exit_code_0_and_one_document_on_one_line(demo_run: DemoRun) -> None:
    assert (0, b"") == (demo_run.code, demo_run.stderr), demo_run.stdout
    assert 1 == demo_run.stdout.count(b"\n")
    assert document(demo_run).ok


def test_every_scenario_ends_as_expected(demo_run: DemoRun) -> None:
    scenarios = document(demo_run).scenarios
    assert [each.expected for each in scenarios] == [each.outcome for each in scenarios]
    waves = [each for wave in command.WAVES for each in wave]
    assert [each.name for each in (*command.SCENARIOS, *waves)] == [each.name for each in scenarios]
    assert all(each.ms > 0 for each in scenarios)


def test_the_scenarios_show_every_claim_that_a_run_can_show(demo_run: DemoRun) -> None:
    assert CLAIMS == {claim for each in document(demo_run).scenarios for claim in each.claims}


def test_a_payment_is_approved_exactly_when_one_back_end_recorded_one_effect(demo_run: DemoRun) -> None:
    approved = refused = 0
    for number, scenario in enumerate(document(demo_run).scenarios):
        effects = [
            entry["effective"]
            for entries in recorded(demo_run, FIRST_AMOUNT + 100 * number).values()
            for entry in entries
            if entry["effective"]
        ]
        if "approved by" in scenario.outcome:
            approved += 1
            assert [True] == effects, scenario.name
        elif scenario.outcome.endswith("nothing delivered"):
            refused += 1
            assert [] == effects, scenario.name
    assert approved >= 10
    assert refused >= 8


# Planted: what the records do not say is not believed


@pytest.fixture
def back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SandboxBackEnd:
    """Give a back end that has recorded nothing yet; waiting for it is short."""
    monkeypatch.setattr(model, "SETTLE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(model, "QUIET_S", 0.05)
    bank = BackEnd(id="12345678", name="Bank", connector="rest", status=Status.ACTIVE, schemes=frozenset())
    return SandboxBackEnd(bank, Child("Bank", [], tmp_path / "log"), tmp_path / "record.jsonl", b"", tmp_path / "none")


@pytest.fixture
def demo_of_one(back_end: SandboxBackEnd, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any]]:
    """Run the command with one scenario over a world in which only `back_end` is; return exit code and document."""

    @contextlib.asynccontextmanager
    async def world(_home: Path) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(back_ends=(back_end,))

    def run(scenario: Scenario) -> tuple[int, Any]:
        monkeypatch.setattr(command, "world", world)
        monkeypatch.setattr(command, "SCENARIOS", (scenario,))
        monkeypatch.setattr(command, "WAVES", ())
        result = CliRunner().invoke(cli, ["demo", "--once", "--json"])
        return result.exit_code, json.loads(result.stdout)["scenarios"][0]["outcome"]

    return run


async def pays(stage: Stage) -> str:
    return await stage.approved()


async def is_refused(stage: Stage) -> str:
    return await stage.untouched("replayed")


async def breaks(_stage: Stage) -> str:
    raise RuntimeError("nobody foresaw this")


PAYMENT = Scenario("a payment", (1,), "approved by Bank", pays)
REFUSAL = Scenario("a refusal", (1,), "replayed, nothing delivered", is_refused)


def fill(back_end: SandboxBackEnd, *entries: Entry) -> None:
    book = Record(back_end.record_path)
    for entry in entries:
        book.append(entry)
    book.close()


def test_an_outcome_is_believed_when_the_back_end_recorded_it(
    back_end: SandboxBackEnd, demo_of_one: Callable[..., tuple[int, Any]]
) -> None:
    fill(back_end, PAID)
    assert (0, "approved by Bank") == demo_of_one(PAYMENT)


def test_a_withheld_record_is_a_difference_and_a_failed_demo(demo_of_one: Callable[..., tuple[int, Any]]) -> None:
    assert (1, "no back end was asked") == demo_of_one(PAYMENT)


def test_a_record_of_another_amount_is_not_taken_for_this_one(
    back_end: SandboxBackEnd, demo_of_one: Callable[..., tuple[int, Any]]
) -> None:
    fill(back_end, {**PAID, "amount": FIRST_AMOUNT + 1})
    assert (1, "no back end was asked") == demo_of_one(PAYMENT)


def test_a_second_effect_is_a_difference(back_end: SandboxBackEnd, demo_of_one: Callable[..., tuple[int, Any]]) -> None:
    fill(back_end, PAID, PAID)
    assert (1, "Bank was paid 2 times") == demo_of_one(PAYMENT)


def test_a_declined_payment_is_told_as_the_back_end_recorded_it(
    back_end: SandboxBackEnd, demo_of_one: Callable[..., tuple[int, Any]]
) -> None:
    fill(back_end, DECLINED)
    assert (1, "declined 55 by Bank") == demo_of_one(PAYMENT)


def test_a_refusal_after_which_a_back_end_was_asked_is_a_difference(
    back_end: SandboxBackEnd, demo_of_one: Callable[..., tuple[int, Any]]
) -> None:
    assert (0, REFUSAL.expected) == demo_of_one(REFUSAL)
    fill(back_end, DECLINED)
    assert (1, "replayed, but Bank was asked") == demo_of_one(REFUSAL)


def test_an_error_in_a_scenario_is_its_outcome(demo_of_one: Callable[..., tuple[int, Any]]) -> None:
    scenario = Scenario("a fault", (1,), "approved by Bank", breaks)
    assert (1, "RuntimeError: nobody foresaw this") == demo_of_one(scenario)
