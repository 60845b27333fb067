"""The embedded certification authority (patent claim 33): an offline root, an issuing authority, short-lived leaves.

Pure functions over bytes and a given time; `adapters/ca_files.py` keeps the files. Certificates follow RFC 5280 and
pass both OpenSSL's strict checks and `cryptography.x509.verification`.
"""

import itertools
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from tallystick.crypto.x509 import (
    alternative_names,
    digest_for,
    load_certificate,
    load_signing_key,
    new_private_key,
    spki_digest,
    subject,
    to_datetime,
    to_millis,
)
from tallystick.errors import CertificateRevoked, FieldInvalid, Malformed, Misconfigured, SignatureInvalid
from tallystick.runtime import Millis

DAY_MS: Final = 24 * 3_600_000  # ms
ROOT_LIFE_MS: Final = 3650 * DAY_MS  # ms
ISSUING_LIFE_MS: Final = 1825 * DAY_MS  # ms
CRL_LIFE_MS: Final = 7 * DAY_MS  # ms until a revocation list that nobody renewed refuses everybody
BACKDATE_MS: Final = 5 * 60_000  # ms a certificate or list starts early, for a peer whose clock is late
RSA_BITS_MIN: Final = 2048  # bits, NIST SP 800-131A
CSR_MAX: Final = 16 * 1024  # bytes
ENTRIES_OF_STEP: Final = 4_000  # entries of a revocation list read without giving way: some 5 ms
RESPONDER_NAME: Final = "Tallystick OCSP responder"
CURVES: Final = ("secp256r1", "secp384r1")
UNREADABLE: Final = (  # what the library raises for damaged bytes: it has no common base
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of leaf: which identity it may carry, what it may do, how long it lives and may live (ms)."""

    name: str
    identity: Literal["channel", "platform", "institution"]
    client: bool
    server: bool
    life: int
    life_max: int


CHANNEL: Final = Profile("channel", "channel", client=True, server=False, life=30 * DAY_MS, life_max=90 * DAY_MS)
PLATFORM: Final = Profile("platform", "platform", client=True, server=True, life=30 * DAY_MS, life_max=90 * DAY_MS)
BACK_END: Final = Profile("back_end", "institution", client=True, server=True, life=365 * DAY_MS, life_max=397 * DAY_MS)
PROFILES: Final = {profile.name: profile for profile in (CHANNEL, PLATFORM, BACK_END)}


@dataclass(frozen=True, slots=True)
class Revocations:
    """A verified revocation list: serials in lower-case hexadecimal, and when it stops to count."""

    number: int
    serials: frozenset[str]
    next_update: Millis


class Authority:
    """A certificate that may sign others, with its private key.

    `status_url` is where anybody asks for revocation: leaves name `<status_url>/ocsp` and `<status_url>/crl`. Raises
    Misconfigured when the key does not belong to the certificate or the certificate may not sign.
    """

    __slots__ = ("_key", "_status_url", "certificate")

    def __init__(self, certificate_pem: bytes, key_pem: bytes, *, status_url: str | None = None) -> None:
        self._status_url = status_url
        self.certificate = load_certificate(certificate_pem)
        self._key = load_signing_key(key_pem)
        if self._key.public_key() != self.certificate.public_key():
            raise Misconfigured("the authority's private key does not belong to its certificate")
        if not self.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise Misconfigured("the authority's certificate is not one of an authority")

    @property
    def certificate_pem(self) -> bytes:
        """Return the certificate, for trust files and chains."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, csr_pem: bytes, profile: Profile, *, uri: str, dns: Sequence[str] = (), now: Millis, life: int
    ) -> bytes:
        """Issue a leaf for the public key of a request, valid `life` ms from `now`; return it as PEM.

        1. The request is readable and signed by the key it names (RFC 2986 section 4.2), else Malformed or
           SignatureInvalid: the requester holds the private key.
        2. The key is strong (`check_strength`), else FieldInvalid.
        3. The identity is of the profile's kind, and only a server answers for hosts, else FieldInvalid.
        4. The life is within the profile's and within this authority's own, else FieldInvalid or Misconfigured.

        No name is taken from the request: identity is what the operator passes here. Left to the caller: to know the
        requester, and to record the serial before handing the certificate out.
        """
        # 1.
        request = _load_request(csr_pem)
        # 2.
        check_strength(request.public_key())
        # 3.
        names = alternative_names(uri, dns)
        if uri.split(":")[1] != profile.identity:
            raise FieldInvalid(f"the profile {profile.name} is for tallystick:{profile.identity}:<id>", field="uri")
        if dns and not profile.server:
            raise FieldInvalid(f"the profile {profile.name} answers for no host", field="dns")
        # 4.
        if not 0 < life <= profile.life_max:
            raise FieldInvalid(f"the life is at most {profile.life_max // DAY_MS} days", field="life")
        if now + life > to_millis(self.certificate.not_valid_after_utc):
            raise Misconfigured("the issuing authority ends before this certificate would: make a new one first")

        leaf = _builder(uri.split(":")[2], request.public_key(), now, life).issuer_name(self.certificate.subject)
        leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        leaf = leaf.add_extension(_key_usage(ca=False), critical=True)
        leaf = leaf.add_extension(_purposes(client=profile.client, server=profile.server), critical=False)
        leaf = leaf.add_extension(names, critical=False)
        for extension in self._places():
            leaf = leaf.add_extension(extension, critical=False)
        return self._sign(leaf.add_extension(self._key_identifier(), critical=False))

    def issue_responder(self, key_pem: bytes, *, now: Millis, life: int) -> bytes:
        """Certify a delegated OCSP responder (RFC 6960 section 4.2.2.2); return it as PEM.

        It carries id-pkix-ocsp-nocheck: nobody asks about the one who answers, so its life is short.
        """
        key = load_signing_key(key_pem).public_key()
        leaf = _builder(RESPONDER_NAME, key, now, life).issuer_name(self.certificate.subject)
        leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        leaf = leaf.add_extension(_key_usage(ca=False), critical=True)
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        leaf = leaf.add_extension(x509.OCSPNoCheck(), critical=False)
        return self._sign(leaf.add_extension(self._key_identifier(), critical=False))

    def issue_authority(self, common_name: str, key_pem: bytes, now: Millis, life: int = ISSUING_LIFE_MS) -> bytes:
        """Certify an issuing authority below this root: it may sign leaves and lists, no further authority."""
        key = load_signing_key(key_pem).public_key()
        below = _builder(common_name, key, now, life).issuer_name(self.certificate.subject)
        below = below.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        below = below.add_extension(_key_usage(ca=True), critical=True)
        below = below.add_extension(_purposes(client=True, server=True), critical=False)
        return self._sign(below.add_extension(self._key_identifier(), critical=False))

    def revocation_list(
        self, revoked: Mapping[str, Millis], *, number: int, now: Millis, life: int = CRL_LIFE_MS
    ) -> bytes:
        """Sign the revocation list (RFC 5280 section 5) of `revoked` (serial to time); return it as PEM.

        `number` grows with every list of this authority; a reader refuses one that goes back.
        """
        crl = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        crl = crl.last_update(to_datetime(Millis(now - BACKDATE_MS))).next_update(to_datetime(Millis(now + life)))
        crl = crl.add_extension(x509.CRLNumber(number), critical=False)
        crl = crl.add_extension(self._key_identifier(), critical=False)
        for serial, since in revoked.items():
            entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(to_datetime(since))
            crl = crl.add_revoked_certificate(entry.build())
        return crl.sign(self._key, digest_for(self._key)).public_bytes(serialization.Encoding.PEM)

    def _places(self) -> list[x509.ExtensionType]:
        """Say where the revocation of a leaf can be asked for (RFC 5280 sections 4.2.1.13 and 4.2.2.1)."""
        if self._status_url is None:
            return []
        lists, answers = (x509.UniformResourceIdentifier(self._status_url + path) for path in ("/crl", "/ocsp"))
        point = x509.DistributionPoint(full_name=[lists], relative_name=None, reasons=None, crl_issuer=None)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, answers)
        return [x509.CRLDistributionPoints([point]), x509.AuthorityInformationAccess([access])]

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)

    def _sign(self, certificate: x509.CertificateBuilder) -> bytes:
        return certificate.sign(self._key, digest_for(self._key)).public_bytes(serialization.Encoding.PEM)


def new_root(common_name: str, now: Millis, life: int = ROOT_LIFE_MS) -> tuple[bytes, bytes]:
    """Make a self-signed root that allows one authority below it; return its certificate and its private key as PEM."""
    key_pem = new_private_key()
    key = load_signing_key(key_pem)
    root = _builder(common_name, key.public_key(), now, life).issuer_name(subject(common_name))
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    root = root.add_extension(_key_usage(ca=True), critical=True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    root = root.add_extension(identifier, critical=False)
    return root.sign(key, digest_for(key)).public_bytes(serialization.Encoding.PEM), key_pem


def read_revocation_list(crl_pem: bytes, issuer_pem: bytes, now: Millis) -> Revocations:
    """Verify a revocation list of the authority `issuer_pem` (RFC 5280 section 6.3.3, full lists only).

    1. It is readable, and signed by the key of that authority, under its name.
    2. It has begun and has not ended.
    3. It has no critical extension: a partial or delta list would leave serials out.

    Raises CertificateRevoked for each: a revocation that cannot be checked counts as one.
    """
    try:
        crl = x509.load_pem_x509_crl(crl_pem)
    except UNREADABLE as broken:
        raise CertificateRevoked("the revocation list cannot be read") from broken
    return finished(_read(crl, issuer_pem, now))


def signed_by_one_of(
    data: bytes, issuers: Mapping[str, bytes], now: Millis
) -> Generator[None, None, tuple[str, Revocations, bytes]]:
    """Verify a list, in DER or PEM, of one of several authorities; give that one's name, what the list says, its PEM.

    A generator that gives way after each step: with 150,000 entries the longest takes a sixth of the whole. Raises
    Malformed when it cannot be read, CertificateRevoked as `read_revocation_list` and when none of them signed it.
    """
    try:
        pem = data.lstrip().startswith(b"-----BEGIN")
        crl = x509.load_pem_x509_crl(data) if pem else x509.load_der_x509_crl(data)
    except UNREADABLE as broken:
        raise Malformed("the revocation list cannot be read") from broken
    refusal = CertificateRevoked("no authority of the anchor signed the list")
    for name, issuer in issuers.items():
        yield
        try:
            found = yield from _read(crl, issuer, now)
        except CertificateRevoked as refused:
            if "not signed" not in refused.detail:
                refusal = refused
        else:
            yield
            return name, found, crl.public_bytes(serialization.Encoding.PEM)
    raise refusal


def finished(steps: Generator[None, None, T]) -> T:
    """Take all steps of a generator at once, and return what it gives."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        result: T = end.value
        return result


def _read(crl: x509.CertificateRevocationList, issuer_pem: bytes, now: Millis) -> Generator[None, None, Revocations]:
    """Do what `read_revocation_list` says, a step at a time."""
    # 1.
    issuer = load_certificate(issuer_pem)
    try:
        signed = crl.issuer == issuer.subject and crl.is_signature_valid(_verifying_key(issuer))
        extensions = list(crl.extensions)
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except UNREADABLE as broken:
        raise CertificateRevoked("the revocation list cannot be read") from broken
    if not signed:
        raise CertificateRevoked("the revocation list is not signed by the issuing authority")
    # 2.
    if crl.next_update_utc is None or now >= to_millis(crl.next_update_utc):
        raise CertificateRevoked("the revocation list has ended and was not renewed")
    if now < to_millis(crl.last_update_utc):
        raise CertificateRevoked("the revocation list has not begun")
    # 3.
    if any(extension.critical for extension in extensions):
        raise CertificateRevoked("the revocation list is not a full one")
    entries, serials, before = iter(crl), set[str](), -1
    while len(serials) > before:
        before = len(serials)
        yield
        serials.update(f"{entry.serial_number:x}" for entry in itertools.islice(entries, ENTRIES_OF_STEP))
    return Revocations(number=number, serials=frozenset(serials), next_update=to_millis(crl.next_update_utc))


def check_request(csr_pem: bytes) -> str:
    """Check a request as `Authority.issue` will; return the SHA-256 of its public key (SPKI) in hexadecimal.

    The holder reads the same digest to the operator, so that both know they mean the same key. Raises Malformed,
    SignatureInvalid and FieldInvalid.
    """
    request = _load_request(csr_pem)
    key = request.public_key()
    check_strength(key)
    return spki_digest(key)


def revocation_list_der(crl_pem: bytes) -> bytes:
    """Return a revocation list in DER, as it is published over HTTP (RFC 5280 section 4.2.1.13); raises Malformed."""
    try:
        return x509.load_pem_x509_crl(crl_pem).public_bytes(serialization.Encoding.DER)
    except UNREADABLE as broken:
        raise Malformed("the revocation list cannot be read") from broken


def profile_of(uri: str) -> Profile:
    """Return the profile of an identity; raises FieldInvalid when there is none."""
    kind = uri.split(":")[1] if uri.count(":") > 1 else ""
    found = next((profile for profile in PROFILES.values() if profile.identity == kind), None)
    if found is None:
        raise FieldInvalid("the identity is not tallystick:<channel|institution|platform>:<id>", field="uri")
    return found


def check_strength(key: CertificatePublicKeyTypes) -> None:
    """Refuse weak public keys: EC P-256 or P-384, Ed25519, or RSA from RSA_BITS_MIN on; else FieldInvalid."""
    match key:
        case ed25519.Ed25519PublicKey():
            return
        case ec.EllipticCurvePublicKey() if key.curve.name in CURVES:
            return
        case rsa.RSAPublicKey() if key.key_size >= RSA_BITS_MIN:
            return
    raise FieldInvalid(f"the key is not EC P-256/P-384, Ed25519 or RSA of {RSA_BITS_MIN} bits and more", field="csr")


def _load_request(csr_pem: bytes) -> x509.CertificateSigningRequest:
    if len(csr_pem) > CSR_MAX:
        raise Malformed("the certificate request is longer than any that is used here")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        signed = request.is_signature_valid
    except UNREADABLE as broken:
        raise Malformed("the bytes are no certificate request") from broken
    if not signed:
        raise SignatureInvalid("the certificate request is not signed by its own key")
    return request


def _verifying_key(
    issuer: x509.Certificate,
) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey:
    key = issuer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise CertificateRevoked("the issuing authority's key cannot verify")
    return key


def _builder(common_name: str, key: CertificatePublicKeyTypes, now: Millis, life: int) -> x509.CertificateBuilder:
    start, end = Millis(now - BACKDATE_MS), Millis(now + life)
    certificate = x509.CertificateBuilder().subject_name(subject(common_name)).public_key(key)
    certificate = certificate.serial_number(x509.random_serial_number())  # 159 random bits (CA/B BR 7.1 asks for 64)
    certificate = certificate.not_valid_before(to_datetime(start)).not_valid_after(to_datetime(end))
    return certificate.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _purposes(*, client: bool, server: bool) -> x509.ExtendedKeyUsage:
    uses = ((ExtendedKeyUsageOID.CLIENT_AUTH, client), (ExtendedKeyUsageOID.SERVER_AUTH, server))
    return x509.ExtendedKeyUsage([use for use, wanted in uses if wanted])
