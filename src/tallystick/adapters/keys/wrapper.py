"""How key files are protected on disk: the port, and the driver that leaves it to the operating system."""

from typing import Protocol


class KeyWrapper(Protocol):
    """Wrap what a key file holds under a key-encryption key that is somewhere else.

    A driver is called when a key is made, loaded or destroyed, a few times an hour, never for a request. It may wait
    for a device some milliseconds; it keeps its own connection and makes it anew when it was lost.
    """

    def wrap(self, content: bytes, context: bytes) -> bytes:
        """Protect `content` (at most 4 KiB), tied to `context`: directory and name of its file.

        Raises:
            Misconfigured: the key-encryption key cannot be used now. Nothing was written.
        """
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return what `wrap` protected.

        Raises:
            Misconfigured: another key or context, altered bytes, or no such key-encryption key: the process stops, or
                goes on with the keys it has.
        """
        ...


class PlainFiles:
    """Write key files as they are: their mode, and whatever encrypts the volume, are their only protection."""

    def wrap(self, content: bytes, context: bytes) -> bytes:  # noqa: ARG002  # nothing to tie it to
        """Return the content."""
        return content

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:  # noqa: ARG002
        """Return the content."""
        return wrapped
