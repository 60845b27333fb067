"""The TLS listeners of a serving platform against the checked baseline, by the scanner testssl.sh."""

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import pytest
from live_platform import live_platform
from msgspec import structs
from test_enrolment import free_port
from test_gateway_tls import present, write

from tallystick import config
from tallystick.adapters.ca_files import FileCa
from tallystick.crypto import tls
from tallystick.crypto.ca import PLATFORM
from tallystick.crypto.x509 import make_csr, new_private_key

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).parents[2] / "docs" / "security" / "tls-baseline.json"
BASELINE: Mapping[str, dict[str, str]] = json.loads(PAGE.read_text())["listeners"]
INVENTORY = (PAGE.parent / "cipher-suites.md").read_text()
SCANNER = shutil.which("testssl") or shutil.which("testssl.sh")
SCANS = ("--protocols", "--pfs", "--server-defaults", "--compression")
SCAN_S = 150.0  # s; a scan takes 10 s on an idle machine
NO_TLS = {"metrics", "status"}
ALLOW_CLIENT_RENEGOTIATION = 1 << 8  # OpenSSL's option, which Python has no name for
RENEGOTIATE = b"R\n"  # what asks OpenSSL's client to
ANSWER_S = 2.0  # s to answer in
OPENSSL = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="no openssl on this machine (Debian package): nobody asks to renegotiate"
)
SETTINGS = {
    "enrolment": "TALLYSTICK_ENROLMENT__PORT",
    "merchants": "TALLYSTICK_MERCHANT__PORT",
    "pc page": "TALLYSTICK_PAGES__PC_PORT",
    "phone page": "TALLYSTICK_PAGES__PHONE_PORT",
}
"""The listeners beside the gateway, and what their port is set by."""
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
    "CRIME_TLS",
)
"""The scanner's names of what the baseline holds."""


async def scanned(port: int, scans: Iterable[str] = SCANS) -> dict[str, str]:
    """Scan one listener; returns the findings that the baseline holds."""
    assert SCANNER is not None
    with tempfile.TemporaryDirectory() as place:
        found = Path(place) / "found.json"
        options = (
            "--quiet",
            "--warnings",
            "off",
            "--nodns",
            "none",
            "--color",
            "0",
            "--ip",
            "127.0.0.1",
            "--jsonfile",
            str(found),
        )
        process = await asyncio.create_subprocess_exec(
            SCANNER,
            *options,
            *scans,
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
    # The scanner adds in brackets why it thinks so, and that depends on how soon it was answered.
    return {name: findings.get(name, "not found").partition(" (")[0] for name in NAMES}


@pytest.fixture
async def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, int]]:
    """Serve every TLS listener there is."""
    listening = {name: free_port() for name in SETTINGS}
    for name, port in listening.items():
        monkeypatch.setenv(SETTINGS[name], str(port))
    async with live_platform(tmp_path) as live:
        yield {"gateway": live.child.port, **listening}


def test_every_listener_that_can_be_set_is_scanned() -> None:
    """All but the status listener, which is plain HTTP."""
    where = {each.name for each in structs.fields(config.Settings) if config.ListenerSection | None == each.type}
    scanned_too = {name.removeprefix("TALLYSTICK_").partition("__")[0].lower() for name in SETTINGS.values()}
    assert scanned_too == (where - NO_TLS) | {"pages"}
    assert {"gateway", *SETTINGS} == set(BASELINE)


@pytest.mark.skipif(SCANNER is None, reason="no testssl.sh on this machine (Debian package): TLS is not scanned")
async def test_each_tls_listener_is_as_the_baseline_says(ports: dict[str, int]) -> None:
    found = dict(zip(ports, await asyncio.gather(*map(scanned, ports.values())), strict=True))
    if os.environ.get("TALLYSTICK_WRITE_BASELINE"):
        PAGE.write_text(json.dumps({"scanner": "testssl.sh 3.0.8", "listeners": found}, indent=2) + "\n")
    assert BASELINE == found


@pytest.mark.parametrize("findings", BASELINE.values(), ids=BASELINE)
def test_no_listener_compresses_or_gives_tickets(findings: dict[str, str]) -> None:
    assert findings["CRIME_TLS"].startswith(("not vulnerable", "TLS 1.3 only"))
    assert findings["TLS_session_ticket"].startswith("no ")


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
    context.options &= ~(ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION)
    context.options |= ALLOW_CLIENT_RENEGOTIATION


@contextlib.asynccontextmanager
async def a_weak_listener(place: Path) -> AsyncIterator[int]:
    key, uri = new_private_key(), "tallystick:platform:weak"
    made = FileCa.create(place / "ca", name="weak", now=present())
    chain = made.issue(make_csr(key, common_name="x"), PLATFORM, uri=uri, dns=["localhost"], now=present())
    context = tls.server_context(write(place / "weak.pem", chain), write(place / "weak.key", key), None)
    weakened(context)

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.readline()
        writer.close()

    server = await asyncio.start_server(answered, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.skipif(SCANNER is None, reason="no testssl.sh on this machine (Debian package): TLS is not scanned")
async def test_a_weakened_listener_is_not_as_the_baseline_says(tmp_path: Path) -> None:
    async with a_weak_listener(tmp_path) as port:
        found = await scanned(port, ("--pfs", "--server-defaults"))
    differing = {name for name in NAMES if found[name] not in {BASELINE["gateway"][name], "not found"}}
    assert {"PFS_ciphers", "TLS_session_ticket"} <= differing


async def asked_to_renegotiate(port: int, *identity: str | Path) -> tuple[bytes, bytes]:
    """Let OpenSSL's client shake hands and ask for another handshake; returns what it says before and after."""
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{port}", *map(str, identity)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        shaken = await asyncio.wait_for(process.stdout.readuntil(b"Extended master secret"), ANSWER_S)
        process.stdin.write(RENEGOTIATE)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), ANSWER_S)
    finally:
        process.stdin.close()
        after = await asyncio.wait_for(process.stdout.read(), ANSWER_S)
        await process.wait()
    return shaken, after


@OPENSSL
async def test_the_gateway_neither_compresses_nor_renegotiates(ports: dict[str, int], tmp_path: Path) -> None:
    """The one listener with TLS 1.2; in 1.3 there is neither."""
    held = tmp_path / "profiles" / "pc"
    identity = ("-cert", held / "certificate.pem", "-key", held / "private.key")
    shaken, after = await asked_to_renegotiate(ports["gateway"], *identity)
    assert b"Compression: NONE" in shaken
    assert b"RENEGOTIATING" in after
    assert b"no renegotiation" in after
    assert {"gateway"} == {name for name, findings in BASELINE.items() if findings["TLS1_2"] != "not offered"}


@OPENSSL
async def test_a_weakened_listener_renegotiates(tmp_path: Path) -> None:
    async with a_weak_listener(tmp_path) as port:
        _, after = await asked_to_renegotiate(port)
    assert b"RENEGOTIATING" in after
    assert b"no renegotiation" not in after
