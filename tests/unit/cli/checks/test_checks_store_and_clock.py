"""The store's settings, pages, room and place; the clock against it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.cli.checks.model import Scene
from tallystick.cli.checks.store import kind_of
from tallystick.runtime import Millis, SystemClock
from tallystick.testing.clock import VirtualClock

Fault = Callable[..., str | None]
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    "check",
    [
        "store",
        "store settings",
        "store integrity",
        "free space",
        "file system",
        "clock",
        "clock and records",
        "clock steps",
        "time zones",
    ],
)
def test_a_new_platform_has_a_whole_store_and_a_right_clock(fault: Fault, check: str) -> None:
    assert fault(check) is None


def test_a_damaged_page_is_found(fault: Fault, platform: Path) -> None:
    with (platform / "store.db").open("r+b") as file:
        for page in range(2, 12):
            file.seek(page * 4096)
            file.write(b"\xff" * 512)
    assert "a page of the database is damaged" == fault("store integrity")


def test_a_reference_that_leads_nowhere_is_found(fault: Fault, platform: Path) -> None:
    with closing(sqlite3.connect(platform / "store.db")) as db, db:
        db.execute("INSERT INTO credential VALUES ('1', 'usr_nobody', x'00', 0)")
    assert "a row of credential refers to one that is not there" == fault("store integrity")


def test_a_missing_store_is_not_made_by_looking(fault: Fault, platform: Path) -> None:
    (platform / "store.db").unlink()
    assert {"store.db is missing"} == {fault(name) for name in ("store", "store settings", "manual payments")}
    assert not (platform / "store.db").exists()


def test_little_room_is_told(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.cli.checks.store.FREE_MIN", 10**18)
    assert "MiB are free" in str(fault("free space"))


@pytest.mark.parametrize(("kind", "said"), [("tmpfs", "lies in memory"), ("nfs4", "lies on a network file system")])
def test_a_place_that_promises_less_is_told(fault: Fault, platform: Path, kind: str, said: str) -> None:
    mounts = f"/dev/vda / ext4 rw 0 0\nx {platform.parent.resolve()} {kind} rw 0 0\n"
    assert said in str(fault("file system", mounts=mounts))


def test_the_innermost_and_latest_mount_tells_the_kind() -> None:
    mounts = "a / ext4\nb /srv nfs4\nc /srv/pay xfs\nd /srv/pay btrfs\nbroken\n"
    assert ["btrfs", "nfs4", "ext4", ""] == [
        kind_of(Path("/srv/pay/data"), mounts),
        kind_of(Path("/srv/paying"), mounts),
        kind_of(Path("/home"), mounts),
        kind_of(Path("/home"), ""),
    ]


def test_a_clock_behind_the_records_and_the_certificate_is_found(fault: Fault, scene: Scene) -> None:
    behind = replace(scene, clock=VirtualClock(Millis(SystemClock().now() - 3 * HOUR_MS)))
    said = str(fault("clock and records", at=behind))
    assert "behind the newest row of the store" in said
    assert "behind the start of the certificate" in said
    assert "the clock is behind the time at which this platform last wrote a file" == fault("clock", at=behind)


def test_a_clock_that_jumps_while_it_is_watched_is_told(fault: Fault, scene: Scene) -> None:
    class Jumping(SystemClock):
        jumped = 0

        def now(self) -> Millis:
            return Millis(super().now() + self.jumped)

        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            self.jumped = -HOUR_MS

    assert "it jumped by -3" in str(fault("clock steps", at=replace(scene, clock=Jumping())))


def test_an_unknown_time_zone_is_found(fault: Fault, platform: Path) -> None:
    with closing(sqlite3.connect(platform / "store.db")) as db, db:
        back_end = '{"id":"12345678","name":"Bank","connector":"rest","schemes":[],"zone":"Mars/Olympus"}'
        db.execute("UPDATE route_version SET body = json_set(body, '$.back_ends', json_array(json(?)))", (back_end,))
    assert "Mars/Olympus is not known" == fault("time zones")
