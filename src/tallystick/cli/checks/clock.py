"""The clock: freshness, expiry and certificates rest on it. No reference is asked: this works without a network."""

import time
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tallystick.cli.checks.model import Check, Scene, Weight, refuse
from tallystick.config import FILE_NAME
from tallystick.crypto.x509 import read_certificate
from tallystick.errors import Misconfigured
from tallystick.limits import FRESHNESS_MS
from tallystick.runtime import Millis

WATCHED_S: Final = 0.2  # s the clock is watched
LOOKS: Final = 5  # looks at both clocks
STEP_MAX_MS: Final = 50  # ms the clock may differ from the machine's monotonic one meanwhile
BANK_ZONE: Final = "Asia/Shanghai"  # the time zone of ISO 8583 links, where settings say no other


async def against_files(scene: Scene) -> str:
    """The clock is not behind the times at which this platform wrote its own files."""
    now, layout = scene.now(), scene.layout
    files = [layout.root / FILE_NAME, layout.ca / "crl.pem", *(path for path in (layout.store,) if path.exists())]
    written = [path.stat().st_mtime * 1000 for path in files]
    if max(written) > now + FRESHNESS_MS:
        raise Misconfigured("the clock is behind the time at which this platform last wrote a file")
    return "not behind this platform's own files"


async def against_records(scene: Scene) -> str:
    """The clock is not behind the newest row of the store, nor behind the start of the platform's certificate."""
    now = scene.now()
    with scene.examining() as store:
        newest = store.newest()
    begins = read_certificate(scene.layout.certificate.read_bytes()).not_before
    faults = [f"it is {_minutes(newest - now)} behind the newest row of the store"] if newest > now else []
    faults += [f"it is {_minutes(begins - now)} behind the start of the certificate"] if begins > now else []
    refuse(faults)
    return "not behind the newest row of the store nor the certificate's start"


async def steps(scene: Scene) -> str:
    """The clock runs as evenly as the machine's monotonic one: something that sets it in steps is a second master."""
    before = _ahead_ms(scene)
    await scene.clock.sleep(WATCHED_S)
    step = _ahead_ms(scene) - before
    if abs(step) > STEP_MAX_MS:
        raise Misconfigured(f"it jumped by {step} ms while it was watched")
    return f"no jump in {WATCHED_S} s; its offset cannot be told without a reference"


async def zones(scene: Scene) -> str:
    """The time zones of links and of dynamic numbers are known."""
    async with scene.desk() as desk:
        table = await desk.store.read(lambda books: books.routing_table())
    wanted = {BANK_ZONE, *(back_end.zone for back_end in table.back_ends)}
    refuse([f"{zone} is not known" for zone in sorted(wanted) if not _known(zone)])
    return f"known: {', '.join(sorted(wanted))}"


SET_BY_NTP: Final = "Set this machine's clock by NTP, from two sources or more (PCI DSS 10.6)."
CHECKS: Final = (
    Check("clock", Weight.STOPS, SET_BY_NTP, against_files),
    Check("clock and records", Weight.UNSAFE, SET_BY_NTP, against_records),
    Check("clock steps", Weight.ADVICE, "Let one service only set the clock, by slewing it.", steps),
    Check("time zones", Weight.STOPS, "Install tzdata, or correct the zone of the institution.", zones),
)


def _ahead_ms(scene: Scene) -> int:
    """Return how far the clock is ahead of the monotonic one, by the quickest of a few looks: a busy machine pauses."""
    looks = []
    for _ in range(LOOKS):
        began, wall, ended = time.monotonic_ns(), scene.now(), time.monotonic_ns()
        looks.append((ended - began, wall - (began + ended) // 2_000_000))
    return min(looks)[1]


def _minutes(behind: int) -> str:
    return f"{Millis(behind) // 60_000} minutes"


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder
        return False
    return True
