"""The anchor of the audit chain: a file outside of the store, to which checkpoints are only ever appended."""

import os
from pathlib import Path
from typing import Final

from tallystick.audit.checkpoints import write_line
from tallystick.audit.model import Checkpoint

PRIVATE_FILE: Final = 0o600


class FileAnchor:
    """Append checkpoints to a file (`audit.checkpoints.Anchor`); made at the first one.

    The operator puts it where this machine can only append: another machine's mount, write-once storage, a log pipe.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, checkpoint: Checkpoint) -> None:
        """Append a checkpoint, durable when this returns; raises OSError."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
        try:
            os.write(file, write_line(checkpoint))
            os.fsync(file)
        finally:
            os.close(file)
