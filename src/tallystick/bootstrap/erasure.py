"""Prove that nothing of a finished payment can be read any more: try every surviving key on every byte.

1. Every file of the platform, and of places the operator names (logs, backups), is first copied into memory: nothing
   is overlooked because it changed meanwhile. Only the store is written down again, to be opened; no key ever is.
2. Every key that survives is tried at every offset of every copy: in rows, free pages, the store's log, old backups.
3. What opens and is not the part of a payment still under way is a finding, and so is the content of an ended payment.
4. A key whose time is over is a finding by itself.
5. Values the operator names (test cards, PINs, passwords) are looked for in every usual encoding.
Left to the operator: places that are not named, and what a file system keeps of overwritten blocks.
"""

import contextlib
import tempfile
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from tallystick import limits
from tallystick.adapters.canaries import Scanner
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.epochs import EPOCH_ID, RECOVERY_OVER_MS
from tallystick.adapters.store import sqlite_examine
from tallystick.adapters.store.examination import Examined
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.storing import examining
from tallystick.crypto.kdf import KEY_BYTES
from tallystick.crypto.openings import openings
from tallystick.errors import Misconfigured
from tallystick.runtime import Millis
from tallystick.security.ports import Purpose

PART_START: Final = b'{"fields":'
"""How the content of every part begins (assembly/content.py)."""
STORE: Final = "store.db"
OPENED: Final = "a sealed value of a payment that ended opens with a key that survives"
LATE_MS: Final = 60_000  # ms a serving platform may take to destroy a key whose time is over
FINDINGS_MAX: Final = 1_000  # findings told
JSON_MAX: Final = 64 * 1024  # bytes of a file that may be a JSON document with keys in it


class Trace(Struct, frozen=True):
    """Something that should not be there: in which file, at which byte or under which name, and what."""

    file: str
    place: str
    what: str


class Proof(Struct, frozen=True, kw_only=True):
    """What was tried, and what was found; `waiting` values belong to payments under way, and open as they should."""

    files: int
    bytes: int
    keys: int
    tries: int
    canaries: int
    waiting: int
    found: list[Trace]


def prove(desk: Office, also: Iterable[Path], canaries: Mapping[str, str]) -> Proof:
    """Look for anything that survived; when a key cannot be read nothing is proven, and Misconfigured is raised."""
    # 1.
    contents = dict(_copies([desk.layout.root, *also]))
    # 2.
    keys = {*_known_keys(desk), *_stray_keys(contents)}
    # 3. and 4.
    under_way, ended = _sealed_now(contents)
    if desk.settings.store.kind != "sqlite":
        with examining(desk.layout, desk.settings.store) as rows:
            _sort("the database", rows, under_way, ended)
    found = [*_late_keys(desk, desk.clock.now()), *ended]
    waiting, scanner = 0, Scanner(canaries)
    for name, content in contents.items():
        for at in openings(content, keys, start=PART_START, digits=limits.PAN_MIN):
            if any(content.startswith(value, at) for value in under_way):
                waiting += 1
            else:
                found.append(Trace(name, str(at), OPENED))
        # 5.
        found += [Trace(name, "", f"holds {canary}") for canary in scanner.scan(content)]
    size = sum(len(content) for content in contents.values())
    return Proof(
        files=len(contents),
        bytes=size,
        keys=len(keys),
        tries=size * len(keys),
        canaries=len(canaries),
        waiting=waiting,
        found=found[:FINDINGS_MAX],
    )


def _copies(places: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for place in places:
        if not place.exists():
            raise Misconfigured(f"there is no {place.name} to look into")
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not path.is_symlink():
                with contextlib.suppress(FileNotFoundError):  # a key was destroyed just now
                    yield str(path), path.read_bytes()


def _known_keys(desk: Office) -> Iterator[bytes]:
    """Return each key that the platform itself still has, in its clear form."""
    for purpose in Purpose:
        yield from (key.secret for key in desk.keyring.readable(purpose) if len(key.secret) == KEY_BYTES)
    for directory in (desk.layout.epochs, desk.layout.recovery):
        with KeyDirectory(directory, write=False, wrapper=desk.wrapper) as files:
            yield from (key for name in files.names() if len(key := files.read(name)) == KEY_BYTES)


def _stray_keys(contents: Mapping[str, bytes]) -> Iterator[bytes]:
    """Return what could be a key in any file: its whole content, or a text of a JSON document."""
    for content in contents.values():
        if len(content) == KEY_BYTES:
            yield content
        with contextlib.suppress(ValueError):
            if len(text := content.strip()) == 2 * KEY_BYTES:
                yield bytes.fromhex(text.decode("ascii"))
        if len(content) <= JSON_MAX and content.lstrip()[:1] in {b"{", b"["}:
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                yield from _keys_of(msgspec.json.decode(content))


def _keys_of(value: Any) -> Iterator[bytes]:
    match value:
        case str():
            with contextlib.suppress(ValueError):
                if len(key := b64decode(value + "=" * (-len(value) % 4), altchars=b"-_")) == KEY_BYTES:
                    yield key
        case dict():
            for each in value.values():
                yield from _keys_of(each)
        case list():
            for each in value:
                yield from _keys_of(each)


def _sealed_now(contents: Mapping[str, bytes]) -> tuple[list[bytes], list[Trace]]:
    """Return the sealed values of payments under way, and a finding for each of a payment that ended."""
    under_way: list[bytes] = []
    ended: list[Trace] = []
    for name in contents:
        if Path(name).name != STORE:
            continue
        with tempfile.TemporaryDirectory(prefix="tallystick-") as scratch:
            for part in (STORE, f"{STORE}-wal"):
                (Path(scratch) / part).write_bytes(contents.get(str(Path(name).with_name(part)), b""))
            with sqlite_examine.examining(Path(scratch) / STORE) as rows:
                _sort(name, rows, under_way, ended)
    return under_way, ended


def _sort(name: str, rows: Examined, under_way: list[bytes], ended: list[Trace]) -> None:
    for row in rows.sealed_now():
        if row.ended:
            ended.append(Trace(name, row.id, "the content of a payment that ended is still there, sealed"))
        else:
            under_way.append(row.sealed)


def _late_keys(desk: Office, now: Millis) -> Iterator[Trace]:
    lives = ((desk.layout.epochs, limits.EPOCH_KEPT_MS), (desk.layout.recovery, RECOVERY_OVER_MS))
    for directory, life in lives:
        for path in sorted(directory.glob("ep_*")):
            epoch = EPOCH_ID.fullmatch(path.name)
            if epoch is not None and int(epoch[1]) + life + LATE_MS <= now:
                yield Trace(f"{directory.name}/{path.name}", "", "a key whose time is over was not destroyed")
