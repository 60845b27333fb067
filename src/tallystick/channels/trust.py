"""Which authority may vouch for which identity, and whether a certificate still counts (patent claim 33).

An identity has the platform's own authority, unless anchors are set for it: then only those. So an outside authority
can issue for the identities it is set for, and for no other.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from tallystick.channels.model import Anchor
from tallystick.crypto.anchors import Authorities, Link, has_subject, issued_by
from tallystick.crypto.x509 import PeerCertificate
from tallystick.errors import CertificateRevoked, CertificateWrongPurpose, FieldInvalid, Malformed
from tallystick.runtime import Millis

STALE_MS: Final = 60_000  # ms after which anchors and refusals that could not be read again refuse everybody
PROVEN_MAX: Final = 10_000  # certificates whose path is kept; beyond it all are proven anew


class OwnRevocations(Protocol):
    """What is known about revoked certificates of the platform's own authority."""

    def check(self, peer: PeerCertificate, now: Millis) -> None:
        """Raise CertificateRevoked for a revoked certificate, and when revocation cannot be told (fail closed)."""
        ...


class OutsideRevocations(Protocol):
    """What is known about revoked certificates of outside authorities."""

    def check(self, anchor: str, path: Sequence[Link], now: Millis) -> None:
        """Raise CertificateRevoked when one of the path is revoked, or when that cannot be told (fail closed)."""
        ...


@dataclass(frozen=True, slots=True)
class _Set:
    anchor: Anchor
    authorities: Authorities


@dataclass(frozen=True, slots=True)
class _Proven:
    """A certificate whose path was found: under which anchor, None for the platform's own authority."""

    uri: str | None
    anchor: Anchor | None
    path: tuple[Link, ...]


class TrustBook:
    """Say of a client certificate which identity it proves (`admit.Standing`); changed as a whole by `take`."""

    def __init__(self, issuer_pem: bytes, own: OwnRevocations, outside: OutsideRevocations) -> None:
        """Take the platform's own issuing authority and what tells revocations; nobody is let in before `take`."""
        self._issuer = issuer_pem
        self._own = own
        self._outside = outside
        self._sets: tuple[_Set, ...] = ()
        self._denied: frozenset[str] = frozenset()
        self._taken_at: Millis | None = None
        self._proven: dict[str, _Proven] = {}

    def take(self, anchors: Sequence[Anchor], denied: Mapping[str, Millis], now: Millis) -> bool:
        """Take the anchors and denied fingerprints as they stand at `now`; True when they changed."""
        self._taken_at = now
        if [each.anchor for each in self._sets] == list(anchors) and self._denied == denied.keys():
            return False
        self._sets = tuple(_Set(each, Authorities(each.bundle)) for each in anchors)
        self._denied = frozenset(denied)
        self._proven.clear()
        return True

    def authorities_of(self, uri: str) -> tuple[tuple[Anchor, Authorities], ...]:
        """Return the anchors set for an identity; empty where the platform's own authority vouches."""
        return tuple((each.anchor, each.authorities) for each in self._sets if each.anchor.uri == uri)

    @property
    def outside(self) -> tuple[tuple[Anchor, Authorities], ...]:
        """Return all anchors: a listener's handshake lets in whatever ends in one of them, and `check` decides."""
        return tuple((each.anchor, each.authorities) for each in self._sets)

    @property
    def denied(self) -> frozenset[str]:
        """Return the fingerprints of certificates that count no more."""
        return self._denied

    def check(self, peer: PeerCertificate, now: Millis) -> PeerCertificate:
        """Return the peer under the identity that its certificate proves; call it on every request.

        1. What is known of anchors and refusals is fresh: CertificateRevoked.
        2. The certificate is not denied: CertificateRevoked.
        3. It has a path to an anchor of its identity, or was issued by the platform's own authority where its identity
           has none: CertificateWrongPurpose. Without a `tallystick:` URI it counts for the one identity whose anchor
           names its fingerprint or its subject: no anchor, or two, is CertificateWrongPurpose.
        4. Nothing of its path is over, denied or revoked: CertificateRevoked.

        The TLS handshake has proven possession of the key.
        """
        # 1.
        if self._taken_at is None or not -STALE_MS <= now - self._taken_at <= STALE_MS:
            raise CertificateRevoked("which certificates count cannot be told")
        # 2.
        if peer.fingerprint in self._denied:
            raise CertificateRevoked("the client certificate is denied")
        # 3.
        proven = self._proven.get(peer.fingerprint)
        if proven is None:
            proven = self._prove(peer, now)
            if len(self._proven) >= PROVEN_MAX:
                self._proven.clear()
            self._proven[peer.fingerprint] = proven
        # 4.
        if proven.anchor is None:
            self._own.check(peer, now)
            return peer
        if any(now >= link.not_after or link.fingerprint in self._denied for link in proven.path):
            raise CertificateRevoked("the client certificate, or an authority above it, has ended or is denied")
        self._outside.check(proven.anchor.id, proven.path, now)
        return replace(peer, uri=proven.uri, anchor=proven.anchor.id)

    def _prove(self, peer: PeerCertificate, now: Millis) -> _Proven:
        named = [each for each in self._sets if _names(each.anchor, peer)]
        if not named:
            if peer.uri is None or not issued_by(peer.encoded, self._issuer):
                raise CertificateWrongPurpose("no authority that may vouch for this identity issued the certificate")
            return _Proven(peer.uri, None, ())
        if "client" not in peer.purposes:
            raise CertificateWrongPurpose("the certificate is not for client authentication")
        found = [_Proven(each.anchor.uri, each.anchor, path) for each in named if (path := _path(each, peer, now))]
        if len({each.uri for each in found}) != 1:
            raise CertificateWrongPurpose("the client certificate is not of the authority of one identity")
        return found[0]


def require_vouched(anchors: Sequence[Anchor], peer: PeerCertificate, now: Millis) -> tuple[Link, ...]:
    """Return the path of a certificate to one of an identity's anchors; CertificateWrongPurpose when there is none."""
    for each in anchors:
        if _names(each, peer) and (path := _path(_Set(each, Authorities(each.bundle)), peer, now)):
            return path
    raise CertificateWrongPurpose("no authority that is set for this identity issued the certificate")


def _names(anchor: Anchor, peer: PeerCertificate) -> bool:
    """Tell whether an anchor is for a certificate: by the identity in it, or as the operator mapped one without."""
    if peer.uri is not None:
        return anchor.uri == peer.uri
    if anchor.fingerprint is not None:
        return hmac.compare_digest(anchor.fingerprint, peer.fingerprint)
    return anchor.subject is not None and has_subject(peer.encoded, anchor.subject)


def _path(one: _Set, peer: PeerCertificate, now: Millis) -> tuple[Link, ...]:
    try:
        return one.authorities.path(peer.encoded, now)
    except (CertificateWrongPurpose, FieldInvalid, Malformed):
        return ()
