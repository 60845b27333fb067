"""Files: who may touch them, and what lies around beside them."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tallystick.bootstrap.layout import Layout
from tallystick.cli.checks.model import Check, Scene, Weight, refuse
from tallystick.crypto import tls
from tallystick.errors import Misconfigured

SHOWN_MAX: Final = 5  # names in one finding
LEFTOVER: Final = re.compile(
    r".*(~|\.(bak|backup|old|orig|save|copy|swp|tmp|dump|sql|tar|tgz|gz|bz2|xz|zst|zip|7z))"
    r"|\.unfinished-.*|\..*\.(pem|key|json)\.[0-9]+|.*\.(key|pem|db)[._ -].*|core(\.[0-9]+)?",
    re.IGNORECASE,
)
"""A copy or a rest: of an editor, a backup, a dump or a crash."""

SQLITE: Final = re.compile(r"store\.db-(wal|shm)")  # its log, while the store is open


async def directories(scene: Scene) -> str:
    """Directories of the platform belong to this user and are closed to others."""
    layout = scene.layout
    found = (
        layout.root,
        layout.keys,
        layout.epochs,
        layout.recovery,
        layout.opening,
        layout.pins,
        layout.ca,
        layout.certificate.parent,
    )
    for path in found:
        _check_private(path)
    return f"{len(found)} directories are closed to others"


async def private_files(scene: Scene) -> str:
    """Keys and the store belong to this user and are closed to others."""
    found = list(_private_files(scene.layout))
    for path in found:
        _check_private(path)
    return f"{len(found)} private files are closed to others"


async def path_above(scene: Scene) -> str:
    """Nobody else may rename a directory above the data: who can puts another platform in its place."""
    for above in scene.layout.root.absolute().parents:
        found = above.stat()
        open_to = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if open_to and not found.st_mode & stat.S_ISVTX:
            raise Misconfigured(f"a directory above the data may be changed by others: {above.name or above}")
        if found.st_uid not in {0, os.geteuid()}:
            raise Misconfigured(f"a directory above the data belongs to another user: {above.name or above}")
    return "no directory above the data can be changed by others"


async def leftovers(scene: Scene) -> str:
    """No copy of a key, a certificate or the store lies around in the data directory."""
    found = [path for path in sorted(scene.layout.root.rglob("*")) if path.is_file() and _left_over(path.name)]
    names = [str(path.relative_to(scene.layout.root)) for path in found]
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    refuse([f"copies lie around: {', '.join(names[:SHOWN_MAX])}{more}"] if names else [])
    return "no copies lie around"


CHECKS: Final = (
    Check("directories", Weight.STOPS, "chmod 700 the directory named, as the user that serves.", directories),
    Check("private files", Weight.STOPS, "chmod 600 the file named, as the user that serves.", private_files),
    Check("path to the data", Weight.UNSAFE, "chown root and chmod go-w the directory named.", path_above),
    Check(
        "copies",
        Weight.UNSAFE,
        "Move backups to sealed storage elsewhere; shred what is left here: a copied key outlives its destruction.",
        leftovers,
    ),
)


def _check_private(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        raise Misconfigured(f"{path.name} is missing") from None
    if found.st_uid != os.geteuid():
        raise Misconfigured(f"{path.name} belongs to another user")
    if stat.S_ISLNK(found.st_mode):
        raise Misconfigured(f"{path.name} is a link")
    if found.st_mode & tls.OTHERS:
        raise Misconfigured(f"{path.name} is open to others")


def _private_files(layout: Layout) -> Iterator[Path]:
    for directory in (layout.keys, layout.epochs, layout.recovery, layout.opening, layout.pins):
        yield from sorted(path for path in directory.iterdir() if path.is_file())
    yield from sorted(layout.ca.glob("*.key"))
    yield layout.private_key
    if layout.store.exists():  # where the settings name another one there may be none; `store` misses it where not
        yield layout.store


def _left_over(name: str) -> bool:
    return bool(LEFTOVER.fullmatch(name)) and not SQLITE.fullmatch(name)
