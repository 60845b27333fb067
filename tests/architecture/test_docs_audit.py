"""The page on the audit chain against the code."""

import re
from pathlib import Path

from tallystick.audit.model import Action, Entry

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tallystick"
PAGE = (ROOT / "docs" / "reference" / "audit.md").read_text()


def drawn(text: str, heading: str) -> list[str]:
    """Return the first name in each row of the table under a heading."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    return re.findall(r"^\| (?:\d \| )?`([a-z._-]+)`", section, re.MULTILINE)


def test_the_page_draws_every_action_in_the_order_that_names_an_entry() -> None:
    assert [action.value for action in Action] == drawn(PAGE, "Actions")


def test_the_page_draws_an_entry_as_it_is_encoded() -> None:
    assert list(Entry.__struct_fields__) == drawn(PAGE, "An entry")


def test_every_action_is_done_somewhere() -> None:
    code = "\n".join(path.read_text() for path in SRC.rglob("*.py"))
    assert [] == [action.name for action in Action if f"Action.{action.name}" not in code]
    assert "Action.PLANTED" not in code
