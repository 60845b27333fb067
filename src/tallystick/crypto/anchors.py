"""Outside authorities: a root with the authorities below it, and the path from a leaf up to it (RFC 5280 section 6).

The operator gives every authority of the chain; none is taken from what a peer sends. So each certificate of a path is
known beforehand, and its revocation can be checked.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import verification

from tallystick.crypto.ca import UNREADABLE, check_strength
from tallystick.crypto.x509 import load_certificate, to_datetime, to_millis
from tallystick.errors import CertificateWrongPurpose, FieldInvalid, Malformed
from tallystick.runtime import Millis

BUNDLE_MAX: Final = 64 * 1024  # bytes
AUTHORITIES_MAX: Final = 8  # certificates of one bundle
FINGERPRINT_LENGTH: Final = 64  # hexadecimal digits of SHA-256
SUBJECT_MAX: Final = 512  # characters of a subject name (RFC 4514)


@dataclass(frozen=True, slots=True)
class Link:
    """One certificate of a path below the root: its own and its issuer's fingerprint, its serial, its end."""

    fingerprint: str
    serial: str
    issuer: str
    not_after: Millis


class Authorities:
    """The authorities of one bundle.

    1. The bundle is of bounded size and holds at most AUTHORITIES_MAX certificates: Malformed.
    2. Each is of an authority that may sign certificates, with a strong key: FieldInvalid.
    3. At least one is self-signed, and each other one is issued by one of the bundle: FieldInvalid.
    """

    __slots__ = ("_below", "_roots", "by_fingerprint", "pem")

    def __init__(self, bundle_pem: bytes) -> None:
        # 1.
        if len(bundle_pem) > BUNDLE_MAX:
            raise Malformed("the bundle of authorities is longer than any that is used here")
        try:
            found = x509.load_pem_x509_certificates(bundle_pem)
        except UNREADABLE as broken:
            raise Malformed("the bundle holds no certificates in PEM") from broken
        if len(found) > AUTHORITIES_MAX:
            raise Malformed(f"the bundle holds more than {AUTHORITIES_MAX} certificates")
        # 2.
        for each in found:
            check_strength(each.public_key())
            if not _may_sign(each):
                raise FieldInvalid("the bundle holds a certificate that is not an authority's", field="bundle")
        # 3.
        self._roots = [each for each in found if _issued(each, each)]
        self._below = [each for each in found if each not in self._roots]
        if not self._roots or not all(any(_issued(each, other) for other in found) for each in self._below):
            raise FieldInvalid("the bundle lacks the root, or an authority between it and another", field="bundle")
        self.by_fingerprint = {_fingerprint(each): _pem(each) for each in found}
        self.pem = b"".join(self.by_fingerprint.values())

    @property
    def issuers(self) -> Sequence[bytes]:
        """Return each authority's certificate in PEM: any of them may sign a revocation list."""
        return tuple(self.by_fingerprint.values())

    def path(self, leaf_der: bytes, now: Millis) -> tuple[Link, ...]:
        """Return the path of a client's certificate, without the root, leaf first.

        1. The leaf's key is strong: FieldInvalid.
        2. The library finds a path to a root through this bundle alone: signatures, validity at `now`, basic
           constraints, key usages, name constraints, path lengths, extended key usages where there are any.

        Raises CertificateWrongPurpose for 2. Left to the caller: that the extended key usage is there, revocation.
        """
        leaf = load_certificate(leaf_der)
        # 1.
        check_strength(leaf.public_key())
        # 2.
        try:
            names = verification.ExtensionPolicy.webpki_defaults_ee().may_be_present(
                x509.SubjectAlternativeName, verification.Criticality.AGNOSTIC, None
            )
            policy = verification.PolicyBuilder().store(verification.Store(self._roots)).time(to_datetime(now))
            policy = policy.extension_policies(
                ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=names
            )
            chain = policy.build_client_verifier().verify(leaf, self._below).chain
        except (verification.VerificationError, *UNREADABLE) as failed:
            raise CertificateWrongPurpose("the client certificate is not of the authority of this identity") from failed
        return tuple(
            Link(
                _fingerprint(each), f"{each.serial_number:x}", _fingerprint(issuer), to_millis(each.not_valid_after_utc)
            )
            for each, issuer in itertools.pairwise(chain)
        )


def has_subject(certificate: bytes, subject: str) -> bool:
    """Tell whether a certificate (DER or PEM) has this subject (RFC 4514), attribute by attribute."""
    return load_certificate(certificate).subject == _name(subject)


def check_subject(subject: str) -> str:
    """Return a subject name in its one spelling; FieldInvalid when it is none."""
    return _name(subject).rfc4514_string()


def check_fingerprint(text: str) -> str:
    """Return a SHA-256 fingerprint as lower-case hexadecimal digits, given with or without colons; FieldInvalid."""
    digits = text.replace(":", "").lower()
    if len(digits) != FINGERPRINT_LENGTH or not set(digits) <= set("0123456789abcdef"):
        raise FieldInvalid("a fingerprint is SHA-256 in hexadecimal digits", field="fingerprint")
    return digits


def issued_by(certificate: bytes, issuer_pem: bytes) -> bool:
    """Tell whether an authority signed a certificate (DER or PEM) under its own name; Malformed when it is none."""
    return _issued(load_certificate(certificate), load_certificate(issuer_pem))


def _name(subject: str) -> x509.Name:
    try:
        name = x509.Name.from_rfc4514_string(subject) if len(subject) <= SUBJECT_MAX else None
    except UNREADABLE:
        name = None
    if not name:
        raise FieldInvalid("the subject is no name as RFC 4514 writes it, such as CN=shop,O=Shop", field="subject")
    return name


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - the library has no common base for what is wrong: all of it means no
        return False
    return True


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except UNREADABLE:
        return False
    return constraints.ca and usage.key_cert_sign


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
