"""PIN blocks as our own clients build them: format 4 over a token, under a key for this one transaction.

The key file lies beside the profile, written by `tallystick pin make-key`. It holds the device's initial key (AES
DUKPT, ANSI X9.24-3) in clear: who copies it can build blocks and open those of this device, as with any key of a client
that has no secure chip.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from tallystick.crypto import dukpt_aes, pin
from tallystick.crypto.dukpt_aes import DerivedType, DerivedUse
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.tls import check_private
from tallystick.errors import Misconfigured
from tallystick.secret import Secret
from tallystick.security.pin_text import PinText

KEY_FILE: Final = "pin.json"
COUNTER_FILE: Final = "pin.counter"
_PRIVATE: Final = 0o600
_COUNTER_MAX: Final = 16  # bytes read of the counter file


class PinKeyFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as written: the key's registered name, the device's id and its initial key, both in hex."""

    name: str
    device: str
    key: str


class DevicePinKey:
    """The PIN key of one client; `directory` holds its file and its counter."""

    def __init__(self, directory: Path) -> None:
        """Read the key; raises Misconfigured, naming the file, for one that is not there, open to others or damaged."""
        path = directory / KEY_FILE
        check_private(path)
        try:
            written = msgspec.json.decode(path.read_bytes(), type=PinKeyFile)
            self._device, self._initial = bytes.fromhex(written.device), bytes.fromhex(written.key)
        except (OSError, ValueError, msgspec.MsgspecError):
            raise Misconfigured(f"the PIN key file cannot be used: {KEY_FILE}") from None
        self._name = written.name
        self._counter = directory / COUNTER_FILE

    def block(self, entered: Secret, token: str) -> Secret:
        """Build the field `pin_block` for one part, over a token from `TallystickClient.pin_token`.

        The counter is on disk before the key is used, so no key is ever used twice, whatever crashes. Raises
        FieldInvalid for no PIN, Misconfigured when the counters are used up.
        """
        ksn = self._device + self._next().to_bytes(dukpt_aes.KSN_BYTES - dukpt_aes.ID_BYTES)
        key = dukpt_aes.transaction_key(self._initial, ksn, DerivedUse.PIN, DerivedType.AES_128)
        data = pin.encipher(entered, PinFormat.ISO_4, key, Secret(token))
        block = Secret(data.hex().upper())
        return PinText(form=PinFormat.ISO_4, key=self._name, ksn=ksn.hex().upper(), token=token, block=block).write()

    def _next(self) -> int:
        opened = os.open(self._counter, os.O_RDWR | os.O_CREAT, _PRIVATE)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)  # another process of this client takes another counter
            text = os.pread(opened, _COUNTER_MAX, 0).decode("ascii", "replace").strip()
            if text and not text.isdecimal():
                raise Misconfigured(f"{COUNTER_FILE} is damaged: ask for a new PIN key")
            counter = dukpt_aes.next_counter(int(text or "0"))
            os.pwrite(opened, f"{counter:010d}\n".encode(), 0)
            os.fsync(opened)
        finally:
            os.close(opened)
        return counter


def write_key(directory: Path, name: str, device: bytes, key: Secret) -> Path:
    """Write a client's key file; raises FileExistsError when the directory has one."""
    path = directory / KEY_FILE
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(opened, "wb") as file:
        file.write(msgspec.json.encode(PinKeyFile(name=name, device=device.hex(), key=key.reveal())))
    return path
