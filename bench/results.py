"""Where results go: one JSON file for each benchmark, readable in a diff."""

from pathlib import Path
from typing import Any

import msgspec

STORES = (("SQLite", ""), ("PostgreSQL", "-postgres"))
FOLDER = Path(__file__).parent / "results"


def read(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """Read a result, if it is there."""
    path = folder / f"{name}.json"
    found: dict[str, Any] | None = msgspec.json.decode(path.read_bytes()) if path.exists() else None
    return found


def read_each(name: str, folder: Path = FOLDER) -> list[tuple[str, dict[str, Any]]]:
    """Read the results of one part with each store that it was measured with, by the store's name for people."""
    found = [(store, read(f"{name}{suffix}", folder)) for store, suffix in STORES]
    return [(store, result) for store, result in found if result is not None]


def write(name: str, result: dict[str, Any]) -> None:
    """Write a result whole, or leave the earlier one."""
    path = FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    fresh.rename(path)
