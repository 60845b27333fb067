"""A password process: `python -I -m tallystick.adapters.passwords.program`, see `adapters.passwords.process`.

It stretches one password after the other and keeps nothing: no key, no file, no password once it has answered. It ends
when the process that started it does.
"""

import os
import resource
import sys
from typing import BinaryIO, Final

import msgspec

from tallystick.adapters.helper.frames import LENGTH, body_length, frame
from tallystick.adapters.passwords.messages import MESSAGE_MAX, Answered, Done, Failed, asked
from tallystick.crypto.passwords import argon2id
from tallystick.errors import Malformed, TallystickError
from tallystick.secret import Secret

NICENESS: Final = 5  # below the process that serves: a flood of logins takes the time that others leave
READY: Final = Done("")


def answer(body: bytes) -> Answered:
    """Stretch what one message asks for, or say why not."""
    try:
        message = asked.decode(body)
        stretched = argon2id(Secret(message.password), bytes.fromhex(message.salt), message.parameters)
    except TallystickError as refused:
        return Failed(type(refused).__name__, refused.detail)
    except (msgspec.MsgspecError, ValueError, UnicodeDecodeError):  # ValueError: no hexadecimal
        return Failed(Malformed.__name__, "the password process does not understand this message")
    return Done(stretched.hex())


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer messages until the other side closes."""
    outgoing.write(frame(READY))
    outgoing.flush()
    while len(head := incoming.read(LENGTH.size)) == LENGTH.size:
        outgoing.write(frame(answer(incoming.read(body_length(head, MESSAGE_MAX)))))
        outgoing.flush()


def main() -> int:
    """Serve on standard input and output."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold passwords
    os.nice(NICENESS)
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
