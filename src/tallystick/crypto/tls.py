"""TLS contexts of listeners and connectors (patent claims 12 and 32): 1.3, or 1.2 with AEAD suites only.

Built from bare `ssl.SSLContext`, not `create_default_context`, which would honour SSLKEYLOGFILE and write session keys
to a file, and would trust the machine's public authorities.
"""

import hashlib
import logging
import os
import ssl
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tallystick.errors import Misconfigured

SUITES_1_2: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # TLS 1.3 suites are all AEAD and need no list
CLEANSE_PLAINTEXT: Final = 0x2  # SSL_OP_CLEANSE_PLAINTEXT of OpenSSL 3.0, which Python has no name for
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

log = logging.getLogger("tallystick.tls")


class ReportedHandshake(ssl.SSLObject):
    """Log why a peer's handshake failed: asyncio and uvloop close the connection without a word to either side."""

    def do_handshake(self) -> None:
        """Shake hands; log the library's reason, which names no peer data, before passing it on."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as refusal:
            log.info("handshake refused: %s", getattr(refusal, "verify_message", None) or refusal.reason)
            raise


@dataclass(frozen=True, slots=True)
class Lists:
    """Revocation lists (PEM): of the authority that signs leaves, or of every authority below and with the root."""

    files: tuple[Path, ...]
    whole_chain: bool


class LiveContext(ssl.SSLContext):
    """A context whose content is replaced whole while it is in use.

    Each new connection takes the newest content: certificate, trusted authorities and revocation lists together. Open
    connections keep what they were made with, so that none is dropped. Sessions of the content before cannot be
    resumed: a new check of the certificate follows each change.
    """

    def __new__(cls, content: ssl.SSLContext) -> Self:
        """Make the empty shell of the content's kind, server or client."""
        return super().__new__(cls, content.protocol)

    def __init__(self, content: ssl.SSLContext) -> None:
        self._content = content

    def replace(self, content: ssl.SSLContext) -> None:
        """Take new content, for connections from now on."""
        self._content = content

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Begin one connection of asyncio, uvloop or anyio."""
        return self._content.wrap_bio(*arguments, **options)

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Offer these protocols; HTTP clients say so before each connection."""
        self._content.set_alpn_protocols(alpn_protocols)


def server_context(chain: Path, key: Path, client_ca: Path | bytes | None) -> ssl.SSLContext:
    """Make the context of a listener with certificate `chain` (leaf first) and private `key`.

    Trusted authorities are a file or PEM here and below.

    1. With `client_ca`, a handshake without a certificate that chains to it, is valid now and is for client
       authentication fails. None is for browser listeners only.
    2. No ticket is given, so TLS 1.3 never resumes a session: that would skip the check of the certificate, and a
       ticket key that lives as long as the process would undo forward secrecy (RFC 8446 section 8.1).
       TLS 1.2 still resumes by session id, which Python cannot turn off; the peer's certificate stays with the session.
    3. The private key is readable by its owner only.

    Left to the caller: revocation and expiry during a connection (`RevocationList.check` on every request).
    Raises Misconfigured: the process refuses to start.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.sslobject_class = ReportedHandshake
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    # 1.
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, client_ca)
    # 2.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    # 3.
    _present(context, chain, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(
    ca: Path | bytes,
    cert: Path | None = None,
    key: Path | None = None,
    *,
    lists: Lists | None = None,
    denied: frozenset[str] = frozenset(),
) -> ssl.SSLContext:
    """Make the context of a connector: the server's certificate chains to `ca` and names the host (RFC 9525).

    `cert` and `key` are given together, for a peer that asks for a client certificate. With `lists` a server is refused
    whose certificate is on one, and everybody once a list is missing or has ended. A certificate whose SHA-256
    fingerprint is in `denied` is refused. Raises Misconfigured.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # CERT_REQUIRED and check_hostname are this protocol's defaults
    _harden(context)
    context.hostname_checks_common_name = False
    _trust(context, ca)
    context.sslobject_class = _refusing(denied)
    if lists is not None:
        for file in lists.files:
            _trust(context, file)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN if lists.whole_chain else ssl.VERIFY_CRL_CHECK_LEAF
    if (cert is None) != (key is None):
        raise Misconfigured("a client certificate and its private key are given together")
    if cert is not None and key is not None:
        _present(context, cert, key)
    return context


def _refusing(denied: frozenset[str]) -> type[ssl.SSLObject]:
    class Refusing(ssl.SSLObject):
        """Refuse a denied certificate at the end of the handshake, before anything is sent."""

        def do_handshake(self) -> None:
            super().do_handshake()
            shown = self.getpeercert(binary_form=True)
            if shown is None or hashlib.sha256(shown).hexdigest() in denied:
                raise ssl.SSLCertVerificationError("the peer's certificate is denied")

    return Refusing if denied else ssl.SSLObject


def check_private(key: Path) -> None:
    """Refuse a private key file that its group or others may touch; Misconfigured names the file."""
    try:
        mode = key.stat().st_mode
    except OSError as missing:
        raise Misconfigured(f"the private key file cannot be read: {key.name}") from missing
    if os.name == "posix" and mode & OTHERS:
        raise Misconfigured(f"the private key file is open to others; chmod 600 it: {key.name}")


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES_1_2)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # The library deciphers where it received: else what a peer sent, card number and all, stays in freed memory.
    context.options |= CLEANSE_PLAINTEXT
    context.verify_flags |= ssl.VERIFY_X509_STRICT


def _trust(context: ssl.SSLContext, ca: Path | bytes) -> None:
    try:
        if isinstance(ca, Path):
            context.load_verify_locations(cafile=ca)
        else:
            context.load_verify_locations(cadata=ca.decode("ascii"))
    except (OSError, UnicodeDecodeError) as broken:  # ssl.SSLError is an OSError
        name = ca.name if isinstance(ca, Path) else "of a trust anchor"
        raise Misconfigured(f"the file of trusted authorities cannot be used: {name}") from broken


def _present(context: ssl.SSLContext, chain: Path, key: Path) -> None:
    check_private(key)
    try:
        context.load_cert_chain(chain, key)
    except OSError as broken:  # ssl.SSLError is one
        raise Misconfigured(f"the certificate and its private key cannot be used together: {chain.name}") from broken
