"""Where everything of one platform is, and how its data directory is made.

A data directory holds all: `tallystick.toml`, `store.db`, `keys/`, `epochs/`, `recovery/`, `opening/`, `pins/`,
`ca/`, `tls/` and `nodes/`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.keys.files import FileKeyring
from tallystick.adapters.keys.wrapper import KeyWrapper, PlainFiles
from tallystick.config import FILE_NAME
from tallystick.errors import AlreadyExists
from tallystick.runtime import SystemClock, SystemRandomness

PLATFORM_URI: Final = "tallystick:platform:main"
PRIVATE_DIRECTORY: Final = 0o700
PRIVATE_FILE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one platform is."""

    root: Path

    @property
    def store(self) -> Path:
        """The database."""
        return self.root / "store.db"

    @property
    def keys(self) -> Path:
        """Long-lived keys."""
        return self.root / "keys"

    @property
    def epochs(self) -> Path:
        """At-rest keys of parts."""
        return self.root / "epochs"

    @property
    def recovery(self) -> Path:
        """At-rest keys of card numbers that an unknown outcome needs again."""
        return self.root / "recovery"

    @property
    def opening(self) -> Path:
        """Part-opening keys."""
        return self.root / "opening"

    @property
    def pins(self) -> Path:
        """Keys of the PIN process, which alone reads them."""
        return self.root / "pins"

    @property
    def nodes(self) -> Path:
        """A file for each process that serves or works, locked while it lives."""
        return self.root / "nodes"

    @property
    def ca(self) -> Path:
        """The embedded certification authority."""
        return self.root / "ca"

    @property
    def anchors(self) -> Path:
        """Verified revocation lists of outside authorities."""
        return self.root / "anchors"

    @property
    def acme(self) -> Path:
        """The account at an ACME server."""
        return self.root / "acme"

    @property
    def shown_certificate(self) -> Path:
        """The chain that listeners show, where an outside authority gives it."""
        return self.root / "tls" / "listener.pem"

    @property
    def shown_key(self) -> Path:
        """The private key of that certificate."""
        return self.root / "tls" / "listener.key"

    @property
    def certificate(self) -> Path:
        """The platform's own certificate chain."""
        return self.root / "tls" / "platform.pem"

    @property
    def private_key(self) -> Path:
        """The private key of the platform's own certificate."""
        return self.root / "tls" / "platform.key"


def create(root: Path, settings_toml: str, protection: Callable[[], KeyWrapper] = PlainFiles) -> Layout:
    """Make a data directory: settings, keys, authority, the platform's certificate, and an empty store.

    `protection` gives the wrapper of the key files once the directory is there. Raises AlreadyExists when the directory
    holds a platform: nothing is ever overwritten.
    """
    layout, clock, randomness = Layout(root), SystemClock(), SystemRandomness()
    if (root / FILE_NAME).exists():
        raise AlreadyExists("this directory holds a platform already")
    root.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    for path in (layout.keys, layout.epochs, layout.recovery, layout.opening, layout.pins, layout.certificate.parent):
        path.mkdir(mode=PRIVATE_DIRECTORY)
    FileKeyring.create(layout.keys, randomness, clock.now(), protection())
    FileCa.create(layout.ca, name="Tallystick", now=clock.now())
    (root / FILE_NAME).write_text(settings_toml, encoding="utf-8")
    return layout
