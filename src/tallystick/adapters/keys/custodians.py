"""Key files under a key that no single person has: its custodians give their shares when a process starts.

    "tsk-cus" and format 1   5 bytes check value of the key   nonce, ciphertext, tag

The check value tells files under another ceremony's key from damaged ones; it is bound as associated data.
"""

from typing import Final, Self

from tallystick.crypto import box, key_shares
from tallystick.crypto.kdf import derive
from tallystick.crypto.versioned import CHECK_BYTES, check_value
from tallystick.errors import EnvelopeUnopenable, Misconfigured
from tallystick.secret import Secret

MAGIC: Final = b"tsk-cus\x01"
HEAD_BYTES: Final = len(MAGIC) + CHECK_BYTES


class CustodianWrapper:
    """Wrap key files under the shared key (`wrapper.KeyWrapper`), which is in this process's memory only."""

    __slots__ = ("_head", "_key", "check")

    def __init__(self, key: bytes) -> None:
        self.check = check_value(key)
        self._head = MAGIC + bytes.fromhex(self.check)
        self._key = derive(key, "tallystick/key-files")

    @classmethod
    def of(cls, shares: Secret) -> Self:
        """Combine the shares of a text, a line each.

        Raises:
            Misconfigured: they do not give a key, or they are of a rehearsal: its key protects nothing.
        """
        given = key_shares.parse_all(shares)
        key = key_shares.combine(given)
        if given[0].ceremony.rehearsal:
            raise Misconfigured("these shares are of a rehearsal: bring those of the real ceremony")
        return cls(key)

    def wrap(self, content: bytes, context: bytes) -> bytes:
        """Seal a file's content; raises Misconfigured for what is sealed already."""
        if content.startswith(MAGIC):
            raise Misconfigured("the key file is under custodians' key already")
        return self._head + box.seal(self._key, content, self._head + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open a file's content; raises Misconfigured when it was altered, moved or is under another key."""
        head = wrapped[:HEAD_BYTES]
        if not head.startswith(MAGIC) or len(head) < HEAD_BYTES:
            raise Misconfigured("the key file is not under custodians' key")
        if head != self._head:
            wanted = head[len(MAGIC) :].hex().upper()
            raise Misconfigured(
                f"the key files are under the key with check value {wanted}, the shares give {self.check}"
            )
        try:
            return box.unseal(self._key, wrapped[HEAD_BYTES:], head + context)
        except EnvelopeUnopenable:
            raise Misconfigured("a key file does not open under the custodians' key: it is damaged or moved") from None
