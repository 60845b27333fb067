"""A platform, a healthy machine, and one check of the doctor's made alone."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result

from tallystick.bootstrap.layout import Layout
from tallystick.cli.checks.catalogue import CHECKS
from tallystick.cli.checks.model import Machine, Scene
from tallystick.crypto.versioned import check_value
from tallystick.errors import TallystickError
from tallystick.runtime import SystemClock

HEALTHY = Machine(
    environ={},
    user=1000,
    umask=0o077,
    core_limit=0,
    python=(3, 13, 2),
    openssl=(3, 5, 1),
    swaps="Filename Type Size Used Priority\n",
    mounts="/dev/vda / ext4 rw 0 0\n",
    core_pattern="core\n",
)
LINK = {
    "host": "switch.bank.com",
    "port": 9583,
    "server_name": "switch.bank.com",
    "acquirer": "1",
    "forwarder": "1",
    "terminal": "TALLY001",
    "merchant": "T" * 15,
    "keys": "exchange",
    "zone_key": "7f1be43a90c25d6688f3a10b4ec97d52",
}

Fault = Callable[..., str | None]
Connect = Callable[..., None]


@pytest.fixture
def scene(platform: Path) -> Scene:
    """Return a new platform on a healthy machine."""
    return Scene(layout=Layout(platform), machine=HEALTHY, clock=SystemClock())


@pytest.fixture
def fault(scene: Scene) -> Fault:
    """Make one check by its name, on a machine changed as told; return what is wrong, or None when all is well."""
    checks = {check.name: check for check in CHECKS}

    def find(name: str, *, at: Scene = scene, **machine: Any) -> str | None:
        try:
            asyncio.run(checks[name].look(replace(at, machine=replace(at.machine, **machine))))
        except (TallystickError, OSError) as error:
            return str(getattr(error, "detail", error))
        return None

    return find


@pytest.fixture
def connect(run: Callable[..., Result], platform: Path, tmp_path: Path) -> Connect:
    """Register and connect an ISO 8583 institution; settings given replace those of a healthy one, None drops one."""

    def institution(name: str = "Bank", *, schemes: str = "unionpay", **settings: Any) -> None:
        made = run("institution", "add", name, "--connector", "iso8583", "--schemes", schemes, "--json")
        file = tmp_path / f"{name}.json"
        file.touch(0o600)
        file.write_text(json.dumps({key: value for key, value in (LINK | settings).items() if value is not None}))
        connected = run("institution", "connect", json.loads(made.stdout)["id"], "--settings", str(file))
        assert (0, "") == (connected.exit_code, connected.stderr)

    return institution


@pytest.fixture
def setting(platform: Path) -> Callable[[str], None]:
    """Add lines to the platform's settings."""

    def add(text: str) -> None:
        with (platform / "tallystick.toml").open("a") as file:
            file.write(f"\n{text}\n")

    return add


@pytest.fixture
def put_key(platform: Path) -> Callable[[str, bytes], None]:
    """Put a key of the test's choice in place of the first one of a purpose."""

    def put(purpose: str, key: bytes) -> None:
        path, listed = platform / "keys" / f"{purpose}-1.key", platform / "keys" / "keyring.json"
        path.write_bytes(msgspec.json.encode({"purpose": purpose, "version": 1, "key": key}))
        entries = msgspec.json.decode(listed.read_bytes())
        for entry in entries:
            if entry["purpose"] == purpose:
                entry["check"] = check_value(key)
        listed.write_bytes(msgspec.json.encode(entries))

    return put
