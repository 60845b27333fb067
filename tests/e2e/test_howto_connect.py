"""docs/howto/connect-a-back-end.md, command by command as it stands; only the ports are free ones."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "connect-a-back-end.md").read_text()
PORTS = ("9583", "9584")
TIMEOUT_S = 400


def commands() -> str:
    """Return the page's console blocks as one script; lines without a prompt go on with the command above."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return "".join(re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in blocks)


def free_ports() -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("connect")


@pytest.fixture(scope="module")
def said(place: Path) -> str:
    """Run the page in an empty directory and return all it wrote."""
    gateway, *ports = free_ports()
    script = commands()
    for written, free in zip(PORTS, ports, strict=True):
        script = script.replace(written, str(free))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    more = {"PATH": path, "NO_COLOR": "1", "CHECKOUT": str(ROOT), "TALLYSTICK_GATEWAY__PORT": str(gateway)}
    done = subprocess.run(  # noqa: S603 - the commands of our own page
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"],  # noqa: S607
        cwd=place,
        env={**kept, **more},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_the_link_is_tested_step_by_step_and_two_mistakes_are_found_where_they_are(said: str) -> None:
    assert "as expected: the connection" in said
    assert "as expected: the sign-on" in said
    failed = re.findall(r"^(\S+) +no +[0-9.]+ ", said, re.MULTILINE)
    assert ["connection", "sign-on"] == failed
    passed = re.findall(r"^(\S+) +yes +[0-9.]+ ", said, re.MULTILINE)
    whole = ["settings", "connection", "sign-on", "echo", "recovery"]
    assert [*whole, "settings", "settings", "connection", *whole] == passed
    assert re.search(r"TLSv1\.3, certificate commonName=\d+ for \S+, localhost, until \S+ \(\d+ days left\)", said)


def test_each_failure_of_the_page_ends_as_the_page_says(said: str) -> None:
    last = said[said.rindex("payment   ") :]
    assert 1 == len(re.findall(r"^pay_\w+ +approved ", last, re.MULTILINE))
    assert 1 == len(re.findall(r"^pay_\w+ +declined ", last, re.MULTILINE))
    assert 3 == len(re.findall(r"^pay_\w+ +reversed ", last, re.MULTILINE))


def test_the_bank_saw_no_authorisation_twice_and_only_one_stands(said: str, place: Path) -> None:
    entries = [json.loads(line) for line in (place / "bank.jsonl").read_text().splitlines()]
    asked = [entry["rrn"] for entry in entries if entry["kind"] == "0200"]
    assert sorted(set(asked)) == sorted(asked)
    assert 5 == len(asked)
    moved = sum(entry["effective"] is True for entry in entries) - sum(entry.get("undone") is True for entry in entries)
    assert 1 == moved


def test_the_plug_in_was_found_and_answered(said: str) -> None:
    assert "connector jsonl: opened and checked" in said
    assert "after an unknown outcome: inquiry\n" in said


def test_the_page_shows_no_card_again(said: str) -> None:
    assert "6250947000000014" not in said


def test_the_script_is_the_whole_page() -> None:
    lines = commands().splitlines()
    assert len(re.findall(r"^\$ ", PAGE, re.MULTILINE)) > 40
    assert [] == [line for line in lines if line.startswith("$ ")]
