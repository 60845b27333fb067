"""The list of all long-lived keys, with their states, and the file each key is in.

keyring.json                  this list
<purpose>-<version>.key       one 32-byte key, with its purpose and version inside
opening.json                  when an operator asked for new part-opening keys, if ever

The list is written last when a key is made and first when one is destroyed, so it never names a key that is not there.
"""

from typing import Final

import msgspec
from msgspec import Struct

from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.crypto.kdf import KEY_BYTES
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.versioned import VersionedKey, check_value
from tallystick.errors import Misconfigured, NotFound
from tallystick.runtime import Millis
from tallystick.security.ports import KeyState, Purpose

MANIFEST: Final = "keyring.json"
OPENING: Final = "opening.json"


class KeyEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key: `check` is its check value; the times say when it entered each state.

    `public` is the public half of one that signs (Ed25519, 32 bytes): what it signed is verified long after it is gone.
    """

    purpose: Purpose
    version: int
    state: KeyState
    check: str
    created_at: Millis
    activated_at: Millis | None = None
    retired_at: Millis | None = None
    destroyed_at: Millis | None = None
    public: bytes | None = None

    @property
    def name(self) -> str:
        """The name people and files use."""
        return f"{self.purpose.value}-{self.version}"


class _KeyFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key file holds; purpose and version make a file that was copied over another one useless."""

    purpose: Purpose
    version: int
    key: bytes


def read_entries(files: KeyDirectory) -> tuple[KeyEntry, ...]:
    """Read the list.

    1. It is there and readable, and names no key twice.
    2. Each purpose has exactly one active key.

    Raises:
        Misconfigured: it is not so; the process stops.
    """
    # 1.
    try:
        entries = msgspec.json.decode(files.read(MANIFEST), type=tuple[KeyEntry, ...])
    except NotFound:
        raise Misconfigured(
            "the key directory is not complete: keyring.json is missing (a platform of version 0.1 is made anew)"
        ) from None
    except msgspec.MsgspecError:
        raise Misconfigured("the list of keys is damaged: keyring.json") from None
    if len({(entry.purpose, entry.version) for entry in entries}) < len(entries):
        raise Misconfigured("the list of keys names a key twice: keyring.json")
    # 2.
    for purpose in Purpose:
        active = [entry for entry in entries if entry.purpose is purpose and entry.state is KeyState.ACTIVE]
        if len(active) != 1:
            raise Misconfigured(f"there is not exactly one active key for {purpose.value}: keyring.json")
    return entries


def write_entries(files: KeyDirectory, entries: tuple[KeyEntry, ...]) -> None:
    """Replace the list, durable when this returns."""
    files.replace(MANIFEST, msgspec.json.encode(entries))


def read_key(files: KeyDirectory, entry: KeyEntry) -> VersionedKey:
    """Read a key; raises Misconfigured when it is missing, damaged or not the one of the list."""
    name = file_name(entry)
    try:
        content = msgspec.json.decode(files.read(name), type=_KeyFile)
    except NotFound:
        raise Misconfigured(f"the key directory is not complete: {name} is missing") from None
    except msgspec.MsgspecError:
        raise Misconfigured(f"the key file is damaged: {name}") from None
    same = content.purpose is entry.purpose and content.version == entry.version
    if not same or len(content.key) != KEY_BYTES or check_value(content.key) != entry.check:
        raise Misconfigured(f"the key file holds another key: {name}")
    return VersionedKey(content.version, content.key)


def write_key(files: KeyDirectory, purpose: Purpose, key: VersionedKey, now: Millis) -> KeyEntry:
    """Write a new key's file and return its entry, pending; the caller adds it to the list."""
    entry = KeyEntry(
        purpose=purpose,
        version=key.version,
        state=KeyState.PENDING,
        check=check_value(key.secret),
        created_at=now,
        public=Ed25519Private.from_raw(key.secret).public().raw() if purpose is Purpose.IDENTITY else None,
    )
    content = msgspec.json.encode(_KeyFile(purpose=purpose, version=key.version, key=key.secret))
    files.create(file_name(entry), content)
    return entry


def opening_asked_at(files: KeyDirectory) -> Millis:
    """Return when an operator asked for new part-opening keys, 0 for never; raises Misconfigured."""
    try:
        return msgspec.json.decode(files.read(OPENING), type=Millis)
    except NotFound:
        return Millis(0)
    except msgspec.MsgspecError:
        raise Misconfigured(f"the file is damaged: {OPENING}") from None


def ask_opening(files: KeyDirectory, now: Millis) -> None:
    """Ask for new part-opening keys, durable when this returns."""
    files.replace(OPENING, msgspec.json.encode(now))


def file_name(entry: KeyEntry) -> str:
    """Return the name of a key's file."""
    return f"{entry.name}.key"
