"""Certificates as the platform sees them: a key, a request, and the one identity a peer's certificate carries.

The identity is a SAN URI (RFC 5280 section 4.2.1.6): `tallystick:channel:<id>`, `tallystick:institution:<id>` or
`tallystick:platform:<name>` (patent claim 33). Subject names are for people; nothing is ever decided by them.
"""

import datetime as dt
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tallystick.errors import CertificateWrongPurpose, FieldInvalid, Malformed, Misconfigured
from tallystick.runtime import Millis

CERTIFICATE_MAX: Final = 16 * 1024  # bytes; ours are about 700, an RSA-4096 one about 2,500
COMMON_NAME_MAX: Final = 64  # characters, RFC 5280 ub-common-name
SCHEME: Final = "tallystick:"
IDENTITY_URI: Final = re.compile(r"tallystick:(channel|institution|platform):[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)

Purpose = Literal["client", "server"]
PURPOSES: Final[dict[x509.ObjectIdentifier, Purpose]] = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "client",
    ExtendedKeyUsageOID.SERVER_AUTH: "server",
}

Extension = TypeVar("Extension", bound=x509.ExtensionType)
SigningKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What one certificate says about its holder.

    `serial` and `fingerprint` (SHA-256 of the DER) are lower-case hexadecimal without a prefix. `uri` is the single
    `tallystick:` SAN URI, or None when the certificate names none. `purposes` is empty when the certificate has no
    extended key usage: such a certificate was not issued for anything here. `hosts` are the DNS names and IP addresses
    it answers for. `encoded` is the DER. `anchor` is the outside authority that vouched for it (`channels.trust`).
    """

    serial: str
    fingerprint: str
    uri: str | None
    purposes: frozenset[Purpose]
    not_before: Millis
    not_after: Millis
    hosts: tuple[str, ...] = ()
    encoded: bytes = field(default=b"", repr=False)
    anchor: str | None = None


def new_private_key() -> bytes:
    """Make an EC P-256 private key: PKCS #8 PEM, unencrypted; the caller stores it with mode 0600."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_csr(key_pem: bytes, *, uri: str | None = None, dns: Sequence[str] = (), common_name: str) -> bytes:
    """Make a certificate request (PKCS #10, RFC 2986) as PEM, signed by `key_pem`.

    The names in it are a wish: an issuer takes the identity from its operator, so a request without `uri` names nobody
    and serves as well. `dns` holds host names or IP addresses. Raises Misconfigured for an unusable key, FieldInvalid
    for a name that no certificate of ours may carry.
    """
    key = load_signing_key(key_pem)
    request = x509.CertificateSigningRequestBuilder().subject_name(subject(common_name))
    if uri is not None:
        request = request.add_extension(alternative_names(uri, dns), critical=False)
    return request.sign(key, digest_for(key)).public_bytes(serialization.Encoding.PEM)


def read_certificate(der_or_pem: bytes) -> PeerCertificate:
    """Read the identity of a certificate. It proves nothing: the chain was verified by TLS, or must be by the caller.

    1. The bytes are one certificate of bounded size, else Malformed.
    2. At most one SAN URI has our scheme and it is well formed, else CertificateWrongPurpose: a certificate that could
       speak for two channels would let one holder supply both parts (invariant I4).

    Left to the caller: validity in time, revocation (`RevocationList.check`), and whether this identity may do this.
    """
    # 1.
    certificate = load_certificate(der_or_pem)
    try:
        names = _extension(certificate, x509.SubjectAlternativeName)
        usage = _extension(certificate, x509.ExtendedKeyUsage)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as broken:
        raise Malformed("the certificate's extensions cannot be read") from broken
    # 2.
    uri = _single_identity(names.get_values_for_type(x509.UniformResourceIdentifier) if names else ())
    return PeerCertificate(
        serial=f"{certificate.serial_number:x}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        uri=uri,
        purposes=frozenset(PURPOSES[use] for use in usage or () if use in PURPOSES),
        not_before=to_millis(certificate.not_valid_before_utc),
        not_after=to_millis(certificate.not_valid_after_utc),
        hosts=_hosts(names),
        encoded=certificate.public_bytes(serialization.Encoding.DER),
    )


def belongs(chain_pem: bytes, key_pem: bytes) -> bool:
    """Tell whether the leaf of a chain is for a private key; raises Malformed and Misconfigured for unreadable ones."""
    return load_signing_key(key_pem).public_key() == load_certificate(chain_pem).public_key()


def key_digest(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate's public key (SPKI) in hexadecimal; `ca.check_request` tells a request's."""
    return spki_digest(load_certificate(certificate).public_key())


def spki_digest(key: CertificatePublicKeyTypes) -> str:
    """Return the SHA-256 of a public key (SPKI) in hexadecimal."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def load_certificate(der_or_pem: bytes) -> x509.Certificate:
    """Parse one certificate, DER or PEM (the first of a chain); Malformed when it is none or over CERTIFICATE_MAX.

    A serial is positive (RFC 5280 section 4.1.2.2): the library only warns, and no revocation list could name it.
    """
    pem = der_or_pem.lstrip().startswith(b"-----BEGIN")
    if not pem and len(der_or_pem) > CERTIFICATE_MAX:
        raise Malformed("the certificate is longer than any that is used here")
    try:
        certificate = x509.load_pem_x509_certificate(der_or_pem) if pem else x509.load_der_x509_certificate(der_or_pem)
    except (ValueError, x509.InvalidVersion) as broken:
        raise Malformed("the bytes are no X.509 certificate") from broken
    if certificate.serial_number <= 0:
        raise Malformed("the certificate's serial number is not positive")
    return certificate


def load_signing_key(key_pem: bytes) -> SigningKey:
    """Parse an unencrypted private key that can sign certificates; Misconfigured when it is none."""
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as broken:
        raise Misconfigured("the private key is not an unencrypted PEM key") from broken
    if not isinstance(key, SigningKey):
        raise Misconfigured("the private key is neither EC, Ed25519 nor RSA")
    return key


def digest_for(key: SigningKey) -> hashes.SHA256 | None:
    """Name the digest to sign with; Ed25519 has its own (RFC 8410)."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def subject(common_name: str) -> x509.Name:
    """Make a subject of one common name; FieldInvalid when it does not fit."""
    if not 1 <= len(common_name) <= COMMON_NAME_MAX:
        raise FieldInvalid(f"the common name has 1 to {COMMON_NAME_MAX} characters", field="common_name")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def alternative_names(uri: str, dns: Sequence[str]) -> x509.SubjectAlternativeName:
    """Make the SAN of one identity and the hosts it answers for; FieldInvalid names the wrong one."""
    if not IDENTITY_URI.fullmatch(uri):
        raise FieldInvalid("the identity is not tallystick:<channel|institution|platform>:<id>", field="uri")
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), *map(_host, dns)])


def to_millis(moment: dt.datetime) -> Millis:
    """Convert an aware date and time."""
    return Millis(int(moment.timestamp()) * 1000)


def to_datetime(moment: Millis) -> dt.datetime:
    """Convert to UTC, cut to the whole second: certificates know no smaller unit."""
    return dt.datetime.fromtimestamp(moment // 1000, dt.UTC)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not HOST_NAME.fullmatch(name):
        raise FieldInvalid("a host is a lower-case DNS name without wildcard, or an IP address", field="dns")
    return x509.DNSName(name)


def _hosts(names: x509.SubjectAlternativeName | None) -> tuple[str, ...]:
    if names is None:
        return ()
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _single_identity(uris: Iterable[str]) -> str | None:
    ours = [uri for uri in uris if uri.lower().startswith(SCHEME)]
    if not ours:
        return None
    if len(ours) > 1:
        raise CertificateWrongPurpose("the certificate carries more than one tallystick identity")
    if not IDENTITY_URI.fullmatch(ours[0]):
        raise CertificateWrongPurpose("the certificate's tallystick identity is malformed")
    return ours[0]


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
