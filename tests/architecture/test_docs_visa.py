"""The pages about the wallet in Visa's style against the code: settings, messages, magic amounts."""

import json
import re
from pathlib import Path

import pytest

from tallystick.adapters.connectors.visa_settings import VisaSettings
from tallystick.testing.sandbox.http_failures import FAILURES, LATER, Failure
from tallystick.testing.sandbox.visa_rules import DECLINES, UNACKNOWLEDGED, WITH_CODE
from tallystick.wire import visa as wire
from tallystick.wire.rest import decode

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGE = (REFERENCE / "visa-back-end.md").read_text()
SECTION = (REFERENCE / "sandboxes.md").read_text().partition("\n## VISA wallet\n")[2].partition("\n## ")[0]
KINDS = {
    kind.__struct_config__.tag: kind
    for kind in (
        *(wire.Authorization, wire.Query, wire.Reversal, wire.Health),
        *(wire.AuthorizationAnswer, wire.QueryAnswer, wire.ReversalAnswer, wire.HealthAnswer),
    )
}
TOLD = frozenset(LATER) - {Failure.HELD, Failure.TOLD_DECLINED}  # the wallet tells nothing: these are as HELD
MESSAGES = [
    text.replace("…", "x")
    for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    for text in re.findall(r"^\{.*?\}$", block, re.MULTILINE | re.DOTALL)
]


def test_the_page_names_every_setting_and_no_other() -> None:
    table = PAGE.partition("## Settings")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(VisaSettings.__struct_fields__) == sorted(named)


@pytest.mark.parametrize("text", MESSAGES)
def test_every_message_of_the_page_has_its_form(text: str) -> None:
    decode(text.encode(), KINDS[json.loads(text)["type"]])


def test_the_page_shows_every_kind_of_message_and_every_member() -> None:
    shown = {kind: set[str]() for kind in KINDS}
    for text in MESSAGES:
        message = json.loads(text)
        shown[message["type"]] |= set(message)
    assert {kind: {"type", *struct.__struct_encode_fields__} for kind, struct in KINDS.items()} == shown


def test_the_table_of_the_sandbox_has_every_ending_and_no_other() -> None:
    endings = {ending for ending, failure in FAILURES.items() if failure not in TOLD}
    expected = {*DECLINES, f"{WITH_CODE}cc", *endings, UNACKNOWLEDGED}
    assert expected == set(re.findall(r"^\| `…(\w+)` \|", SECTION, re.MULTILINE))
