"""What `tallystick doctor` looks at: each check returns what it found, or raises what is wrong."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick import bootstrap, config
from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.keys.files import FileKeyring
from tallystick.bootstrap import Layout
from tallystick.cli import administer
from tallystick.config import FILE_NAME
from tallystick.crypto import tls
from tallystick.crypto.ca import DAY_MS, read_revocation_list
from tallystick.crypto.x509 import read_certificate
from tallystick.errors import Misconfigured, TallystickError
from tallystick.limits import FRESHNESS_MS
from tallystick.runtime import Millis, SystemClock

DAYS_MIN: Final = 3  # days a certificate must still be valid; the platform's own is renewed at a start from 10 on
CONNECT_TIMEOUT_S: Final = 5.0  # s for the listener to shake hands
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - listened on, not connected to


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, what to do when it fails, and how to look."""

    name: str
    remedy: str
    look: Callable[[Layout], Awaitable[str]]


async def settings(layout: Layout) -> str:
    """Read the settings, with the split policies and carriers in them."""
    loaded = config.load(layout.root)
    policies = bootstrap.split_policies(loaded)
    carriers = bootstrap.mail_and_sms(loaded, SystemClock())
    return f"{len(policies)} split policies; notices by {', '.join(sorted(carriers)) or 'nothing: codes reach nobody'}"


async def directories(layout: Layout) -> str:
    """Look at the modes of the directories."""
    found = (
        layout.root,
        layout.keys,
        layout.epochs,
        layout.recovery,
        layout.opening,
        layout.ca,
        layout.certificate.parent,
    )
    for path in found:
        _check_private(path)
    return f"{len(found)} directories are closed to others"


async def private_files(layout: Layout) -> str:
    """Look at the modes of keys and store."""
    found = list(_private_files(layout))
    for path in found:
        _check_private(path)
    return f"{len(found)} private files are closed to others"


async def keys(layout: Layout) -> str:
    """Load the long-lived keys."""
    FileKeyring.load(layout.keys)
    return "all long-lived keys load"


async def certificates(layout: Layout) -> str:
    """Look at the platform's certificate and its authorities: usable together, and valid for some days more."""
    authority = FileCa(layout.ca)
    tls.server_context(layout.certificate, layout.private_key, authority.trust)
    now = SystemClock().now()
    left = {path.name: _days_left(path, now) for path in (layout.certificate, authority.issuer, authority.trust)}
    for name, days in left.items():
        if days < DAYS_MIN:
            raise Misconfigured(f"{name} is valid for {max(days, 0)} days more")
    return f"the platform's certificate is valid for {left[layout.certificate.name]} days more"


async def revocations(layout: Layout) -> str:
    """Verify the revocation list: without a valid one everybody is refused."""
    authority, now = FileCa(layout.ca), SystemClock().now()
    found = read_revocation_list(authority.crl.read_bytes(), authority.issuer.read_bytes(), now)
    return f"list {found.number}, {len(found.serials)} entries, valid for {(found.next_update - now) // DAY_MS} days"


async def store(layout: Layout) -> str:
    """Open the store and read from it."""
    if not layout.store.exists():
        raise Misconfigured(f"{layout.store.name} is missing")
    async with bootstrap.office(layout.root, config.load(layout.root)) as desk:
        channels = await desk.store.read(lambda books: books.channels())
    return f"opens; {len(channels)} channels are registered"


async def clock(layout: Layout) -> str:
    """Compare the clock with the times at which this machine wrote its own files."""
    now = SystemClock().now()
    written = [path.stat().st_mtime * 1000 for path in (layout.root / FILE_NAME, layout.store, layout.ca / "crl.pem")]
    if max(written) > now + FRESHNESS_MS:
        raise Misconfigured("the clock is behind the time at which this platform last wrote a file")
    return "not behind this platform's own files"


async def connectors(layout: Layout) -> str:
    """Open and decode every back end's connector settings."""
    async with bootstrap.office(layout.root, config.load(layout.root)) as desk:
        table = await desk.store.read(lambda books: books.routing_table())
        connected = 0
        for back_end in table.back_ends:
            try:
                connected += await administer.check_connector(desk, back_end)
            except TallystickError as error:
                raise Misconfigured(f"{back_end.name} ({back_end.id}): {error.detail}") from error
    return f"{connected} of {len(table.back_ends)} institutions are connected; {len(table.issuer_rules)} issuer rules"


async def listener(layout: Layout) -> str:
    """Shake hands with the listener, if anything listens: it must be this platform."""
    gateway = config.load(layout.root).gateway
    if gateway.port == 0:
        return "not looked for: the settings name port 0"
    authority = FileCa(layout.ca)
    context = tls.client_context(authority.trust, layout.certificate, layout.private_key)
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


CHECKS: Final = (
    Check("settings", f"Correct {FILE_NAME} or the TALLYSTICK_ variables; tallystick init makes a new one.", settings),
    Check("directories", "chmod 700 the directory named, as the user that serves.", directories),
    Check("private files", "chmod 600 the file named, as the user that serves.", private_files),
    Check("keys", "Restore keys/ from its backup: without it nothing that is stored can be opened.", keys),
    Check("certificates", "Start tallystick serve anew: it renews the platform's own certificate.", certificates),
    Check("revocation list", "Start tallystick serve: it renews the list daily.", revocations),
    Check("store", "Restore store.db from its backup, or free space on its disk.", store),
    Check("clock", "Set this machine's clock by NTP.", clock),
    Check("connectors", "Set the institution's settings anew: tallystick institution connect.", connectors),
    Check("listener", "End the other program, or name another port in [gateway]; then tallystick serve.", listener),
)


def _check_private(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        raise Misconfigured(f"{path.name} is missing") from None
    if found.st_uid != os.geteuid():
        raise Misconfigured(f"{path.name} belongs to another user")
    if found.st_mode & tls.OTHERS:
        raise Misconfigured(f"{path.name} is open to others")


def _private_files(layout: Layout) -> Iterator[Path]:
    for directory in (layout.keys, layout.epochs, layout.recovery, layout.opening):
        yield from sorted(path for path in directory.iterdir() if path.is_file())
    yield from sorted(layout.ca.glob("*.key"))
    yield from (layout.private_key, layout.store)


def _days_left(path: Path, now: Millis) -> int:
    return (read_certificate(path.read_bytes()).not_after - now) // DAY_MS
