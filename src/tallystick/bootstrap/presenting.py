"""What listeners and connectors present and whom they trust, kept new while the platform serves (patent claim 33)."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, Self

from tallystick.adapters.platform_certificate import CertificateFiles, EmbeddedCertifier
from tallystick.audit.model import Action
from tallystick.bootstrap.anchoring import Anchoring
from tallystick.bootstrap.layout import PLATFORM_URI
from tallystick.bootstrap.office import Office
from tallystick.channels import own
from tallystick.channels.admit import INSTITUTION_URI
from tallystick.channels.ports import Certifier
from tallystick.crypto import ca, tls, x509
from tallystick.errors import TallystickError
from tallystick.runtime import Millis

LOOK_S: Final = 1.0  # s between two looks: so late a change of a file counts at the latest
RETRY_MS: Final = 60_000  # ms after a renewal that failed until the next try
TURN_S: Final = 0.1  # s between two looks while another process renews the certificate
RETRY_MAX_S: Final = 3_600.0  # s between two tries at an outside authority at most

_log = logging.getLogger(__name__)

Stamp = tuple[int, tuple[tuple[int, int, int], ...]]


class Presenting:
    """Give out TLS contexts, and replace what is in them when a certificate, an authority or a list changes."""

    def __init__(self, desk: Office) -> None:
        self.desk = desk
        self._own = CertificateFiles(desk.layout.certificate, desk.layout.private_key)
        self._shown = CertificateFiles(desk.layout.shown_certificate, desk.layout.shown_key)
        self.anchoring = Anchoring(desk)
        self._contexts: dict[str, tuple[tls.LiveContext, Callable[[], ssl.SSLContext]]] = {}
        self._seen = self._stamp()
        self._next_try = Millis(0)

    @classmethod
    async def ready(cls, desk: Office) -> Self:
        """Make one that has a certificate and knows its anchors."""
        made = cls(desk)
        await made.ensure()
        await made.anchoring.look()
        return made

    async def ensure(self) -> None:
        """Get a certificate when one is due; raises what `own.renew` raises."""
        life = self.desk.settings.ca.lives()[ca.PLATFORM.name]
        certifier = EmbeddedCertifier(self.desk.ca, PLATFORM_URI, life)
        while not await self._renewed(self._own, certifier) and not _usable(self._own):
            await self.desk.clock.sleep(TURN_S)

    def listener(self, name: str, *, clients: bool) -> tls.LiveContext:
        """Return the context of a listener: with `clients` it lets in certificates only, else TLS 1.3 only."""
        anchoring = self.anchoring

        def build() -> ssl.SSLContext:
            trust, shown = anchoring.listener_trust() if clients else None, self._for_listeners()
            context = tls.server_context(shown.chain, shown.key, trust)
            if not clients:
                context.minimum_version = ssl.TLSVersion.TLSv1_3
            return context

        return self._live(name, build)

    def connector(self, institution: str) -> tls.LiveContext:
        """Return the context of connections to a back end: an authority of its own, and neither revoked nor denied."""
        layout, anchoring = self.desk.layout, self.anchoring

        def build() -> ssl.SSLContext:
            trust, lists = anchoring.trust_of(f"{INSTITUTION_URI}{institution}")
            denied = anchoring.book.denied
            return tls.client_context(trust, layout.certificate, layout.private_key, lists=lists, denied=denied)

        return self._live(f"to {institution}", build)

    async def order(self, certifier: Certifier) -> None:
        """Keep the certificate that listeners show new, by an outside authority; never ends by itself.

        Until it has issued one, and whenever that cannot be used, listeners show the embedded authority's. Tries after
        a failure are further and further apart: such an authority bounds them too.
        """
        wait_s = RETRY_MS / 1000
        while True:
            try:
                await self._renewed(self._shown, certifier)
                wait_s = RETRY_MS / 1000
            except Exception as error:  # noqa: BLE001 - the certificate in use serves on, and a later try may succeed
                detail = error.detail if isinstance(error, TallystickError) else type(error).__name__
                _log.warning("the certificate that listeners show was not renewed: %s", detail)
                wait_s = min(2 * wait_s, RETRY_MAX_S)
            await self.desk.clock.sleep(wait_s)

    def refresh(self) -> None:
        """Replace what is in the contexts when a file changed; what cannot be used is logged, and tried again.

        Meanwhile the content before stays: it refuses whoever its own certificates and lists no longer cover.
        """
        stamp = self._stamp()
        if stamp == self._seen:
            return
        for name, (context, build) in self._contexts.items():
            try:
                context.replace(build())
            except TallystickError as error:
                _log.error("the TLS context %s stays as it was: %s", name, error.detail)
                return
        self._seen = stamp

    async def run(self) -> None:
        """Look once a second; never ends by itself."""
        while True:
            await self._look()
            await self.desk.clock.sleep(LOOK_S)

    async def fetch(self) -> None:
        """Fetch revocation lists once a second, where they are due; apart, since it waits for others' servers."""
        while True:
            await self.anchoring.fetch()
            await self.desk.clock.sleep(LOOK_S)

    async def _look(self) -> None:
        now = self.desk.clock.now()
        try:
            if now >= self._next_try:
                await self.ensure()
        except Exception as error:  # noqa: BLE001 - the certificate in use serves on, and a later try may succeed
            self._next_try = Millis(now + RETRY_MS)
            detail = error.detail if isinstance(error, TallystickError) else type(error).__name__
            _log.warning("the platform's certificate was not renewed: %s", detail)
        await self.anchoring.look()
        self.refresh()

    async def _renewed(self, keep: CertificateFiles, certifier: Certifier) -> bool:
        """Renew a certificate that is due; False when another process of this directory is at it."""
        names, clock = self.desk.settings.gateway.names, self.desk.clock
        if not own.due(keep, names, clock.now()):
            return True
        with keep.turn() as mine:
            if not mine:
                return False
            if own.due(keep, names, clock.now()):  # and not renewed by another process a moment ago
                await self._note()
                await own.renew(keep, certifier, names, clock)
                _log.info("the certificate %s was renewed", keep.chain.name)
        return True

    async def _note(self) -> None:
        """Leave the audit entry of a certificate that is asked for next."""
        await self.desk.store.transact(
            lambda books: books.append(Action.CERTIFICATE_ISSUED, PLATFORM_URI, outcome="begun")
        )

    def _for_listeners(self) -> CertificateFiles:
        outside = self.desk.settings.acme is not None
        return self._shown if outside and _usable(self._shown) else self._own

    def _live(self, name: str, build: Callable[[], ssl.SSLContext]) -> tls.LiveContext:
        if name not in self._contexts:
            self._contexts[name] = tls.LiveContext(build()), build
        return self._contexts[name][0]

    def _stamp(self) -> Stamp:
        authority = self.desk.ca
        watched = (self._own.chain, self._own.key, self._shown.chain, self._shown.key, authority.trust, authority.crl)
        return self.anchoring.changes, tuple(_state(path) for path in watched)


@contextlib.asynccontextmanager
async def keeping(presenting: Presenting, certifier: Certifier | None = None) -> AsyncIterator[None]:
    """Keep certificates, anchors and lists new while the context lasts; `certifier` is an outside authority's."""
    works = [presenting.run(), presenting.fetch()]
    if certifier is not None:
        works.append(presenting.order(certifier))
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _usable(keep: CertificateFiles) -> bool:
    try:
        held = keep.held()
        return held is not None and x509.belongs(*held)
    except TallystickError:
        return False


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size
