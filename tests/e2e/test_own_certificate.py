"""The platform's certificate is renewed while it serves: no connection is dropped, every new one gets the new one."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from live_platform import SETTINGS, a_payment, live_platform

from tallystick import config
from tallystick.adapters.platform_certificate import CertificateFiles, EmbeddedCertifier
from tallystick.bootstrap.layout import PLATFORM_URI, create
from tallystick.bootstrap.office import Office, office
from tallystick.bootstrap.presenting import Presenting, keeping
from tallystick.channels import own
from tallystick.crypto import ca, x509
from tallystick.crypto.tls import client_context, server_context
from tallystick.crypto.x509 import make_csr, new_private_key, read_certificate
from tallystick.runtime import Millis
from tallystick.service.server import Listener

pytestmark = pytest.mark.e2e

NAMES = ("localhost",)
BANK = "tallystick:institution:40718253"
WAIT_S = 20.0  # s; the look is once a second, and the machine may be busy
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Scene:
    desk: Office
    presenting: Presenting
    keep: CertificateFiles

    async def age(self, days: int = 21) -> str:
        """Put a certificate of that age into the files; returns its serial."""
        life = self.desk.settings.ca.lives()["platform"]
        then = Millis(self.desk.clock.now() - days * ca.DAY_MS)
        chain_of = EmbeddedCertifier(self.desk.ca, PLATFORM_URI, life)
        key = new_private_key()
        self.keep.replace(await chain_of.certify(key, NAMES, then), key)
        return self.serial

    @property
    def serial(self) -> str:
        return read_certificate(self.keep.chain.read_bytes()).serial

    def back_end(self) -> ssl.SSLContext:
        key, place = new_private_key(), self.keep.chain.parent
        csr = make_csr(key, uri=BANK, dns=NAMES, common_name="bank")
        files = CertificateFiles(place / "bank.pem", place / "bank.key")
        files.replace(self.desk.ca.issue(csr, ca.BACK_END, uri=BANK, dns=NAMES, now=self.desk.clock.now()), key)
        return server_context(files.chain, files.key, self.desk.ca.trust)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    create(tmp_path / "data", SETTINGS)
    async with office(tmp_path / "data", config.load(tmp_path / "data", {})) as desk:
        keep = CertificateFiles(desk.layout.certificate, desk.layout.private_key)
        presenting = Presenting(desk)
        await presenting.ensure()
        yield Scene(desk, presenting, keep)


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def asked(peer: Peer) -> bytes:
    peer[1].write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    return await peer[0].readuntil(b"ok")


def shown(writer: asyncio.StreamWriter) -> str:
    return read_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True)).serial


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():  # noqa: ASYNC110 - another task's work is what is waited for
            await asyncio.sleep(0.05)


async def test_of_processes_that_find_the_certificate_due_at_once_one_renews_it(scene: Scene) -> None:
    aged = await scene.age()
    processes = [scene.presenting, *(Presenting(scene.desk) for _ in range(3))]
    issued = len(scene.desk.ca.issued())
    await asyncio.gather(*(each.ensure() for each in processes))
    assert 1 == len(scene.desk.ca.issued()) - issued
    assert aged != scene.serial
    assert x509.belongs(*(scene.keep.held() or (b"", b"")))


async def test_while_another_process_renews_the_certificate_in_use_is_good_enough(scene: Scene) -> None:
    aged = await scene.age()
    with scene.keep.turn() as mine:
        assert mine
        await scene.presenting.ensure()
    assert aged == scene.serial
    await scene.presenting.ensure()
    assert aged != scene.serial


async def test_listeners_show_the_new_certificate_to_new_connections_and_drop_no_open_one(scene: Scene) -> None:
    first = scene.serial
    context = scene.presenting.listener("test", clients=False)
    client = client_context(scene.desk.ca.trust)
    async with Listener(hello, host="127.0.0.1", port=0, context=context, stop_grace_s=1) as listener:

        async def connect() -> Peer:
            return await asyncio.open_connection("127.0.0.1", listener.port, ssl=client, server_hostname="localhost")

        async def renewed() -> bool:
            _, writer = await connect()
            writer.transport.abort()
            return shown(writer) not in {first, aged}

        open_before = await connect()
        assert b"200 OK" in await asked(open_before)
        aged = await scene.age()
        async with keeping(scene.presenting):
            await until(renewed)
            assert first == shown(open_before[1])
            assert b"200 OK" in await asked(open_before)
            open_before[1].transport.abort()


async def test_connectors_show_the_new_certificate_on_new_connections_and_drop_no_open_one(scene: Scene) -> None:
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(shown(writer))
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    context = scene.presenting.connector("40718253")
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=scene.back_end())
    port = server.sockets[0].getsockname()[1]

    async def connect() -> Peer:
        return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")

    async def echoed(peer: Peer) -> bytes:
        peer[1].write(b"echo\n")
        return await peer[0].readline()

    first, before = scene.serial, await connect()
    assert b"echo\n" == await echoed(before)
    second = await scene.age(1)
    scene.presenting.refresh()
    after = await connect()
    assert b"echo\n" == await echoed(after)
    assert b"echo\n" == await echoed(before)
    assert [first, second] == seen
    for _, writer in (before, after):
        writer.transport.abort()
    server.close()


async def test_a_connector_refuses_a_back_end_whose_certificate_was_revoked(scene: Scene) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=scene.back_end())
    port = server.sockets[0].getsockname()[1]
    context = scene.presenting.connector("40718253")

    async def connect() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        writer.transport.abort()

    await connect()
    (issued,) = [each for each in scene.desk.ca.issued() if each.uri == BANK]
    scene.desk.ca.revoke(issued.serial, scene.desk.clock.now())
    scene.presenting.refresh()
    with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
        await connect()
    server.close()


async def test_files_that_cannot_be_used_leave_the_contexts_as_they_were(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    context = scene.presenting.listener("test", clients=False)
    content = context._content
    key, right = scene.keep.key, scene.keep.key.read_bytes()
    key.write_bytes(new_private_key())
    scene.presenting.refresh()
    assert content is context._content
    assert "stays as it was" in caplog.text
    key.write_bytes(right)
    scene.presenting.refresh()
    assert content is not context._content


async def test_a_serving_process_renews_its_certificate_while_payments_go_on(tmp_path: Path) -> None:
    async with live_platform(tmp_path) as live:
        async with live.office() as desk:
            keep = CertificateFiles(desk.layout.certificate, desk.layout.private_key)
            aged = await Scene(desk, Presenting(desk), keep).age()
        accepted = 0
        async with asyncio.timeout(WAIT_S):
            while aged == read_certificate(keep.chain.read_bytes()).serial:
                first, second = a_payment(1_250)
                await live.client("pc").send_part(first)
                await live.client("phone").send_part(second)
                accepted += 1
        assert "the certificate platform.pem was renewed" in live.log
        assert accepted > 0
        await live.disconnect()  # connect anew: the new certificate is believed
        assert "approved" == await live.outcome(await live.pay(1_250))
        assert not own.due(keep, NAMES, desk.clock.now())
