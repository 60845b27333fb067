"""The real `tallystick` executable: a platform is made, furnished, served, used and stopped."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

EXECUTABLE = Path(sys.executable).with_name("tallystick")
PASSWORD = "correct horse battery"
PAN = "6222021234567894"
PIN_BLOCK = "1461D3A5C0FFEE42"
SECRETS = (PASSWORD, PAN, PAN[:10], PIN_BLOCK)
PHONE = "phone=+8613800138000"
TIMEOUT_S = 60


@dataclass
class Shell:
    """Run the executable in one directory; keep every command line and all it wrote."""

    place: Path
    said: list[str]

    def run(self, *arguments: str, typed: str = "", code: int = 0) -> str:
        done = subprocess.run(  # noqa: S603 - our own executable
            [EXECUTABLE, *arguments],
            cwd=self.place,
            env=environment(),
            input=typed,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        self.said += [*arguments, done.stdout, done.stderr]
        assert code == done.returncode, done.stderr
        return done.stdout

    def ask(self, *arguments: str, typed: str = "") -> Any:
        return json.loads(self.run(*arguments, "--json", typed=typed))


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    return {**kept, "NO_COLOR": "1"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, port: int) -> Shell:
    """Give a platform that is made and furnished but does not serve; the tests use it in their order."""
    shell = Shell(tmp_path_factory.mktemp("cli"), [])
    shell.run("init", "--port", str(port))
    shell.run(
        *("channel", "add", "shop", "--kind", "merchant", "--fields", "pan,order", "--profile-out", "profiles/shop")
    )
    shell.run(
        *("channel", "add", "app", "--kind", "bank_app", "--fields", "pin_block", "--profile-out", "profiles/app")
    )
    return shell


@pytest.fixture
def serving(shell: Shell, port: int) -> Iterator[subprocess.Popen[str]]:
    """Serve until the test is over; its log is checked for secrets like everything else."""
    log = shell.place / "platform.log"
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603 - our own executable
            [EXECUTABLE, "serve", "--json"],
            cwd=shell.place,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert f"READY {port}\n" == process.stdout.readline(), log.read_text()
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(TIMEOUT_S)
            process.stdout.close()  # type: ignore[union-attr]  # it was a pipe above
    shell.said.append(log.read_text())
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert [f"serving on port {port}", "draining", "stopped"] == messages


def send_half(shell: Shell, profile: str, field: str, value: str, *more: str) -> Any:
    arguments = ("part", "send", "--profile", f"profiles/{profile}", "--policy", "card", "--element", PHONE)
    return shell.ask(*arguments, "--field", f"{field}=-", *more, typed=f"{value}\n")


def test_a_part_sent_by_each_channel_joins_and_is_seen_by_sender_and_operator(
    shell: Shell, serving: subprocess.Popen[str]
) -> None:
    order = "payee=Tea House,amount=1250,currency=CNY,reference=order-7"
    first = send_half(shell, "shop", "pan", PAN, "--order", order)
    send_half(shell, "app", "pin_block", PIN_BLOCK)
    payment = shell.ask("payment", "list")[0]
    assert (2, "Tea House", 1250) == (payment["parts"], payment["order"]["payee"], payment["order"]["amount"])
    # No institution serves the card: the joined payment is refused, which proves that it was joined and routed.
    assert ("refused", "no_route") == (payment["state"], payment["reason"])
    assert payment == shell.ask("payment", "show", payment["payment"])["payment"]
    assert "refused" == shell.ask("part", "show", first["part"], "--profile", "profiles/shop")["status"]
    assert shell.ask("doctor")["findings"][-1]["seen"].startswith("this platform serves")


def test_a_payment_is_created_and_a_field_that_is_not_the_channels_is_refused_by_the_platform(
    shell: Shell, serving: subprocess.Popen[str]
) -> None:
    arguments = ("--policy", "card", "--order", "payee=Tea,amount=1,currency=CNY")
    created = shell.ask("payment", "create", "--profile", "profiles/shop", *arguments)
    assert 14 == len(created["code"])
    sent = ("part", "send", "--profile", "profiles/app", "--policy", "card", "--element", f"code={created['code']}")
    shell.run(*sent, "--field", "pan", typed=f"{PAN}\n", code=1)
    assert "channel" in shell.said[-1]
    assert "remedy:" in shell.said[-1]


def test_a_serving_platform_leaves_no_core_dump(serving: subprocess.Popen[str]) -> None:
    limits = Path(f"/proc/{serving.pid}/limits").read_text()
    assert ["0", "0", "bytes"] == limits.partition("Max core file size")[2].split()[:3]


def test_a_platform_that_does_not_serve_is_told_with_a_remedy(shell: Shell) -> None:
    shell.run("part", "show", "part_x", "--profile", "profiles/shop", code=1)
    assert "remedy:" in shell.said[-1]


def test_institutions_users_and_routes_are_kept_by_the_operator(shell: Shell) -> None:
    institution = shell.ask("institution", "add", "UnionPay", "--connector", "iso8583", "--schemes", "unionpay")["id"]
    explained = shell.run("routes", "explain", "-", typed=f"{PAN}\n")
    assert re.search(rf"{institution} +UnionPay +is suspended", explained)
    shell.run("user", "add", "lihua", "--email", "lihua@example.org", typed=f"{PASSWORD}\n")
    shell.run("doctor")
    assert 3 == len(shell.ask("ca", "list"))


def test_wrong_usage_is_exit_code_2_and_a_refusal_1(shell: Shell) -> None:
    shell.run("channel", "add", code=2)
    shell.run("channel", "show", "ch_none", code=1)


def test_no_secret_stood_on_a_command_line_or_in_anything_that_was_written(shell: Shell) -> None:
    """Runs last: it looks at what all tests above said."""
    everything = "\n".join(shell.said)
    keys = [(shell.place / "profiles" / name / "mac.key").read_text() for name in ("shop", "app")]
    assert len(everything) > 1_000
    assert [] == [secret for secret in (*SECRETS, *keys) if secret in everything]


def test_no_card_or_pin_is_in_any_file_of_the_platform(shell: Shell) -> None:
    files = [path for path in (shell.place / "data").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [] == [path for path in files for secret in SECRETS if secret.encode() in path.read_bytes()]
