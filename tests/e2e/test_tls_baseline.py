"""The TLS listeners of a serving platform against the checked baseline, by the scanner testssl.sh."""

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from live_platform import live_platform
from test_enrolment import free_port
from test_gateway_tls import present, write

from tallystick.adapters.ca_files import FileCa
from tallystick.crypto import tls
from tallystick.crypto.ca import PLATFORM
from tallystick.crypto.x509 import make_csr, new_private_key

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).parents[2] / "docs" / "security" / "tls-baseline.json"
BASELINE: Mapping[str, dict[str, str]] = json.loads(PAGE.read_text())["listeners"]
INVENTORY = (PAGE.parent / "cipher-suites.md").read_text()
SCANNER = shutil.which("testssl") or shutil.which("testssl.sh")
SCANS = ("--protocols", "--pfs", "--server-defaults")
SCAN_S = 150.0  # s; a scan takes 10 s on an idle machine
NAMES = (
    "SSLv2",
    "SSLv3",
    "TLS1",
    "TLS1_1",
    "TLS1_2",
    "TLS1_3",
    "ALPN",
    "PFS",
    "PFS_ciphers",
    "PFS_ECDHE_curves",
    "TLS_session_ticket",
    "cert_signatureAlgorithm",
    "cert_keySize",
)
"""The scanner's names of what the baseline holds."""


async def scanned(port: int) -> dict[str, str]:
    """Scan one listener; returns the findings that the baseline holds."""
    assert SCANNER is not None
    with tempfile.TemporaryDirectory() as place:
        found = Path(place) / "found.json"
        options = ("--quiet", "--warnings", "off", "--color", "0", "--ip", "127.0.0.1", "--jsonfile", str(found))
        process = await asyncio.create_subprocess_exec(
            SCANNER,
            *options,
            *SCANS,
            f"localhost:{port}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await asyncio.wait_for(process.wait(), SCAN_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        findings = {each["id"].partition(" ")[0]: each["finding"] for each in json.loads(found.read_text())}
    return {name: findings.get(name, "not found") for name in NAMES}


@pytest.fixture
async def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, int]]:
    enrolment = free_port()
    monkeypatch.setenv("TALLYSTICK_ENROLMENT__PORT", str(enrolment))
    async with live_platform(tmp_path) as live:
        yield {"gateway": live.child.port, "enrolment": enrolment}


@pytest.mark.skipif(SCANNER is None, reason="no testssl.sh on this machine (Debian package): TLS is not scanned")
async def test_each_tls_listener_is_as_the_baseline_says(ports: dict[str, int]) -> None:
    found = dict(zip(ports, await asyncio.gather(*map(scanned, ports.values())), strict=True))
    if os.environ.get("TALLYSTICK_WRITE_BASELINE"):
        PAGE.write_text(json.dumps({"scanner": "testssl.sh 3.0.8", "listeners": found}, indent=2) + "\n")
    assert BASELINE == found


def offered(context: ssl.SSLContext) -> list[str]:
    return [each["name"] for each in context.get_ciphers()]


def test_the_inventory_names_every_suite_that_a_listener_or_connector_may_agree_on(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls._harden(context)
    missing = [name for name in offered(context) if f"`{name}`" not in INVENTORY]
    assert [] == missing
    for findings in BASELINE.values():
        assert [] == [name for name in findings["PFS_ciphers"].split() if f"`{name}`" not in INVENTORY]


def weakened(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AES:@SECLEVEL=0")
    context.options &= ~ssl.OP_NO_TICKET


@contextlib.asynccontextmanager
async def a_weak_listener(place: Path) -> AsyncIterator[int]:
    key, uri = new_private_key(), "tallystick:platform:weak"
    made = FileCa.create(place / "ca", name="weak", now=present())
    chain = made.issue(make_csr(key, common_name="x"), PLATFORM, uri=uri, dns=["localhost"], now=present())
    context = tls.server_context(write(place / "weak.pem", chain), write(place / "weak.key", key), None)
    weakened(context)

    async def closed(_reader: Any, writer: Any) -> None:
        writer.close()

    server = await asyncio.start_server(closed, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.skipif(SCANNER is None, reason="no testssl.sh on this machine (Debian package): TLS is not scanned")
async def test_a_weakened_listener_is_not_as_the_baseline_says(tmp_path: Path) -> None:
    async with a_weak_listener(tmp_path) as port:
        found = await scanned(port)
    differing = {name for name in NAMES if found[name] != BASELINE["gateway"][name]}
    assert {"PFS_ciphers", "TLS_session_ticket"} <= differing
