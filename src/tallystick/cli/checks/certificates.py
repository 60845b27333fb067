"""Certificates and TLS: valid, of the right names, and a listener that lets in nobody it should not."""

import asyncio
import ssl
from pathlib import Path
from typing import Final

from tallystick.adapters.ca_files import FileCa
from tallystick.bootstrap.layout import PLATFORM_URI
from tallystick.channels.own import LAST_PART
from tallystick.cli.checks import handshakes
from tallystick.cli.checks.model import Check, Scene, Weight, refuse
from tallystick.config import HOUR_MS
from tallystick.crypto import tls
from tallystick.crypto.ca import DAY_MS, read_revocation_list
from tallystick.crypto.x509 import read_certificate
from tallystick.errors import Misconfigured
from tallystick.runtime import Millis

DAYS_MIN: Final = 3  # days a certificate must still be valid
LIFE_MIN: Final = 10  # where a certificate's whole life is short: this part of it must be left
AUTHORITY_DAYS_MIN: Final = 180  # days an authority should still be valid: peers need time to trust its successor
DAY_HOURS: Final = 24
CONNECT_TIMEOUT_S: Final = 5.0  # s for the listener to shake hands
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - listened on, not connected to
LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


async def certificates(scene: Scene) -> str:
    """The platform's certificate and its authorities are usable together, and valid for some days more."""
    authority, layout = FileCa(scene.layout.ca), scene.layout
    tls.server_context(layout.certificate, layout.private_key, authority.trust)
    paths = (layout.certificate, authority.issuer, authority.trust)
    left = {path.name: _hours_left(path, scene.now()) for path in paths}
    wanted = {path.name: min(DAYS_MIN * DAY_HOURS, _life(path) // LIFE_MIN) for path in paths}
    refuse([f"{name} is valid for {max(left[name], 0)} hours more" for name in left if left[name] < wanted[name]])
    return f"the platform's certificate is valid for {left[layout.certificate.name] // DAY_HOURS} days more"


async def certificates_ahead(scene: Scene) -> str:
    """No certificate ends within the time it takes to replace it."""
    authority, now = FileCa(scene.layout.ca), scene.now()
    platform = scene.layout.certificate
    wanted = {
        platform: _life(platform) // LAST_PART,
        authority.issuer: AUTHORITY_DAYS_MIN * DAY_HOURS,
        authority.trust: AUTHORITY_DAYS_MIN * DAY_HOURS,
    }
    left = {path: _hours_left(path, now) for path in wanted}
    refuse(
        [
            f"{path.name} ends in {max(hours, 0) // DAY_HOURS} days"
            for path, hours in left.items()
            if hours < wanted[path]
        ]
    )
    days = [left[path] // DAY_HOURS for path in (platform, authority.issuer)]
    return f"the platform's ends in {days[0]} days, its issuer in {days[1]}"


async def names(scene: Scene) -> str:
    """A peer that trusts the authority finds each name of the settings in the platform's certificate, and its URI."""
    layout, wanted = scene.layout, scene.settings().gateway.names
    if read_certificate(layout.certificate.read_bytes()).uri != PLATFORM_URI:
        raise Misconfigured(f"{layout.certificate.name} is not the platform's own: its identity is another one")
    server, trust = _server(scene), FileCa(layout.ca).trust
    client = tls.client_context(trust, layout.certificate, layout.private_key)
    lost = [name for name in wanted if await handshakes.negotiated(server, client, name) is None]
    refuse([f"{name} is not a name in the platform's certificate, or its issuer is not trusted" for name in lost])
    return f"{', '.join(wanted)}: found in the certificate, issued by the platform's authority"


async def public_names(scene: Scene) -> str:
    """The platform has a name that others can reach."""
    wanted = scene.settings().gateway.names
    if set(wanted) <= LOCAL_NAMES:
        raise Misconfigured("the certificate names this machine only")
    return f"peers reach it as {', '.join(wanted)}"


async def protocols(scene: Scene) -> str:
    """A listener speaks TLS 1.3, and 1.2 with AEAD suites; TLS 1.1 and CBC suites are refused (PCI DSS 4.2.1)."""
    return await speaks(_server(scene), scene)


async def speaks(server: ssl.SSLContext, scene: Scene) -> str:
    """Shake hands with a listener of this context in every way; raises Misconfigured for what it should not do."""
    layout, name = scene.layout, scene.settings().gateway.names[0]
    certificate, key = layout.certificate, layout.private_key
    trust = FileCa(layout.ca).trust
    good = [
        await handshakes.negotiated(server, made(tls.client_context(trust, certificate, key)), name)
        for made in (handshakes.newest_only, handshakes.second_newest)
    ]
    faults = [] if good[0] is not None else ["a listener does not speak TLS 1.3"]
    unwanted = [("TLS 1.2 without AEAD", handshakes.without_aead(certificate, key))]
    if ssl.HAS_TLSv1_1:  # else no listener of this OpenSSL can speak it
        unwanted.append(("TLS 1.1", handshakes.outdated(certificate, key)))
    for fault, peer in unwanted:
        if (agreed := await handshakes.negotiated(server, peer, name)) is not None:
            faults.append(f"a listener takes {fault}: {agreed}")
    refuse(faults)
    return f"a listener agrees on {' or '.join(filter(None, good))}, and refuses TLS 1.1 and CBC suites"


async def client_certificates(scene: Scene) -> str:
    """A listener lets in nobody without a client certificate (patent claim 33)."""
    return await asks_for_certificates(_server(scene), scene)


async def asks_for_certificates(server: ssl.SSLContext, scene: Scene) -> str:
    """Shake hands with a listener of this context with and without a certificate; raises Misconfigured."""
    layout, name = scene.layout, scene.settings().gateway.names[0]
    trust = FileCa(layout.ca).trust
    known = tls.client_context(trust, layout.certificate, layout.private_key)
    if await handshakes.negotiated(server, known, name) is None:
        raise Misconfigured("a listener refuses a peer with a certificate of the platform's authority")
    if await handshakes.negotiated(server, tls.client_context(trust), name) is not None:
        raise Misconfigured("a listener lets in a peer without a certificate")
    return "a listener lets in a peer with a certificate, and none without"


async def revocations(scene: Scene) -> str:
    """The revocation list verifies: without a valid one everybody is refused."""
    authority, now = FileCa(scene.layout.ca), scene.now()
    found = read_revocation_list(authority.crl.read_bytes(), authority.issuer.read_bytes(), now)
    return f"list {found.number}, {len(found.serials)} entries, valid for {(found.next_update - now) // DAY_MS} days"


async def listener(scene: Scene) -> str:
    """What listens on the port of the settings, if anything does, is this platform."""
    gateway, layout = scene.settings().gateway, scene.layout
    if gateway.port == 0:
        return "not looked for: the settings name port 0"
    context = tls.client_context(FileCa(layout.ca).trust, layout.certificate, layout.private_key)
    host = EVERYWHERE.get(gateway.host, gateway.host)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, gateway.port, ssl=context, server_hostname=gateway.names[0])
    except ConnectionRefusedError:
        return f"nothing serves on {host} port {gateway.port}"
    except (OSError, TimeoutError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
        raise Misconfigured(f"what listens on port {gateway.port} is not this platform: {reason}") from error
    writer.transport.abort()
    return f"this platform serves on port {gateway.port}"


RENEWED: Final = "Start tallystick serve: it renews the platform's own certificate, or its log says why not."
REPORTED: Final = "Do not serve: report this with the versions of Python and OpenSSL (SECURITY.md)."
CHECKS: Final = (
    Check("certificates", Weight.STOPS, RENEWED, certificates),
    Check(
        "certificates ahead",
        Weight.ADVICE,
        f"{RENEWED} An authority that ends: make a new one, and have every peer trust it in time.",
        certificates_ahead,
    ),
    Check(
        "certificate names",
        Weight.UNSAFE,
        "Start tallystick serve anew: it makes a certificate with the names of the settings.",
        names,
    ),
    Check("public names", Weight.ADVICE, "Put the host names that peers use into names in [gateway].", public_names),
    Check("TLS versions and suites", Weight.UNSAFE, REPORTED, protocols),
    Check("client certificates", Weight.UNSAFE, REPORTED, client_certificates),
    Check("revocation list", Weight.STOPS, "Start tallystick serve: it renews the list daily.", revocations),
)
LISTENER: Final = Check(
    "listener",
    Weight.STOPS,
    "End the other program, or name another port in [gateway]; then tallystick serve.",
    listener,
)


def _server(scene: Scene) -> ssl.SSLContext:
    layout = scene.layout
    return tls.server_context(layout.certificate, layout.private_key, FileCa(layout.ca).trust)


def _hours_left(path: Path, now: Millis) -> int:
    return (read_certificate(path.read_bytes()).not_after - now) // HOUR_MS


def _life(path: Path) -> int:
    leaf = read_certificate(path.read_bytes())
    return (leaf.not_after - leaf.not_before) // HOUR_MS
