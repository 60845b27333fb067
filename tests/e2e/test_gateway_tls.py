"""Real sockets and TLS: which certificates reach the application, and with which identity."""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from tallystick.adapters.ca_files import FileCa, RevocationList
from tallystick.crypto.ca import BACK_END, CHANNEL, DAY_MS, PLATFORM, Authority, Profile, new_root
from tallystick.crypto.tls import client_context, server_context
from tallystick.crypto.x509 import (
    PeerCertificate,
    load_certificate,
    load_signing_key,
    make_csr,
    new_private_key,
    read_certificate,
    subject,
)
from tallystick.errors import CertificateRevoked, Misconfigured
from tallystick.runtime import Millis
from tallystick.service import server
from tallystick.service.server import PEER, Listener

pytestmark = pytest.mark.e2e

SHOP = "tallystick:channel:ch_shop"
BANK = "tallystick:institution:inst_bank"


@dataclass
class Gateway:
    """One listener with its authority; `place` has a certificate and key for every peer that a test makes."""

    ca: FileCa
    place: Path
    listener: Listener
    seen: list[PeerCertificate]

    def certify(self, name: str, profile: Profile, uri: str, now: Millis | None = None) -> tuple[Path, Path]:
        key = new_private_key()
        csr = make_csr(key, uri=uri, common_name=name)
        chain = self.ca.issue(csr, profile, uri=uri, now=present() if now is None else now, life=DAY_MS)
        return self.save(name, chain, key)

    def save(self, name: str, chain: bytes, key: bytes) -> tuple[Path, Path]:
        return write(self.place / f"{name}.pem", chain), write(self.place / f"{name}.key", key)

    async def connect(
        self, cert: Path | None = None, key: Path | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = client_context(self.ca.trust, cert, key)
        return await asyncio.open_connection("127.0.0.1", self.listener.port, ssl=context, server_hostname="localhost")

    async def ask(self, cert: Path | None = None, key: Path | None = None, body: bytes = b"part") -> bytes:
        reader, writer = await self.connect(cert, key)
        try:
            writer.write(request(body, close=True))
            return await reader.read()
        finally:
            writer.transport.abort()


def present() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def request(body: bytes, *, close: bool = False) -> bytes:
    end = b"connection: close\r\n" if close else b""
    return b"POST /echo HTTP/1.1\r\nhost: localhost\r\n%scontent-length: %d\r\n\r\n%s" % (end, len(body), body)


async def refused(
    gateway: Gateway, peer: tuple[Path, Path] | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Show that a peer gets not one byte, the application sees nothing, and the log says why.

    In TLS 1.3 the server refuses after the client has finished its handshake: the client sees an end at its first read.
    """
    caplog.set_level(logging.INFO, "tallystick.tls")
    try:
        answer = await gateway.ask(*(peer or ()))
    except OSError:
        answer = b""
    assert answer == b""
    assert gateway.seen == []
    assert caplog.messages == [f"handshake refused: {reason}"]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    ca = FileCa.create(tmp_path / "ca", name="test", now=present())
    revocation = RevocationList(ca.crl, ca.issuer)
    seen: list[PeerCertificate] = []

    async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
        peer = scope[PEER]
        seen.append(peer)
        status = 200
        try:
            revocation.check(peer, present())
        except CertificateRevoked:
            status = 403
        message = await receive()
        headers = [
            (b"content-length", str(len(message["body"])).encode()),
            (b"peer", str(peer.uri).encode()),
            (b"serial", str(peer.serial).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": message["body"]})

    uri = "tallystick:platform:test"
    key = new_private_key()
    csr = make_csr(key, uri=uri, dns=["localhost"], common_name="platform")
    chain = ca.issue(csr, PLATFORM, uri=uri, dns=["localhost"], now=present(), life=DAY_MS)
    context = server_context(
        write(tmp_path / "platform.pem", chain), write(tmp_path / "platform.key", key), client_ca=ca.trust
    )
    async with Listener(echo, host="127.0.0.1", port=0, context=context, stop_grace_s=1) as listener:
        yield Gateway(ca, tmp_path, listener, seen)


async def test_the_identity_of_an_accepted_certificate_reaches_the_application(gateway: Gateway) -> None:
    cert, key = gateway.certify("shop", CHANNEL, SHOP)
    answer = await gateway.ask(cert, key, body=b"x" * 1800)
    serial = read_certificate(cert.read_bytes()).serial.encode()
    assert answer.splitlines()[0] == b"HTTP/1.1 200 OK"
    assert b"peer: " + SHOP.encode() in answer.splitlines()
    assert b"serial: " + serial in answer.splitlines()
    assert answer.endswith(b"x" * 1800)


async def test_a_back_end_certificate_is_accepted_as_a_client_under_its_own_identity(gateway: Gateway) -> None:
    assert b"peer: " + BANK.encode() in (await gateway.ask(*gateway.certify("bank", BACK_END, BANK))).splitlines()


async def test_each_connection_gives_its_own_identity_on_every_request(gateway: Gateway) -> None:
    first = await gateway.connect(*gateway.certify("shop", CHANNEL, SHOP))
    second = await gateway.connect(*gateway.certify("bank", BACK_END, BANK))
    for _ in range(3):
        for (reader, writer), uri in ((first, SHOP), (second, BANK)):
            writer.write(request(b""))
            assert b"peer: " + uri.encode() in await reader.readuntil(b"\r\n\r\n")
    for _, writer in (first, second):
        writer.transport.abort()


async def test_the_answer_names_no_server_software_and_a_header_names_no_peer(gateway: Gateway) -> None:
    reader, writer = await gateway.connect(*gateway.certify("shop", CHANNEL, SHOP))
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\ntallystick.peer: x\r\nx-forwarded-for: 1.2.3.4\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"server:" not in head.lower()
    assert b"date:" in head.lower()
    assert b"peer: " + SHOP.encode() in head
    writer.transport.abort()


async def test_no_certificate_is_refused_at_the_handshake(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    await refused(gateway, None, "PEER_DID_NOT_RETURN_A_CERTIFICATE", caplog)


async def test_a_certificate_of_an_unknown_authority_is_refused_at_the_handshake(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    root = Authority(*new_root("test issuing", present()))  # the name of our issuing authority, another key
    key = new_private_key()
    leaf = root.issue(make_csr(key, uri=SHOP, common_name="x"), CHANNEL, uri=SHOP, now=present(), life=DAY_MS)
    await refused(gateway, gateway.save("stranger", leaf, key), "unable to get local issuer certificate", caplog)


async def test_an_expired_certificate_is_refused_at_the_handshake(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    late = gateway.certify("late", CHANNEL, SHOP, now=Millis(present() - 2 * DAY_MS))
    await refused(gateway, late, "certificate has expired", caplog)


async def test_a_certificate_for_servers_only_is_refused_at_the_handshake(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    only_server = Profile("only_server", "institution", client=False, server=True, life=DAY_MS, life_max=DAY_MS)
    await refused(gateway, gateway.certify("server", only_server, BANK), "unsuitable certificate purpose", caplog)


async def test_a_revoked_certificate_is_refused_on_a_connection_that_is_already_open(gateway: Gateway) -> None:
    cert, key = gateway.certify("shop", CHANNEL, SHOP)
    peer = read_certificate(cert.read_bytes())
    reader, writer = await gateway.connect(cert, key)
    writer.write(request(b""))
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    gateway.ca.revoke(peer.serial, present())
    await asyncio.sleep(1.01)  # the bound on how late a revocation may count
    writer.write(request(b""))
    assert b"403 Forbidden" in await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


@pytest.mark.parametrize(("version", "resumed"), [(ssl.TLSVersion.TLSv1_3, False), (ssl.TLSVersion.TLSv1_2, True)])
async def test_a_second_connection_has_its_identity_whether_or_not_tls_resumes_the_session(
    gateway: Gateway, version: ssl.TLSVersion, *, resumed: bool
) -> None:
    context = client_context(gateway.ca.trust, *gateway.certify("shop", CHANNEL, SHOP))
    context.maximum_version = version
    session: list[ssl.SSLSession | None] = [None]

    def ask() -> bool | None:
        plain = socket.create_connection(("127.0.0.1", gateway.listener.port))
        with context.wrap_socket(plain, server_hostname="localhost", session=session[0]) as secured:
            secured.sendall(request(b"", close=True))
            assert b"peer: " + SHOP.encode() in secured.recv(4096)
            session[0] = secured.session
            return secured.session_reused

    assert await asyncio.to_thread(ask) is False
    assert await asyncio.to_thread(ask) is resumed


async def test_a_client_that_offers_tls_1_2_without_aead_is_refused(gateway: Gateway) -> None:
    context = client_context(gateway.ca.trust, *gateway.certify("shop", CHANNEL, SHOP))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(OSError):  # noqa: PT011  # reset or alert: the loop decides
        await asyncio.open_connection("127.0.0.1", gateway.listener.port, ssl=context, server_hostname="localhost")


async def test_a_head_that_grows_without_end_is_refused(gateway: Gateway) -> None:
    reader, writer = await gateway.connect(*gateway.certify("shop", CHANNEL, SHOP))
    writer.write(b"GET / HTTP/1.1\r\nx: ")
    for _ in range(8):
        await asyncio.sleep(0.01)
        writer.write(b"a" * (server.HEAD_MAX // 4))
    assert b"400 Bad Request" in await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def test_a_request_that_is_never_finished_is_cut_off(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "READ_TIMEOUT_S", 0.2)
    reader, writer = await gateway.connect(*gateway.certify("shop", CHANNEL, SHOP))
    for byte in b"POST / HTTP/1.1\r\ncontent-length: 99\r\n\r\n":
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.transport.abort()


async def test_a_second_request_on_a_connection_is_cut_off_too_when_it_is_never_finished(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await gateway.connect(*gateway.certify("shop", CHANNEL, SHOP))
    writer.write(request(b""))
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    monkeypatch.setattr(server, "READ_TIMEOUT_S", 0.1)
    writer.write(b"POST / HTTP/1.1\r\nhost: local")
    async with asyncio.timeout(5):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    writer.transport.abort()


async def test_a_certificate_with_two_identities_reaches_no_application_even_when_our_authority_signed_it(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    key = new_private_key()
    leaf = two_identities(gateway.ca.trust.parent, key)
    try:
        answer = await gateway.ask(*gateway.save("both", leaf + gateway.ca.issuer.read_bytes(), key))
    except OSError:
        answer = b""
    assert answer == b""
    assert gateway.seen == []
    assert "connection closed: the certificate carries more than one tallystick identity" in caplog.messages


def two_identities(authority: Path, key_pem: bytes) -> bytes:
    """Sign with the authority's own key what its `issue` refuses to make: one holder who is two channels."""
    issuer = load_certificate((authority / "issuing.pem").read_bytes())
    signer = load_signing_key((authority / "issuing.key").read_bytes())
    key = load_signing_key(key_pem).public_key()
    names = [x509.UniformResourceIdentifier(SHOP), x509.UniformResourceIdentifier(SHOP + "2")]
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    leaf = x509.CertificateBuilder().subject_name(subject("both")).issuer_name(issuer.subject).public_key(key)
    leaf = leaf.serial_number(x509.random_serial_number())
    leaf = leaf.not_valid_before(issuer.not_valid_before_utc).not_valid_after(issuer.not_valid_after_utc)
    for extension in (
        x509.SubjectAlternativeName(names),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
        x509.SubjectKeyIdentifier.from_public_key(key),
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own),
    ):
        leaf = leaf.add_extension(extension, critical=False)
    return leaf.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


async def test_stopping_cuts_off_what_does_not_finish_within_the_grace() -> None:
    entered = asyncio.Event()

    async def stuck(scope: dict[str, Any], receive: Any, send: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    listener = Listener(stuck, host="127.0.0.1", port=0, context=None, stop_grace_s=1)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(request(b""))
    await entered.wait()
    async with asyncio.timeout(5):
        await listener.stop()
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b""
    assert b"200" not in answer
    writer.close()


async def test_an_address_in_use_is_the_operators_mistake_and_ends_no_process(gateway: Gateway) -> None:
    second = Listener(None, host="127.0.0.1", port=gateway.listener.port, context=None)
    with pytest.raises(Misconfigured, match="cannot listen"):
        await second.start()


async def test_stopping_lets_a_request_in_flight_finish_and_closes_idle_connections() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        entered.set()
        await release.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    listener = Listener(slow, host="127.0.0.1", port=0, context=None)
    await listener.start()
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", listener.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(request(b""))
    await entered.wait()
    stopping = asyncio.create_task(listener.stop())
    assert await idle_reader.read() == b""
    assert not stopping.done()
    release.set()
    assert b"204 No Content" in await reader.read()
    await stopping
    await listener.stop()
    for each in (idle_writer, writer):
        each.close()
