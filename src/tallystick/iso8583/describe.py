"""Print a message for people: masked unless an element is declared public."""

from collections.abc import Mapping
from typing import Final

from tallystick.iso8583.spec import ELEMENTS
from tallystick.secret import MASK, Pan

PUBLIC: Final = frozenset(
    {
        "3",
        "4",
        "7",
        "11",
        "12",
        "13",
        "15",
        "18",
        "22",
        "25",
        "26",
        "32",
        "33",
        "37",
        "39",
        "41",
        "42",
        "49",
        "53",
        "70",
        "90",
        "100",
    }
)
"""Elements that show nothing of a payer; every other one is masked, also one that is unknown."""


def describe(fields: Mapping[str, str]) -> str:
    """Return one line for each element: number, name and value; a card number shows at most 6 + 4 digits."""
    lines = [f"type {fields['t']}"] if "t" in fields else []
    for number in sorted((number for number in fields if number.isdigit()), key=int):
        name = ELEMENTS[number].name if number in ELEMENTS else "unknown"
        lines.append(f"DE{number:<3} {name}: {_shown(number, fields[number])}")
    return "\n".join(lines)


def _shown(number: str, value: str) -> str:
    if number == "2":
        return Pan(value).masked
    return value if number in PUBLIC else MASK
