"""Key files under a key-encryption key that stays in a hardware token.

    "tsk-p11" and format 1   1 byte length of the label   the key's label   nonce, ciphertext, tag

The label is bound as associated data; it tells a file that is under another key of the token from a damaged one.
"""

from typing import Final, Protocol

from tallystick.errors import Misconfigured

MAGIC: Final = b"tsk-p11\x01"
LABEL_MAX: Final = 64  # bytes of a key's label


class Sealer(Protocol):
    """What is needed of a token; `pkcs11.Token` says what it guarantees and raises."""

    def seal(self, label: str, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate under the key `label`, tied to `context`."""
        ...

    def open(self, label: str, sealed: bytes, context: bytes) -> bytes:
        """Return the plaintext of `seal`."""
        ...


class TokenWrapper:
    """Wrap under the token's key `label` (`adapters.keys.wrapper.KeyWrapper`)."""

    def __init__(self, token: Sealer, label: str) -> None:
        if not 0 < len(label.encode()) <= LABEL_MAX:
            raise Misconfigured(f"the label of a token's key has 1 to {LABEL_MAX} bytes")
        self._token = token
        self._label = label

    def wrap(self, content: bytes, context: bytes) -> bytes:
        """Seal in the token; raises Misconfigured when it cannot, or for what is sealed already."""
        if content.startswith(MAGIC):
            raise Misconfigured("the key file is under a key of a token already")
        label = self._label.encode()
        head = MAGIC + bytes([len(label)]) + label
        return head + self._token.seal(self._label, content, head + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open in the token.

        Raises:
            Misconfigured: another key, context or token, altered bytes, or a file that was never wrapped: a plain file
                put in a wrapped one's place is not believed.
        """
        start = len(MAGIC) + 1
        if not wrapped.startswith(MAGIC) or len(wrapped) < start:
            raise Misconfigured("the key file is not wrapped by a token")
        end = start + wrapped[start - 1]
        if wrapped[start:end] != self._label.encode():
            raise Misconfigured(f"the key file is under another key of the token than {self._label}: see [keys] key")
        return self._token.open(self._label, wrapped[end:], wrapped[:end] + context)
