"""Revocation lists of outside authorities: fetched in the background, verified, kept on disk, refusing when in doubt.

A list counts from its verification until its own next update, with no grace after that: an authority publishes the next
one long before. What was verified is kept in a directory, so that a restart does not depend on the authority's server.
"""

import asyncio
import contextlib
import logging
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import httpx2

from tallystick.adapters.ca_files import PUBLIC, write_whole
from tallystick.adapters.notify.transport import machine_trust
from tallystick.channels.model import Anchor
from tallystick.crypto.anchors import Authorities, Link
from tallystick.crypto.ca import Revocations, finished, signed_by_one_of
from tallystick.errors import CertificateRevoked, Malformed, Unavailable
from tallystick.runtime import Clock, Millis

LIST_MAX: Final = 8 * 1024 * 1024  # bytes of one list; about 200,000 entries
FETCH_S: Final = 10.0  # s for one list, from connecting to its last byte
FILE_EVERY_MS: Final = 1_000  # ms between two looks at a file
URL_EVERY_MS: Final = 10 * 60_000  # ms between two fetches from an address
RETRY_MS: Final = 60_000  # ms after a fetch that failed
LISTS_MAX: Final = 8  # places of one anchor

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Held:
    """The newest verified list of one authority, with its bytes."""

    __slots__ = ("content", "pem")

    def __init__(self, content: Revocations, pem: bytes) -> None:
        self.content = content
        self.pem = pem


class _Source:
    """One place of lists, and when it is looked at next."""

    __slots__ = ("due", "place", "seen")

    def __init__(self, place: str) -> None:
        self.place = place
        self.due = Millis(0)
        self.seen: tuple[int, int] | None = None


class _Kept:
    """The places and lists of one anchor."""

    __slots__ = ("authorities", "held", "sources")

    def __init__(self, authorities: Authorities, sources: list[_Source]) -> None:
        self.authorities = authorities
        self.sources = sources
        self.held: dict[str, _Held] = {}


class OutsideLists:
    """Know what outside authorities revoked (`channels.trust.OutsideRevocations`)."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        """Take the directory where verified lists are kept, one file an anchor."""
        self._directory = directory
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def file(self, anchor: str) -> Path:
        """Return the file with an anchor's verified lists (PEM); it is not there before the first one."""
        return self._directory / f"{anchor}.pem"

    def take(self, anchors: Sequence[tuple[Anchor, Authorities]]) -> None:
        """Take the anchors as they are now; those that went are forgotten, a new one's kept lists are read again."""
        now = self._clock.now()
        kept = {}
        for anchor, authorities in anchors:
            known = self._kept.get(anchor.id)
            if known is None:
                known = _Kept(authorities, [_Source(place) for place in anchor.lists])
                self._reload(anchor.id, known, now)
            kept[anchor.id] = known
        for gone in self._kept.keys() - kept.keys():
            self.file(gone).unlink(missing_ok=True)
        self._kept = kept

    def check(self, anchor: str, path: Sequence[Link], now: Millis) -> None:
        """Refuse a path with a revoked certificate.

        1. The anchor is known. One without places for lists revokes nothing: the operator said so.
        2. For each certificate a verified list of its issuer is at hand, and has not ended.
        3. The list does not name the certificate.

        Raises CertificateRevoked for each.
        """
        # 1.
        kept = self._kept.get(anchor)
        if kept is None:
            raise CertificateRevoked("the outside authority of this certificate is not known")
        if not kept.sources:
            return
        for link in path:
            # 2.
            held = kept.held.get(link.issuer)
            if held is None or now >= held.content.next_update:
                raise CertificateRevoked("revocation cannot be checked: a list of the authority is missing or ended")
            # 3.
            if link.serial in held.content.serials:
                raise CertificateRevoked("the client certificate, or an authority above it, was revoked")

    def ends(self) -> dict[str, tuple[Millis | None, ...]]:
        """Return for each anchor with places for lists when that of each of its authorities ends, None without one."""
        ends = {}
        for anchor, kept in self._kept.items():
            held = [kept.held.get(authority) for authority in kept.authorities.by_fingerprint]
            if kept.sources:
                ends[anchor] = tuple(each.content.next_update if each else None for each in held)
        return ends

    async def look(self) -> bool:
        """Fetch every list that is due, side by side; True when one changed. Failures are logged and tried again."""
        now = self._clock.now()
        due = [
            (anchor, kept, source)
            for anchor, kept in self._kept.items()
            for source in kept.sources
            if now >= source.due or source.due - now > URL_EVERY_MS
        ]
        changed = await asyncio.gather(*(self._fetch(anchor, kept, source) for anchor, kept, source in due))
        return any(changed)

    async def _fetch(self, anchor: str, kept: _Kept, source: _Source) -> bool:
        by_file = source.place.startswith("/")
        source.due = Millis(self._clock.now() + (FILE_EVERY_MS if by_file else URL_EVERY_MS))
        try:
            data = _changed_file(source) if by_file else await self._download(source.place)
            changed = data is not None and await self._accept(anchor, kept, data)
        except Exception as error:  # noqa: BLE001 - whatever keeps a list from us: the one before counts until it ends
            source.due = Millis(self._clock.now() + (FILE_EVERY_MS if by_file else RETRY_MS))
            detail = error.detail if isinstance(error, CertificateRevoked | Malformed | Unavailable) else type(error)
            _log.warning("a revocation list for the anchor %s cannot be used: %s", anchor, detail)
            return False
        return changed

    async def _download(self, url: str) -> bytes:
        body = bytearray()
        client = httpx2.AsyncClient(verify=machine_trust(), timeout=FETCH_S, follow_redirects=False, trust_env=False)
        async with asyncio.timeout(FETCH_S), client, client.stream("GET", url) as answer:
            if answer.status_code != httpx2.codes.OK:
                raise Unavailable(f"the list's server answers {answer.status_code}")
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > LIST_MAX:
                    raise Malformed(f"the list has more than {LIST_MAX} bytes")
        return bytes(body)

    async def _accept(self, anchor: str, kept: _Kept, data: bytes) -> bool:
        """Verify a list, and keep it in the place of the one before; False when it is the same one.

        1. One authority of the bundle signed it, and it is full and of this time: CertificateRevoked.
        2. Its number is not below that of the one before: somebody put an old one back (CertificateRevoked).
        """
        # 1.
        issuer, content, pem = await _in_turns(
            signed_by_one_of(data, kept.authorities.by_fingerprint, self._clock.now())
        )
        if self._kept.get(anchor) is not kept:
            return False  # the anchor went meanwhile
        # 2.
        before = kept.held.get(issuer)
        if before is not None and content.number < before.content.number:
            raise CertificateRevoked("the list is older than the one before")
        if before is not None and before.pem == pem:
            return False
        kept.held[issuer] = _Held(content, pem)
        self._directory.mkdir(parents=True, exist_ok=True)
        write_whole(self.file(anchor), b"".join(held.pem for held in kept.held.values()), PUBLIC)
        return True

    def _reload(self, anchor: str, kept: _Kept, now: Millis) -> None:
        with contextlib.suppress(OSError):
            for pem in _lists_in(self.file(anchor).read_bytes()):
                with contextlib.suppress(CertificateRevoked, Malformed):
                    steps = signed_by_one_of(pem, kept.authorities.by_fingerprint, now)
                    issuer, content, _ = finished(steps)
                    kept.held[issuer] = _Held(content, pem)


async def _in_turns(steps: Generator[None, None, T]) -> T:
    """Take one step at a time, and let everybody else go on in between."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)


def _changed_file(source: _Source) -> bytes | None:
    """Read a file of the operator's when it changed since the last look."""
    path = Path(source.place)
    state = path.stat()
    if source.seen == (state.st_mtime_ns, state.st_ino):
        return None
    if state.st_size > LIST_MAX:
        raise Malformed(f"the list has more than {LIST_MAX} bytes")
    data = path.read_bytes()
    source.seen = state.st_mtime_ns, state.st_ino
    return data


def _lists_in(pem: bytes) -> list[bytes]:
    end = b"-----END X509 CRL-----\n"
    return [each + end for each in pem.split(end) if each.strip()]
