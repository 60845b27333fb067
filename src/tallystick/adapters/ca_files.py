"""The embedded authority in a directory, and the reader of its revocation list that every request passes.

root.pem root.key        the root; its key may be moved offline: only `create` uses it
issuing.pem issuing.key  the authority that signs leaves and lists
trust.pem                root and issuing certificate, for every peer's list of trusted authorities
crl.pem                  the revocation list, renewed well before it ends
index.json               every certificate issued, so that it can be found and revoked
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from tallystick.config import HOUR_MS
from tallystick.crypto.ca import CRL_LIFE_MS, PROFILES, Authority, Profile, Revocations, new_root, read_revocation_list
from tallystick.crypto.tls import check_private
from tallystick.crypto.x509 import PeerCertificate, new_private_key, read_certificate
from tallystick.errors import AlreadyExists, CertificateRevoked, Malformed, Misconfigured, NotFound
from tallystick.runtime import Millis

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644
DIRECTORY: Final = 0o700
LIFE_MIN_MS: Final = HOUR_MS  # ms; a shorter one would leave too little time to renew it
CRL_LOOK_MS: Final = 1_000  # ms between two looks at the file: a revocation counts after this at the latest
CRL_FILE_MAX: Final = 4 * 1024 * 1024  # bytes; about 100,000 entries


class Issued(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One certificate issued: `revoked` is the time of its revocation, if any."""

    serial: str
    fingerprint: str
    uri: str
    profile: str
    not_after: Millis
    revoked: Millis | None = None


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What index.json holds; `crl_number` is that of the last list signed."""

    crl_number: int
    certificates: tuple[Issued, ...]


class FileCa:
    """Issue and revoke with the keys of a directory; several processes may do so at the same time (a file lock)."""

    def __init__(
        self, directory: Path, *, status_url: str | None = None, lives: Mapping[str, int] | None = None
    ) -> None:
        """Load an authority; `lives` (ms, by profile) replace those of the profiles.

        Raises Misconfigured: a file is missing or unfit, a private key is open to others, a life is out of bounds.
        """
        self._lives = dict(lives or {})
        for name, life in self._lives.items():
            if not LIFE_MIN_MS <= life <= PROFILES[name].life_max:
                bounds = f"{LIFE_MIN_MS // HOUR_MS} to {PROFILES[name].life_max // HOUR_MS} hours"
                raise Misconfigured(f"a certificate of the profile {name} lives {bounds}")
        self._directory = directory
        for key in ("issuing.key", "root.key"):
            if key == "issuing.key" or (directory / key).exists():
                check_private(directory / key)
        try:
            self._authority = Authority(self._read("issuing.pem"), self._read("issuing.key"), status_url=status_url)
        except Malformed as broken:
            raise Misconfigured("the issuing authority's certificate cannot be read") from broken

    @classmethod
    def create(cls, directory: Path, *, name: str, now: Millis) -> Self:
        """Make a root, an issuing authority and a first, empty revocation list; AlreadyExists keeps what is there."""
        directory.mkdir(mode=DIRECTORY, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise AlreadyExists("the directory of the authority is not empty")
        directory.chmod(DIRECTORY)
        root_pem, root_key = new_root(f"{name} root", now)
        issuing_key = new_private_key()
        issuing_pem = Authority(root_pem, root_key).issue_authority(f"{name} issuing", issuing_key, now)
        write_whole(directory / "root.key", root_key, PRIVATE)
        write_whole(directory / "root.pem", root_pem, PUBLIC)
        write_whole(directory / "issuing.key", issuing_key, PRIVATE)
        write_whole(directory / "issuing.pem", issuing_pem, PUBLIC)
        write_whole(directory / "trust.pem", root_pem + issuing_pem, PUBLIC)
        write_whole(directory / "index.json", msgspec.json.encode(Index(0, ())), PRIVATE)
        ca = cls(directory)
        ca.renew_crl(now)
        return ca

    @property
    def trust(self) -> Path:
        """Return the file of trusted authorities for `server_context` and `client_context`."""
        return self._directory / "trust.pem"

    @property
    def crl(self) -> Path:
        """Return the file of the revocation list."""
        return self._directory / "crl.pem"

    @property
    def issuer(self) -> Path:
        """Return the file of the certificate that signs leaves and the revocation list."""
        return self._directory / "issuing.pem"

    def issue(
        self, csr_pem: bytes, profile: Profile, *, uri: str, dns: Sequence[str] = (), now: Millis, life: int = 0
    ) -> bytes:
        """Issue a certificate and return its chain (leaf, issuing authority) as PEM; `life` (ms) 0 is the one set.

        The index knows it before the caller does, so that it can always be revoked. Errors are those of
        `Authority.issue`; nothing is recorded then.
        """
        with self._locked():
            life = life or self._lives.get(profile.name, profile.life)
            leaf_pem = self._authority.issue(csr_pem, profile, uri=uri, dns=dns, now=now, life=life)
            leaf = read_certificate(leaf_pem)
            entry = Issued(leaf.serial, leaf.fingerprint, uri, profile.name, leaf.not_after)
            index = self._index()
            self._save(msgspec.structs.replace(index, certificates=(*index.certificates, entry)))
        return leaf_pem + self._authority.certificate_pem

    def revoke(self, serial: str, now: Millis) -> None:
        """Revoke a certificate and publish a new list; twice does no harm. NotFound: it was not issued here."""
        with self._locked():
            index = self._index()
            if serial not in {entry.serial for entry in index.certificates}:
                raise NotFound("the authority issued no certificate with this serial")
            entries = tuple(
                msgspec.structs.replace(entry, revoked=now)
                if entry.serial == serial and entry.revoked is None
                else entry
                for entry in index.certificates
            )
            self._publish(msgspec.structs.replace(index, certificates=entries), now)

    def renew_crl(self, now: Millis) -> None:
        """Publish a new revocation list; run it daily, a list lives CRL_LIFE_MS and refuses everybody afterwards."""
        with self._locked():
            self._publish(self._index(), now)

    def keep_crl(self, now: Millis, every_ms: int) -> None:
        """Publish a new revocation list unless the one that is there was made less than `every_ms` ago, by anybody."""
        with self._locked():
            if not self._is_fresh(now, every_ms):
                self._publish(self._index(), now)

    def issued(self) -> tuple[Issued, ...]:
        """List every certificate issued, oldest first."""
        return self._index().certificates

    def valid(self, uri: str, now: Millis) -> int:
        """Count the certificates of an identity that are neither revoked nor over."""
        return sum(each.uri == uri and each.revoked is None and now < each.not_after for each in self.issued())

    def certify_responder(self, key_pem: bytes, *, now: Millis, life: int) -> bytes:
        """Certify a key that answers for this authority by OCSP; returns the certificate as PEM."""
        return self._authority.issue_responder(key_pem, now=now, life=life)

    def _publish(self, index: Index, now: Millis) -> None:
        """Save the index first: a list that could not be written is written by the next renewal."""
        number = index.crl_number + 1
        self._save(msgspec.structs.replace(index, crl_number=number))
        revoked = {
            entry.serial: entry.revoked
            for entry in index.certificates
            # RFC 5280 section 3.3: an entry stays on at least one list after its certificate has ended.
            if entry.revoked is not None and now < entry.not_after + CRL_LIFE_MS
        }
        write_whole(self.crl, self._authority.revocation_list(revoked, number=number, now=now), PUBLIC)

    def _is_fresh(self, now: Millis, every_ms: int) -> bool:
        try:
            made = read_revocation_list(self.crl.read_bytes(), self.issuer.read_bytes(), now)
        except (OSError, Malformed, CertificateRevoked):
            return False
        return now < made.next_update - CRL_LIFE_MS + every_ms

    def _index(self) -> Index:
        try:
            return msgspec.json.decode(self._read("index.json"), type=Index)
        except msgspec.MsgspecError as broken:
            raise Misconfigured("the authority's index.json cannot be read") from broken

    def _save(self, index: Index) -> None:
        write_whole(self._directory / "index.json", msgspec.json.format(msgspec.json.encode(index), indent=1), PRIVATE)

    def _read(self, name: str) -> bytes:
        try:
            return (self._directory / name).read_bytes()
        except OSError as missing:
            raise Misconfigured(f"the authority's file cannot be read: {name}") from missing

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, PRIVATE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


class RevocationList:
    """Refuse revoked certificates by the newest list of the issuing authority; refuse everybody without a valid list.

    The file is looked at once in CRL_LOOK_MS and parsed only when it changed, so that a check costs a comparison and a
    set look-up. A list with a number lower than one seen before is refused: somebody put an old one back (I12).
    """

    def __init__(self, crl: Path, issuer: Path) -> None:
        """Take the files of the list and of the authority that signs it; they are first read by `check`."""
        self._path = crl
        self._issuer = issuer
        self._list: Revocations | None = None
        self._number = 0
        self._seen: tuple[int, int, int] | None = None
        self._next_look = Millis(0)
        self._last_look = Millis(0)

    def check(self, peer: PeerCertificate, now: Millis) -> None:
        """Refuse a peer whose certificate no longer counts; call it on every request, not once per connection.

        1. A verified list is at hand and has not ended.
        2. The peer's serial is not on it.
        3. The peer's certificate has not ended: connections outlive handshakes.

        Raises CertificateRevoked. Left to the caller: that this identity may do this.
        """
        self._look_when_due(now)
        # 1.
        if self._list is None or now >= self._list.next_update:
            raise CertificateRevoked("revocation cannot be checked: the revocation list is missing, unfit or ended")
        # 2.
        if peer.serial in self._list.serials:
            raise CertificateRevoked("the client certificate was revoked")
        # 3.
        if now >= peer.not_after:
            raise CertificateRevoked("the client certificate has ended since the connection was made")

    def ends_at(self, now: Millis) -> Millis | None:
        """Return when the list at hand ends, None without one."""
        self._look_when_due(now)
        return self._list.next_update if self._list is not None else None

    def _look_when_due(self, now: Millis) -> None:
        if not self._last_look <= now < self._next_look:
            self._look(now)

    def _look(self, now: Millis) -> None:
        self._last_look, self._next_look = now, Millis(now + CRL_LOOK_MS)
        try:
            state = self._path.stat()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
            if seen == self._seen and self._list is not None:
                return
            self._list = None
            if state.st_size > CRL_FILE_MAX:
                return
            fresh = read_revocation_list(self._path.read_bytes(), self._issuer.read_bytes(), now)
        except (OSError, Malformed, CertificateRevoked):
            self._list = None
            return
        if fresh.number >= self._number:
            self._list, self._number, self._seen = fresh, fresh.number, seen


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Replace a file whole: written beside it with its final mode, made durable, then renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
