"""Listeners show a certificate that a real ACME server (pebble, RFC 8555) gave, and renew it while they serve."""

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from live_platform import SETTINGS
from test_enrolment import free_port, saved

from tallystick import config
from tallystick.adapters.acme import AcmeCertifier
from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.platform_certificate import CertificateFiles
from tallystick.bootstrap.acme import acme
from tallystick.bootstrap.layout import Layout, create
from tallystick.bootstrap.office import office
from tallystick.bootstrap.presenting import Presenting, keeping
from tallystick.channels import own
from tallystick.crypto import ca
from tallystick.crypto.tls import client_context
from tallystick.crypto.x509 import belongs, make_csr, new_private_key, read_certificate
from tallystick.errors import Unavailable
from tallystick.runtime import Millis, SystemClock
from tallystick.service.challenges import ChallengeDesk
from tallystick.service.doors import Doors
from tallystick.service.server import Listener

pytestmark = pytest.mark.e2e

PEBBLE = shutil.which("pebble")
NAMES = ("localhost",)
WAIT_S = 60.0
LIFE_S = 3_600  # s of a certificate that pebble gives


def now() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


@dataclass
class Pebble:
    """A running ACME server, who certified it, and the port at which it looks for our answers."""

    directory: str
    management: str
    trust: Path
    http_port: int

    async def root(self) -> bytes:
        async with httpx2.AsyncClient(verify=client_context(self.trust), trust_env=False) as http:
            return (await http.get(f"{self.management}/roots/0")).content


@pytest.fixture
async def pebble(tmp_path: Path) -> AsyncIterator[Pebble]:
    if PEBBLE is None:
        pytest.skip("no pebble on this machine (Debian package): ACME is not tried against a real server")
    place = tmp_path / "pebble"
    place.mkdir()
    authority = FileCa.create(place / "ca", name="pebble's own", now=now())
    key, uri = new_private_key(), "tallystick:platform:pebble"
    csr = make_csr(key, common_name="pebble")
    files = saved(place / "server", authority.issue(csr, ca.PLATFORM, uri=uri, dns=NAMES, now=now()), key)
    acme, management, http = free_port(), free_port(), free_port()
    (place / "config.json").write_text(
        json.dumps(
            {
                "pebble": {
                    "listenAddress": f"127.0.0.1:{acme}",
                    "managementListenAddress": f"127.0.0.1:{management}",
                    "certificate": str(files["certificate"]),
                    "privateKey": str(files["private_key"]),
                    "httpPort": http,
                    "tlsPort": free_port(),
                    "certificateValidityPeriod": LIFE_S,
                }
            }
        )
    )
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"}
    with (place / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PEBBLE, "-config", str(place / "config.json"), stdout=log, stderr=log, env=environment
        )
    try:
        made = Pebble(f"https://localhost:{acme}/dir", f"https://localhost:{management}", authority.trust, http)
        await until(lambda: listens(acme))
        yield made
    finally:
        process.terminate()
        await process.wait()


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for is another process or task
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def certifier(pebble: Pebble, place: Path) -> AsyncIterator[AcmeCertifier]:
    answers = ChallengeDesk()
    async with Listener(answers.app(), host="127.0.0.1", port=pebble.http_port, context=None):
        yield AcmeCertifier(pebble.directory, answers, place / "acme", contact="ops@pay.example", ca=pebble.trust)


async def test_an_acme_server_certifies_our_names_for_a_key_that_stays_here(pebble: Pebble, tmp_path: Path) -> None:
    keep = CertificateFiles(tmp_path / "chain.pem", tmp_path / "chain.key")
    async with certifier(pebble, tmp_path) as acme:
        await own.renew(keep, acme, NAMES, SystemClock())
        account = (tmp_path / "acme" / "account.key").read_bytes()
        first = keep.held()
        await own.renew(keep, acme, NAMES, SystemClock())
    second = keep.held()
    assert first is not None
    assert second is not None
    assert belongs(*second)
    assert first[0] != second[0]
    assert NAMES == read_certificate(second[0]).hosts
    assert account == (tmp_path / "acme" / "account.key").read_bytes()
    assert 0o600 == (tmp_path / "acme" / "account.key").stat().st_mode & 0o777
    assert not own.due(keep, NAMES, now())
    assert own.due(keep, NAMES, Millis(now() + LIFE_S * 1000 * 2 // 3))


async def test_a_name_that_cannot_be_proven_gets_no_certificate(pebble: Pebble, tmp_path: Path) -> None:
    nobody = ChallengeDesk()  # no listener shows its answers
    acme = AcmeCertifier(pebble.directory, nobody, tmp_path / "acme", ca=pebble.trust)
    with pytest.raises(Unavailable, match="could not be proven"):
        await acme.certify(new_private_key(), NAMES, now())
    assert {} == nobody._answers


async def test_a_server_that_is_away_or_not_believed_gives_no_certificate(pebble: Pebble, tmp_path: Path) -> None:
    stranger = FileCa.create(tmp_path / "stranger", name="stranger", now=now()).trust
    for url, trust in ((f"https://localhost:{free_port()}/dir", pebble.trust), (pebble.directory, stranger)):
        acme = AcmeCertifier(url, ChallengeDesk(), tmp_path / "acme", ca=trust)
        with pytest.raises(Unavailable, match="did not issue"):
            await acme.certify(new_private_key(), NAMES, now())


async def test_listeners_go_over_to_the_acme_certificate_and_its_successor_without_a_restart(
    pebble: Pebble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_ACME__DIRECTORY", pebble.directory)
    monkeypatch.setenv("TALLYSTICK_ACME__CA", str(pebble.trust))
    monkeypatch.setenv("TALLYSTICK_ACME__PORT", str(pebble.http_port))
    monkeypatch.setattr("tallystick.bootstrap.presenting.RETRY_MS", 200)
    data = tmp_path / "data"
    create(data, SETTINGS)
    layout = Layout(data)
    async with office(data, config.load(data)) as desk:
        presenting = await Presenting.ready(desk)
        context = presenting.listener("test", clients=False)
        by_own, by_acme = client_context(desk.ca.trust), client_context(await pebble.root())

        async def nothing(scope: object, receive: object, send: object) -> None:
            raise NotImplementedError

        async def serial(client: ssl.SSLContext) -> str:
            try:
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", listener.port, ssl=client, server_hostname="localhost"
                )
            except ssl.SSLCertVerificationError:
                return ""
            writer.transport.abort()
            return read_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True)).serial

        async with Listener(nothing, host="127.0.0.1", port=0, context=context, stop_grace_s=1) as listener:
            assert await serial(by_own)  # until the authority has issued one
            async with Doors({}) as doors, keeping(presenting, await acme(doors, desk)):
                await until(lambda: _is(serial(by_acme)))
                first = await serial(by_acme)
                assert "" == await serial(by_own)
                layout.shown_key.unlink()  # a renewal is due
                await until(lambda: _is_another(serial(by_acme), first))


async def _is(serial: Awaitable[str]) -> bool:
    return await serial != ""


async def _is_another(serial: Awaitable[str], first: str) -> bool:
    return await serial not in {"", first}
