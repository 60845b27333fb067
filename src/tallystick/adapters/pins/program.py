"""The PIN process: `python -I -m tallystick.adapters.pins.program DIRECTORY [kept]`, see `adapters.pins.process`.

**Not a payment HSM.** It answers one message after the other on its standard input and output, which only the process
that started it has, and ends when that one ends. Its two keys are made at the first start, in files of its own;
with `kept` they must be there already, as PIN keys are stored under them.
"""

import fcntl
import os
import resource
import stat
import sys
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from tallystick.adapters.helper.frames import LENGTH, body_length, frame
from tallystick.adapters.pins.box import PinBox
from tallystick.adapters.pins.messages import MESSAGE_MAX, Done, Failed, asked
from tallystick.errors import Malformed, Misconfigured, TallystickError
from tallystick.runtime import Randomness, SystemRandomness

KEY_BYTES: Final = 32
MASTER: Final = "master.key"
KEPT: Final = "kept"
UNFINISHED: Final = ".unfinished"  # end of the name of a key that is being written
BINDING: Final = "binding.key"
READY: Final = Done("ready")


def load_box(directory: Path, randomness: Randomness, *, kept: bool = False) -> PinBox:
    """Read the keys, or make them unless PIN keys are `kept` under them; a key is on disk before it is used.

    Raises:
        Misconfigured: the directory or a file is open to others, a key is damaged, or one is missing and `kept`: a new
            one would open nothing that is stored, so the operator restores it.
    """
    if directory.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured("the directory of the PIN keys is open to others: chmod 700 it")
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # another process may start at the same moment
        for name in (MASTER, BINDING):
            _destroy_unfinished(directory / f"{name}{UNFINISHED}")
            if not (directory / name).exists():
                if kept:
                    raise Misconfigured(
                        f"{name} is missing, and stored PIN keys are under it: restore it from a backup"
                    )
                _make(directory / name, randomness)
        os.fsync(fd)
        return PinBox(_read(directory / MASTER), _read(directory / BINDING), randomness)
    finally:
        os.close(fd)


def serve(box: PinBox, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer messages until the other side closes."""
    outgoing.write(frame(READY))
    outgoing.flush()
    while len(head := incoming.read(LENGTH.size)) == LENGTH.size:
        body = incoming.read(body_length(head, MESSAGE_MAX))
        try:
            answer = box.answer(asked.decode(body))
        except (msgspec.MsgspecError, ValueError, UnicodeDecodeError):  # ValueError: no PIN format
            answer = Failed(Malformed.__name__, "the PIN process does not understand this message")
        outgoing.write(frame(answer))
        outgoing.flush()


def main() -> int:
    """Serve the keys in the directory named by the first argument."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold PINs and PIN keys
    os.umask(0o077)
    try:
        box = load_box(Path(sys.argv[1]), SystemRandomness(), kept=KEPT in sys.argv[2:])
        serve(box, sys.stdin.buffer, sys.stdout.buffer)
    except TallystickError as refused:
        sys.stderr.write(f"tallystick PIN process: {refused.detail}\n")
        return 2
    return 0


def _make(path: Path, randomness: Randomness) -> None:
    """Make a key whole or not at all."""
    fresh = path.with_name(f"{path.name}{UNFINISHED}")
    fresh.touch(mode=0o600, exist_ok=False)
    _write(fresh, randomness.token(KEY_BYTES))
    fresh.rename(path)


def _destroy_unfinished(path: Path) -> None:
    """Overwrite and remove what a crash left."""
    if path.exists():
        _write(path, bytes(KEY_BYTES))
        path.unlink()


def _write(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(f"{path.name} is readable by others: chmod 600 it")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Misconfigured(f"{path.name} is damaged: restore it from a backup")
    return key


if __name__ == "__main__":
    sys.exit(main())
