"""Long-lived keys in files: one 32-byte key per purpose, and the identity key that signs the published keys.

blind-index.key at-rest.key vault.key    one JSON object each, with the purpose inside
identity.pem                             Ed25519, PKCS #8

Losing a file loses what it protects; back the directory up sealed, apart from the database.
"""

from pathlib import Path
from typing import Final, Self

import msgspec

from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.crypto.kdf import KEY_BYTES
from tallystick.crypto.signing import Ed25519Private, load_private
from tallystick.errors import AlreadyExists, Misconfigured, NotFound
from tallystick.runtime import Randomness
from tallystick.security.ports import Purpose

IDENTITY: Final = "identity.pem"


class _KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key file holds; `purpose` makes a file that was copied over another one useless."""

    purpose: Purpose
    key: bytes


class FileKeyring:
    """Hold the long-lived keys of a directory in memory (`security.ports.Keyring`)."""

    __slots__ = ("_keys", "identity")

    def __init__(self, keys: dict[Purpose, bytes], identity: Ed25519Private) -> None:
        self._keys = keys
        self.identity = identity

    @classmethod
    def create(cls, directory: Path, randomness: Randomness) -> Self:
        """Make all keys anew in a directory that has none.

        Raises:
            AlreadyExists: there are key files: keys in use are never replaced. What a crash of this very call left
                behind protects nothing yet; the operator removes it.
            Misconfigured: the directory is open to others, or another process writes to it.
        """
        with KeyDirectory(directory, write=True) as files:
            taken = {name for name in files.names() if name == IDENTITY or name.endswith(".key")}
            if taken:
                raise AlreadyExists("the key directory has keys already")
            for purpose in Purpose:
                content = _KeyFile(purpose=purpose, key=randomness.token(KEY_BYTES))
                files.create(_file_name(purpose), msgspec.json.encode(content))
            files.create(IDENTITY, Ed25519Private().pem())
        return cls.load(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read all keys; any process of the directory's owner may.

        Raises:
            Misconfigured: a key is missing, damaged, open to others, or stands under another purpose's name.
        """
        with KeyDirectory(directory, write=False) as files:
            try:
                keys = {purpose: _read(files, purpose) for purpose in Purpose}
                identity = load_private(files.read(IDENTITY))
            except NotFound as missing:
                raise Misconfigured(f"the key directory is not complete: {missing.detail}") from None
        if not isinstance(identity, Ed25519Private):
            raise Misconfigured("the identity key is no Ed25519 key")
        return cls(keys, identity)

    def key(self, purpose: Purpose) -> bytes:
        """Return the 32-byte key of a purpose."""
        return self._keys[purpose]


def _file_name(purpose: Purpose) -> str:
    return f"{purpose}.key"


def _read(files: KeyDirectory, purpose: Purpose) -> bytes:
    try:
        content = msgspec.json.decode(files.read(_file_name(purpose)), type=_KeyFile)
    except msgspec.DecodeError:
        raise Misconfigured(f"the key file is damaged: {_file_name(purpose)}") from None
    if content.purpose is not purpose or len(content.key) != KEY_BYTES:
        raise Misconfigured(f"the key file holds another key: {_file_name(purpose)}")
    return content.key
