"""Where results go: one JSON file for each benchmark, readable in a diff."""

from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent / "results"


def read(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """Read a result, if it is there."""
    path = folder / f"{name}.json"
    found: dict[str, Any] | None = msgspec.json.decode(path.read_bytes()) if path.exists() else None
    return found


def write(name: str, result: dict[str, Any]) -> None:
    """Write a result whole, or leave the earlier one."""
    path = FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    fresh.rename(path)
