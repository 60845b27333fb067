"""The platform's own certificate in two files, and the embedded authority as the one that gives it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tallystick.adapters.ca_files import PRIVATE, PUBLIC, FileCa, write_whole
from tallystick.crypto import ca
from tallystick.crypto.tls import check_private
from tallystick.crypto.x509 import make_csr
from tallystick.runtime import Millis

COMMON_NAME: Final = "Tallystick platform"


class CertificateFiles:
    """Keep a chain and its private key (`channels.ports.CertificateKeep`); the key is its owner's only."""

    def __init__(self, chain: Path, key: Path) -> None:
        self.chain = chain
        self.key = key

    def held(self) -> tuple[bytes, bytes] | None:
        """Return both; Misconfigured when the private key is open to others."""
        if not (self.chain.exists() and self.key.exists()):
            return None
        check_private(self.key)
        return self.chain.read_bytes(), self.key.read_bytes()

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """Give one process at a time the right to replace both while the context lasts; False to the others."""
        handle = os.open(self.chain.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, PRIVATE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(handle)

    def replace(self, chain: bytes, key: bytes) -> None:
        """Replace both, each file whole."""
        write_whole(self.key, key, PRIVATE)
        write_whole(self.chain, chain, PUBLIC)


class EmbeddedCertifier:
    """Have the embedded authority certify the platform (`channels.ports.Certifier`)."""

    def __init__(self, authority: FileCa, uri: str, life: int) -> None:
        """Take the platform's identity, and the life of its certificates in ms."""
        self._authority = authority
        self._uri = uri
        self._life = life

    async def certify(self, key_pem: bytes, names: tuple[str, ...], now: Millis) -> bytes:
        """Issue at once; errors are those of `Authority.issue`."""
        csr = make_csr(key_pem, uri=self._uri, dns=names, common_name=COMMON_NAME)
        return self._authority.issue(csr, ca.PLATFORM, uri=self._uri, dns=names, now=now, life=self._life)
