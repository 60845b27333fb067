"""The PIN process: `python -I -m tallystick.adapters.pins.program DIRECTORY`, started by `adapters.pins.process`.

**Not a payment HSM.** It answers one message after the other on its standard input and output, which only the process
that started it has, and ends when that one ends. Its two keys are made at the first start, in files of its own.
"""

import os
import resource
import stat
import sys
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from tallystick.adapters.pins.box import PinBox
from tallystick.adapters.pins.messages import LENGTH, Done, Failed, asked, body_length, frame
from tallystick.errors import Malformed, Misconfigured, TallystickError
from tallystick.runtime import Randomness, SystemRandomness

KEY_BYTES: Final = 32
MASTER: Final = "master.key"
BINDING: Final = "binding.key"
READY: Final = Done("ready")


def load_box(directory: Path, randomness: Randomness) -> PinBox:
    """Read the keys, or make them; raises Misconfigured for a directory or file that others may read."""
    if directory.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured("the directory of the PIN keys is open to others: chmod 700 it")
    return PinBox(_key(directory / MASTER, randomness), _key(directory / BINDING, randomness), randomness)


def serve(box: PinBox, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer messages until the other side closes."""
    outgoing.write(frame(READY))
    outgoing.flush()
    while len(head := incoming.read(LENGTH.size)) == LENGTH.size:
        body = incoming.read(body_length(head))
        try:
            answer = box.answer(asked.decode(body))
        except (msgspec.MsgspecError, ValueError, UnicodeDecodeError):  # ValueError: no PIN format
            answer = Failed(Malformed.__name__, "the PIN process does not understand this message")
        outgoing.write(frame(answer))
        outgoing.flush()


def main() -> int:
    """Serve the keys in the directory named by the only argument."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold PINs and PIN keys
    os.umask(0o077)
    try:
        box = load_box(Path(sys.argv[1]), SystemRandomness())
        serve(box, sys.stdin.buffer, sys.stdout.buffer)
    except TallystickError as refused:
        sys.stderr.write(f"tallystick PIN process: {refused.detail}\n")
        return 2
    return 0


def _key(path: Path, randomness: Randomness) -> bytes:
    """Read a key, made whole or not at all: another process may start at the same moment."""
    if not path.exists():
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600, exist_ok=False)
        with fresh.open("wb") as file:
            file.write(randomness.token(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(f"{path.name} is readable by others: chmod 600 it")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Misconfigured(f"{path.name} is damaged: restore it from a backup")
    return key


if __name__ == "__main__":
    sys.exit(main())
