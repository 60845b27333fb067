"""Change the long-lived keys of a directory; processes that serve follow within `files.LOOK_MS`.

    prepare → (every process has the new key) → activate → (everything is sealed anew) → destroy

Each step is durable before it returns and safe to repeat after a crash.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from tallystick.adapters.keys import manifest
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.files import LOOK_MS, RETIRED_MS
from tallystick.adapters.keys.manifest import KeyEntry
from tallystick.adapters.keys.wrapper import KeyWrapper
from tallystick.crypto.kdf import KEY_BYTES
from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import Conflict, NotFound
from tallystick.runtime import Millis, Randomness
from tallystick.security.ports import KeyState, Purpose

SETTLE_MS: Final = 2 * LOOK_MS  # ms a key is pending at least: until then every process that serves has read it


class KeyRotation:
    """The one writer of a directory of long-lived keys; raises Misconfigured while another process writes to it."""

    def __init__(self, path: Path, wrapper: KeyWrapper, randomness: Randomness) -> None:
        self._path = path
        self._wrapper = wrapper
        self._randomness = randomness

    def prepare(self, purpose: Purpose, now: Millis) -> KeyEntry:
        """Make the next key of a purpose, pending; one that is pending already is returned as it is."""

        def work(files: KeyDirectory, entries: tuple[KeyEntry, ...]) -> tuple[KeyEntry, ...]:
            mine = [entry for entry in entries if entry.purpose is purpose]
            if any(entry.state is KeyState.PENDING for entry in mine):
                return entries
            key = VersionedKey(max(entry.version for entry in mine) + 1, self._randomness.token(KEY_BYTES))
            return (*entries, manifest.write_key(files, purpose, key, now))

        return _last(self._change(work), purpose)

    def activate(self, purpose: Purpose, now: Millis) -> KeyEntry:
        """Make the pending key of a purpose the active one; the one so far only reads from now on.

        Raises:
            NotFound: no key of this purpose is pending: `prepare` one.
            Conflict: it is pending for less than SETTLE_MS: a process that serves may not have read it yet.
        """

        def work(_: KeyDirectory, entries: tuple[KeyEntry, ...]) -> tuple[KeyEntry, ...]:
            pending = _find(entries, purpose, KeyState.PENDING)
            if pending is None:
                raise NotFound(f"no key for {purpose.value} is pending")
            if 0 <= now - pending.created_at < SETTLE_MS:
                raise Conflict(f"the key {pending.name} was made a moment ago: try again in {SETTLE_MS // 1000} s")
            active = _find(entries, purpose, KeyState.ACTIVE)
            moved = {
                pending: replace(pending, state=KeyState.ACTIVE, activated_at=now),
                active: replace(active, state=KeyState.VERIFY_ONLY, retired_at=now) if active else None,
            }
            return tuple(moved.get(entry) or entry for entry in entries)

        return _last(self._change(work), purpose)

    def destroy(self, purpose: Purpose, version: int, now: Millis) -> KeyEntry:
        """Destroy a key that only reads; destroying twice is harmless.

        Left to the caller: that nothing in the store names it any more.

        Raises:
            NotFound: there is no such key.
            Conflict: it is active or pending, or was active less than RETIRED_MS ago.
        """

        def work(_: KeyDirectory, entries: tuple[KeyEntry, ...]) -> tuple[KeyEntry, ...]:
            entry = next((each for each in entries if each.purpose is purpose and each.version == version), None)
            if entry is None:
                raise NotFound(f"there is no key {purpose.value}-{version}")
            if entry.state is KeyState.DESTROYED:
                return entries
            if entry.state is not KeyState.VERIFY_ONLY:
                raise Conflict(f"the key {entry.name} is {entry.state.value}: rotate first")
            if 0 <= now - (entry.retired_at or 0) < RETIRED_MS:
                raise Conflict(f"the key {entry.name} was active a moment ago: wait {RETIRED_MS // 1000} s")
            gone = replace(entry, state=KeyState.DESTROYED, destroyed_at=now)
            return tuple(gone if each is entry else each for each in entries)

        return next(each for each in self._change(work) if each.purpose is purpose and each.version == version)

    def ask_opening(self, now: Millis) -> None:
        """Have the process that serves make new part-opening keys; those so far open as long as ever."""
        with KeyDirectory(self._path, write=True, wrapper=self._wrapper) as files:
            manifest.ask_opening(files, now)

    def _change(
        self, work: Callable[[KeyDirectory, tuple[KeyEntry, ...]], tuple[KeyEntry, ...]]
    ) -> tuple[KeyEntry, ...]:
        """Change the list, then destroy every key file it does not name as alive, also those a crash left."""
        with KeyDirectory(self._path, write=True, wrapper=self._wrapper) as files:
            before = manifest.read_entries(files)
            _tidy(files, before)
            after = work(files, before)
            if after != before:
                manifest.write_entries(files, after)
            _tidy(files, after)
        return after


def _tidy(files: KeyDirectory, entries: tuple[KeyEntry, ...]) -> None:
    alive = {manifest.file_name(entry) for entry in entries if entry.state is not KeyState.DESTROYED}
    for name in files.names():
        if name.endswith(".key") and name not in alive:
            files.destroy(name)


def _find(entries: tuple[KeyEntry, ...], purpose: Purpose, state: KeyState) -> KeyEntry | None:
    return next((entry for entry in entries if entry.purpose is purpose and entry.state is state), None)


def _last(entries: tuple[KeyEntry, ...], purpose: Purpose) -> KeyEntry:
    return max((entry for entry in entries if entry.purpose is purpose), key=lambda entry: entry.version)
