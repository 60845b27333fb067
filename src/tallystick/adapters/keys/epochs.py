"""At-rest keys of parts, one per epoch of `limits.EPOCH_MS`, each a file until it is destroyed."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tallystick import limits
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.wrapper import KeyWrapper
from tallystick.crypto.box import SealingKey
from tallystick.crypto.kdf import KEY_BYTES
from tallystick.errors import AlreadyExists, KeyUnknown, Misconfigured, NotFound, Unavailable
from tallystick.runtime import Millis, Randomness

EPOCH_ID: Final = re.compile(r"ep_([0-9]{1,15})")

EPOCH_OVER_MS: Final = limits.EPOCH_MS + limits.RECOVERY_KEY_GRACE_MS  # ms from an epoch's start
RECOVERY_OVER_MS: Final = EPOCH_OVER_MS + limits.RECOVERY_LIFE_MS  # ms from an epoch's start
REFUSED_MS: Final = 5_000  # ms in which a token that made no key is not asked again: each asking may wait for it

_log = logging.getLogger(__name__)


class FileEpochKeys:
    """Keep epoch keys in a directory and in memory (`security.ports.EpochKeys`, `delivery.ports.RecoveryKeys`).

    Epochs begin at whole multiples of `limits.EPOCH_MS`; `ep_<ms>` names one by its beginning. Once every ten minutes
    `current` waits for the disk (some milliseconds), else everything is answered from memory. Processes that share the
    directory agree: one makes the key, all use it, and what one destroyed no other one keeps beyond its next look.
    Without `write` the object reads what they wrote, and makes and destroys nothing.

    Raises:
        Misconfigured: the directory is unfit (`KeyDirectory`), or a file in it is no key.
    """

    def __init__(
        self, directory: Path, randomness: Randomness, *, write: bool = True, wrapper: KeyWrapper | None = None
    ) -> None:
        self._files = KeyDirectory(directory, write=write, shared=True, wrapper=wrapper)
        self._randomness = randomness
        self._write = write
        self._keys: dict[str, SealingKey] = {}
        self._refused_until = Millis(0)
        for name in self._files.names():
            _begins(name)

    def current(self, now: Millis) -> str:
        """Return the id of the epoch that `now` lies in, with its key durable before this returns.

        Raises:
            KeyUnknown: this process may only read, and the epoch has no key yet.
            Unavailable: a key cannot be made now, since what protects key files (a token) does not answer. Nothing is
                accepted until it does; what is under way goes on with the keys there are.
        """
        epoch = f"ep_{now - now % limits.EPOCH_MS}"
        if epoch in self._keys:
            return epoch
        if self._write and epoch not in self._files.names():
            self._make(epoch, now)
        self._keys[epoch] = SealingKey(self._read(epoch, self._files.adopt if self._write else self._files.read))
        return epoch

    def key(self, epoch: str) -> SealingKey:
        """Return an epoch's key; raises KeyUnknown once it is destroyed: what it sealed is gone for good."""
        key = self._keys.get(epoch)
        if key is None:
            key = self._keys[epoch] = SealingKey(self._read(epoch, self._files.read))
        return key

    def destroy_before(self, now: Millis) -> list[str]:
        """Destroy every epoch key older than `limits.EPOCH_KEPT_MS`, on disk and in memory; returns their ids."""
        return self._destroy([name for name in self._files.names() if _begins(name) + limits.EPOCH_KEPT_MS <= now])

    def destroy_unused(self, now: Millis, in_use: frozenset[str]) -> list[str]:
        """Destroy the keys of epochs that are over and not in use, or older than any recovery; returns their ids."""
        over = [name for name in self._files.names() if _begins(name) + EPOCH_OVER_MS <= now]
        return self._destroy([name for name in over if name not in in_use or _begins(name) + RECOVERY_OVER_MS <= now])

    def close(self) -> None:
        """Give the directory up."""
        self._files.close()

    def _make(self, epoch: str, now: Millis) -> None:
        if now < self._refused_until <= now + REFUSED_MS:
            raise Unavailable("no key can be made to keep parts under")
        try:
            self._files.create(epoch, self._randomness.token(KEY_BYTES))
        except AlreadyExists:
            return  # another process was first: its key is the one
        except Misconfigured as error:
            self._refused_until = Millis(now + REFUSED_MS)
            _log.error("no key can be made to keep parts under: %s", error.detail)
            raise Unavailable("no key can be made to keep parts under") from error

    def _destroy(self, over: list[str]) -> list[str]:
        for epoch in over:
            self._files.destroy(epoch)
        for epoch in self._keys.keys() - self._files.names():
            del self._keys[epoch]
        return over

    def _read(self, epoch: str, read: Callable[[str], bytes]) -> bytes:
        if not EPOCH_ID.fullmatch(epoch):
            raise KeyUnknown("this names no epoch")
        try:
            key = read(epoch)
        except NotFound:
            raise KeyUnknown("this epoch's key is destroyed") from None
        if len(key) != KEY_BYTES:
            raise Misconfigured(f"the epoch key is damaged: {epoch}")
        return key


def _begins(name: str) -> int:
    epoch = EPOCH_ID.fullmatch(name)
    if epoch is None:
        raise Misconfigured(f"a file among the epoch keys is none: {name}")
    return int(epoch[1])
