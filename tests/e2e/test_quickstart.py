"""docs/quickstart.md, command by command as it stands; only the ports are free ones, so that nothing is in the way."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()
SANDBOX_PORT = "9583"
TIMEOUT_S = 240


def commands() -> str:
    """Return the page's console blocks as one script; lines without a prompt go on with the command above."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return "".join(re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in blocks)


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quickstart")


@pytest.fixture(scope="module")
def said(place: Path) -> str:
    """Run the page in an empty directory and return all it wrote."""
    gateway, sandbox = free_ports()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = commands().replace(SANDBOX_PORT, str(sandbox))
    done = subprocess.run(  # noqa: S603 - the commands of our own page
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"],  # noqa: S607
        cwd=place,
        env={**kept, "PATH": path, "NO_COLOR": "1", "TALLYSTICK_GATEWAY__PORT": str(gateway)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert 0 == done.returncode, done.stderr + (place / "platform.log").read_text()
    return done.stdout


def test_the_page_ends_in_a_payment_that_the_back_end_made_once(said: str) -> None:
    assert "answers      yes" in said
    assert 2 == len(re.findall(r"^status +accepted$", said, re.MULTILINE))
    assert re.search(r"^pay_\w+ +approved +card +2 ", said, re.MULTILINE)
    assert 1 == said.count('"effective":true')
    assert '"pin":"verified"' in said


def test_the_card_of_the_page_is_masked_wherever_it_is_shown_again(said: str, place: Path) -> None:
    assert "625094••••••0014" in said
    assert "6250947000000014" not in said
    kept = [path for path in place.rglob("*") if path.is_file() and path.name != "bank.json"]
    assert len(kept) > 20
    assert [] == [path for path in kept if b"6250947000000014" in path.read_bytes()]


def test_the_script_is_the_whole_page() -> None:
    lines = commands().splitlines()
    assert len(re.findall(r"^\$ ", PAGE, re.MULTILINE)) > 15
    assert [] == [line for line in lines if line.startswith("$ ")]
    assert 1 == commands().count("tallystick init\n")
    assert 2 == commands().count(SANDBOX_PORT)
