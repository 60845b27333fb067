"""A platform's data directory, and the command line run in this process against it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tallystick.cli.main import cli

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against `tmp_path/data`, with `tmp_path` as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLYSTICK_DATA", str(tmp_path / "data"))

    def invoke(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(cli, list(arguments), input=typed, prog_name="tallystick")

    return invoke


@pytest.fixture
def platform(run: Run, tmp_path: Path) -> Path:
    """Make a platform; return its data directory."""
    made = run("init", "--port", "0")
    assert (0, "") == (made.exit_code, made.stderr)
    return tmp_path / "data"


@pytest.fixture
def ask(run: Run, platform: Path) -> Callable[..., Any]:
    """Run a command with --json that must succeed; return its document."""

    def answer(*arguments: str, typed: str | None = None) -> Any:
        result = run(*arguments, "--json", typed=typed)
        assert (0, "") == (result.exit_code, result.stderr)
        return json.loads(result.stdout)

    return answer


@pytest.fixture
def private(tmp_path: Path) -> Callable[..., str]:
    """Write a file of secrets; return its path as a command takes it."""

    def write(name: str, text: str, mode: int = 0o600) -> str:
        path = tmp_path / name
        path.touch(mode)
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write
