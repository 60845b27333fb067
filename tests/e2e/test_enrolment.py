"""A party gets, renews and loses its certificate at a real platform; OpenSSL asks the platform's OCSP responder."""

import asyncio
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from live_platform import Live, a_payment, live_platform

from tallystick.channels.admit import CHANNEL_URI
from tallystick.crypto import ca, x509
from tallystick.crypto.tls import client_context
from tallystick.runtime import Millis, SystemClock
from tallystick.sdk.enrol import new_request
from tallystick.sdk.errors import PlatformProblem
from tallystick.sdk.keep import CertificateKeeper

pytestmark = pytest.mark.e2e

COMMAND_TIMEOUT_S = 60.0
PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "enrol.md").read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    enrolment, status = free_port(), free_port()
    monkeypatch.setenv("TALLYSTICK_ENROLMENT__PORT", str(enrolment))
    monkeypatch.setenv("TALLYSTICK_STATUS__PORT", str(status))
    monkeypatch.setenv("TALLYSTICK_CA__URL", f"http://127.0.0.1:{status}")
    async with live_platform(tmp_path) as made:
        yield made


def place(name: str) -> str:
    scheme = {"ENROLMENT": "https://localhost", "STATUS": "http://127.0.0.1"}[name]
    return f"{scheme}:{os.environ[f'TALLYSTICK_{name}__PORT']}"


async def ran(*arguments: str | Path, given: str = "") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(given.encode()), COMMAND_TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(), err.decode()


async def tally(live: Live, *arguments: str | Path, given: str = "") -> Any:
    code, out, err = await ran(
        sys.executable, "-m", "tallystick.cli.main", "--data", live.data, *arguments, "--json", given=given
    )
    assert not code, err
    return msgspec.json.decode(out)


async def enrolled(live: Live, channel: str, out: Path) -> Path:
    """Do what docs/howto/enrol.md says, and return the certificate's file."""
    invited = await tally(live, "ca", "invite", "channel", channel)
    asking = ("enrol", "--url", place("ENROLMENT"), "--ca", live.data / "ca" / "trust.pem", "--out", out)
    asked = await tally(live, *asking, given=invited["token"])
    assert "pending" == asked["state"]
    (waiting,) = [each for each in await tally(live, "ca", "requests") if each["id"] == invited["id"]]
    assert asked["key"] == waiting["key"]
    assert "issued" == (await tally(live, "ca", "approve", invited["id"]))["state"]
    told = await tally(live, *asking, given=invited["token"])
    assert "issued" == told["state"]
    return Path(told["certificate"])


async def test_an_invited_channel_gets_a_certificate_and_pays_with_it(live: Live, tmp_path: Path) -> None:
    channel = live.profiles["pc"].credentials.sender
    certificate = await enrolled(live, channel, tmp_path / "shop")
    assert f"{CHANNEL_URI}{channel}" == x509.read_certificate(certificate.read_bytes()).uri
    assert "approved" == await paid(live, certificate=certificate, private_key=tmp_path / "shop" / "private.key")


async def test_a_stranger_is_told_the_same_whatever_is_wrong_with_the_token(live: Live) -> None:
    channel = live.profiles["pc"].credentials.sender
    invited = await tally(live, "ca", "invite", "channel", channel)
    csr = new_request().csr.decode()
    bodies = []
    context = client_context(live.data / "ca" / "trust.pem")
    async with httpx2.AsyncClient(base_url=place("ENROLMENT"), verify=context, trust_env=False) as http:
        for token in ("", f"{invited['id']}.AAAAAAAAAAAAAAAAAAAAAA", f"enr_{'0' * 32}.AAAAAAAAAAAAAAAAAAAAAA"):
            answer = await http.post("/v1/enrolments", json={"token": token, "csr": csr})
            assert 401 == answer.status_code
            bodies.append(re.sub(r"req_\w+", "", answer.text))
        assert "token_refused" in bodies[0]
        assert 1 == len(set(bodies))
        tries = [(await http.post("/v1/enrolments", json={})).status_code for _ in range(40)]
    assert 429 == tries[-1]
    assert invited["token"] not in live.log


async def paid(live: Live, **files: Path) -> str:
    """Pay, with the card's part over a certificate of the channel `pc`."""
    first, second = a_payment(1_250)
    await live.client("pc", **files).send_part(first)
    return await live.outcome((await live.client("phone").send_part(second)).part)


async def old_certificate(live: Live, age_days: int) -> dict[str, Path]:
    """Give the channel `pc` a certificate as it would have it after that many days."""
    uri = f"{CHANNEL_URI}{live.profiles['pc'].credentials.sender}"
    made = new_request()
    async with live.office() as desk:
        then = Millis(desk.clock.now() - age_days * ca.DAY_MS)
        chain = desk.ca.issue(made.csr, ca.CHANNEL, uri=uri, now=then, life=ca.CHANNEL.life)
    return saved(live.home / f"aged-{age_days}", chain, made.private_key)


def saved(place: Path, chain: bytes, key: bytes) -> dict[str, Path]:
    files = {"certificate": place.with_suffix(".pem"), "private_key": place.with_suffix(".key")}
    for path, content in zip(files.values(), (chain, key), strict=True):
        path.touch(0o600)
        path.write_bytes(content)
    return files


async def test_a_certificate_renews_itself_in_its_last_third_and_no_connection_is_dropped(live: Live) -> None:
    young = await old_certificate(live, 19)
    with pytest.raises(PlatformProblem) as refused:
        await live.client("pc", **young).renew_certificate(new_request().csr)
    assert "conflict" == refused.value.code
    old = await old_certificate(live, 21)
    next_one = new_request()
    renewed = await live.client("pc", **old).renew_certificate(next_one.csr, idempotency_key="renewal")
    assert renewed == await live.client("pc", **old).renew_certificate(next_one.csr, idempotency_key="renewal")
    new = saved(live.home / "renewed", renewed.chain.encode(), next_one.private_key)
    before, after = (x509.read_certificate(files["certificate"].read_bytes()) for files in (old, new))
    assert before.uri == after.uri
    assert before.not_after < after.not_after
    for files in (old, new):  # the old connection goes on, and the new certificate opens another
        assert "approved" == await paid(live, **files)


class Hasty(SystemClock):
    """Waits a moment where others wait a minute."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.3))


async def test_a_client_keeps_its_certificate_new_while_its_requests_go_on(live: Live) -> None:
    files = await old_certificate(live, 21)
    client = live.client("pc", **files)
    before = x509.read_certificate(files["certificate"].read_bytes())
    profile = replace(live.profiles["pc"], base_url=f"https://localhost:{live.child.port}", **files)
    keeper = asyncio.create_task(CertificateKeeper(client, profile, Hasty()).run())
    sent = 0
    async with asyncio.timeout(30):
        while x509.read_certificate(files["certificate"].read_bytes()).serial == before.serial or sent < 20:
            await client.send_part(a_payment(1_250)[0])
            sent += 1
    await asyncio.sleep(0.5)
    await client.send_part(a_payment(1_250)[0])
    keeper.cancel()
    after = x509.read_certificate(files["certificate"].read_bytes())
    assert before.uri == after.uri
    assert before.not_after < after.not_after
    assert 0o600 == files["private_key"].stat().st_mode & 0o777


async def test_openssl_is_told_good_revoked_and_unknown(live: Live, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine: the OCSP responder is not cross-checked")
    renewer, made = await old_certificate(live, 21), new_request()
    renewed = await live.client("pc", **renewer).renew_certificate(made.csr)
    leaf = saved(tmp_path / "leaf", renewed.chain.encode(), made.private_key)["certificate"]
    issuer, trust = live.data / "ca" / "issuing.pem", live.data / "ca" / "trust.pem"

    async def told(*asked: str | Path) -> str:
        url = (await ran(openssl, "x509", "-in", leaf, "-noout", "-ocsp_uri"))[1].strip()
        assert f"{place('STATUS')}/ocsp" == url
        command = ("ocsp", "-issuer", issuer, *asked, "-url", url, "-CAfile", trust)
        code, out, err = await ran(openssl, *command)
        assert not code, (out, err)
        assert "Response verify OK" in err
        assert "Nonce" not in err
        return out

    assert f"{leaf}: good" in await told("-cert", leaf)
    assert "0x123456: unknown" in await told("-serial", "0x123456")
    await tally(live, "ca", "revoke", renewed.serial)
    await asyncio.sleep(1.1)
    assert f"{leaf}: revoked" in await told("-cert", leaf)
    with pytest.raises(PlatformProblem) as refused:
        await live.client("pc", certificate=leaf, private_key=tmp_path / "leaf.key").policies()
    assert "certificate_revoked" == refused.value.code
    async with httpx2.AsyncClient(trust_env=False) as http:
        (tmp_path / "list").write_bytes((await http.get(f"{place('STATUS')}/crl")).content)
    listed = await ran(openssl, "crl", "-inform", "DER", "-in", tmp_path / "list", "-CAfile", trust, "-noout", "-text")
    assert "verify OK" in listed[2]
    assert renewed.serial.upper() in listed[1].replace(":", "")


@pytest.mark.parametrize("command", ["ca invite channel", "enrol --url", "ca requests", "ca approve", "ca revoke"])
def test_the_page_shows_the_commands_that_are_run_here(command: str) -> None:
    assert f"tallystick {command}" in PAGE
