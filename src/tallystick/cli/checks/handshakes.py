"""Real TLS handshakes with a listener of this process, as peers that must be let in and as peers that must not."""

import asyncio
import contextlib
import ssl
import warnings
from pathlib import Path
from typing import Final

from tallystick.crypto import tls

TIMEOUT_S: Final = 10.0  # s for one handshake on this machine
CBC_SUITES: Final = "ECDHE+AES:RSA+AES:!AESGCM:!AESCCM:@SECLEVEL=0"
EVERY_SUITE: Final = "ALL:@SECLEVEL=0"


async def negotiated(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    """Shake hands; return the version and suite once the listener let the peer in, None when one of them refused.

    With TLS 1.3 a client is done before the listener has seen its certificate: only a byte from the listener tells.
    """
    listener = await asyncio.start_server(_welcome, "127.0.0.1", 0, ssl=server)
    port = listener.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _met(port, client, name)
    except (ssl.SSLError, ConnectionError):
        return None
    finally:
        listener.close()


def newest_only(client: ssl.SSLContext) -> ssl.SSLContext:
    """Make a peer speak TLS 1.3 only."""
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    return client


def second_newest(client: ssl.SSLContext) -> ssl.SSLContext:
    """Make a peer speak TLS 1.2 only."""
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    return client


def outdated(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a peer that speaks TLS 1.1 at most, with every suite."""
    client = _careless(certificate, key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
        client.minimum_version = ssl.TLSVersion.TLSv1
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers(EVERY_SUITE)
    return client


def without_aead(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a peer that speaks TLS 1.2 with CBC suites only."""
    client = second_newest(_careless(certificate, key))
    client.set_ciphers(CBC_SUITES)
    return client


def _careless(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a peer that believes any listener: what is asked is only whether the listener lets it in."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    tls.check_private(key)
    client.load_cert_chain(certificate, key)
    return client


async def _welcome(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write(b".")
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def _met(port: int, client: ssl.SSLContext, name: str) -> str | None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
    try:
        let_in = await reader.read(1)
        session = writer.get_extra_info("ssl_object")
        return f"{session.version()} {session.cipher()[0]}" if let_in else None
    finally:
        writer.transport.abort()
