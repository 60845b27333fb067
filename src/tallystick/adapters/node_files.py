"""Proof of life by a locked file: the system gives the lock up when its process ends, however that ends.

A record lock (POSIX) belongs to the process alone: no child inherits it. It is believed only in the same directory of
the same boot of the same machine.
"""

import contextlib
import fcntl
import os
import re
from pathlib import Path
from typing import Final

from tallystick.delivery.model import Node

PRIVATE_DIRECTORY: Final = 0o700
PRIVATE_FILE: Final = 0o600
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")  # Linux; elsewhere leases alone tell who is dead
_NODE_ID: Final = re.compile(r"node_[0-9a-f]{32}")


class NodeFiles:
    """Lock a file for each own node, and look whether others' are locked (`delivery.ports.Witness`)."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        self._directory = directory
        self._held: dict[str, int] = {}
        found = directory.stat()
        boot = BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.exists() else ""
        self.place = f"{boot}/{found.st_dev}/{found.st_ino}" if boot else ""

    def attest(self, node_id: str) -> None:
        """Lock a new file until this process ends."""
        handle = os.open(self._path(node_id), os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._held[node_id] = handle

    def is_dead(self, node: Node) -> bool:
        """Say that a node's file is here and nobody has it locked; False when that is not known."""
        if not self.place or node.place != self.place or node.id in self._held or not _NODE_ID.fullmatch(node.id):
            return False
        try:
            handle = os.open(self._path(node.id), os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(handle)
        return True

    def forget(self, node_id: str) -> None:
        """Remove a node's file; an own one gives its lock up."""
        if (handle := self._held.pop(node_id, None)) is not None:
            os.close(handle)
        if _NODE_ID.fullmatch(node_id):
            with contextlib.suppress(OSError):
                self._path(node_id).unlink()

    def _path(self, node_id: str) -> Path:
        return self._directory / node_id
