"""The operator's commands about limits."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from tallystick.channels.limiting import DEFAULTS
from tallystick.channels.model import LimitKind

Run = Callable[..., Result]
Ask = Callable[..., Any]


def test_limits_are_shown_and_set(ask: Ask) -> None:
    shown = {each["kind"]: each for each in ask("limits", "show")}
    assert set(LimitKind) == set(shown)
    assert all(each["limit"] == each["built_in"] for each in shown.values())
    assert "applied" == ask("limits", "set", "element", "20/10m")["state"]
    element = next(each for each in ask("limits", "show") if each["kind"] == "element")
    assert ("20/10m", "60/10m") == (element["limit"], element["built_in"])
    assert 60 == DEFAULTS[LimitKind.ELEMENT].count


@pytest.mark.usefixtures("platform")
@pytest.mark.parametrize("limit", ["0/10m", "many", "5/48h"])
def test_a_limit_without_bound_is_refused(run: Run, limit: str) -> None:
    result = run("limits", "set", "element", limit, "--json")
    assert (1, "field_invalid") == (result.exit_code, json.loads(result.stderr)["error"]["code"])


def test_with_four_eyes_a_limit_waits_for_another_person(ask: Ask, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_FOUR_EYES__LIMITS", "true")
    first, second = (
        ask("--operator", "ann", "limits", "set", "credential", limit)["proposal"] for limit in ("5/1h", "6/1h")
    )
    assert ["60/1h"] == [each["limit"] for each in ask("limits", "show") if each["kind"] == "credential"]
    assert 1 == run("--operator", "ann", "proposals", "approve", first).exit_code
    ask("--operator", "bo", "proposals", "approve", first)
    assert ["5/1h"] == [each["limit"] for each in ask("limits", "show") if each["kind"] == "credential"]
    assert 1 == run("--operator", "bo", "proposals", "approve", second).exit_code
