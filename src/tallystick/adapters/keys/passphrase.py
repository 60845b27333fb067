"""Key files sealed under a passphrase: Argon2id makes the key-encryption key when a process starts.

`wrapping.json` beside the keys holds salt and parameters, which are no secret but as needful as the passphrase: without
either nothing opens.
"""

import hmac
import os
from pathlib import Path
from typing import Final, Self

import msgspec
from msgspec import Struct

from tallystick.adapters.keys.directory import FILE_MODE
from tallystick.crypto import box
from tallystick.crypto.kdf import derive
from tallystick.crypto.passwords import SALT_BYTES, START_PARAMETERS, stretch
from tallystick.crypto.versioned import check_value
from tallystick.errors import EnvelopeUnopenable, FieldInvalid, Misconfigured
from tallystick.runtime import Randomness
from tallystick.secret import Secret

WRAPPING: Final = "wrapping.json"
NEXT: Final = "wrapping.next.json"  # that of a passphrase some key files are sealed under already
UNFINISHED: Final = "wrapping.next.json.part"  # one that a crash cut off: nothing is sealed under it
PASSPHRASE_MIN: Final = 20  # characters; six words of a list of 7,776 have more, and 77 bits


class _Wrapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the key-encryption key is made; `check` is its check value."""

    parameters: str
    salt: bytes
    check: str


class PassphraseWrapper:
    """Wrap key files under a key made from a passphrase (`wrapper.KeyWrapper`)."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def prepare(cls, root: Path, passphrase: Secret, randomness: Randomness) -> Self:
        """Return the wrapper of a passphrase that is about to be the platform's; `adopt` makes it so.

        Called again, after a crash, with the same passphrase it returns the same wrapper. Salt and parameters are on
        disk, whole, before it returns: nothing is ever sealed under a key that could not be made again.

        Raises:
            FieldInvalid: the passphrase is shorter than PASSPHRASE_MIN.
            Misconfigured: key files are sealed under another passphrase that was prepared: give that one.
        """
        if len(passphrase) < PASSPHRASE_MIN:
            raise FieldInvalid(f"a passphrase has at least {PASSPHRASE_MIN} characters", field="passphrase")
        if (root / NEXT).exists():
            return cls(_open(root / NEXT, passphrase))
        salt = randomness.token(SALT_BYTES)
        key = _key(passphrase, salt, START_PARAMETERS)
        wrapping = _Wrapping(parameters=START_PARAMETERS, salt=salt, check=check_value(key))
        (root / UNFINISHED).unlink(missing_ok=True)
        fd = os.open(root / UNFINISHED, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(wrapping))
            file.flush()
            os.fsync(fd)
        (root / UNFINISHED).rename(root / NEXT)
        _sync(root)
        return cls(key)

    @staticmethod
    def adopt(root: Path) -> None:
        """Make the prepared passphrase the one that `open` takes; every key file is sealed under it."""
        (root / NEXT).rename(root / WRAPPING)
        _sync(root)

    @classmethod
    def open(cls, root: Path, passphrase: Secret) -> Self:
        """Make the key-encryption key anew; takes some hundred milliseconds and 64 MiB.

        Raises:
            Misconfigured: `wrapping.json` is missing or damaged, or this is not the passphrase: the process stops.
        """
        return cls(_open(root / WRAPPING, passphrase))

    def wrap(self, content: bytes, context: bytes) -> bytes:
        """Seal a file's content."""
        return box.seal(self._key, content, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open a file's content; raises Misconfigured when it was altered, moved or is sealed under another key."""
        try:
            return box.unseal(self._key, wrapped, context)
        except EnvelopeUnopenable:
            raise Misconfigured("a key file does not open under the passphrase: it is damaged or was moved") from None


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open(path: Path, passphrase: Secret) -> bytes:
    try:
        wrapping = msgspec.json.decode(path.read_bytes(), type=_Wrapping)
    except FileNotFoundError:
        raise Misconfigured(f"{path.name} is missing: run tallystick keys protect, or restore it") from None
    except msgspec.MsgspecError:
        raise Misconfigured(f"{path.name} is damaged") from None
    key = _key(passphrase, wrapping.salt, wrapping.parameters)
    if not hmac.compare_digest(check_value(key), wrapping.check):
        raise Misconfigured("this is not the passphrase of the keys")
    return key


def _key(passphrase: Secret, salt: bytes, parameters: str) -> bytes:
    return derive(stretch(passphrase, salt, parameters).wrapping_key, "tallystick/key-files")
