"""An outside authority that makes any certificate a test asks for, good or bad."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tallystick.crypto.x509 import PeerCertificate, read_certificate, to_datetime
from tallystick.runtime import Millis

NOW = Millis(1_800_000_000_000)
DAY = dt.timedelta(days=1)
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
SHOP = "tallystick:channel:ch_shop"
OTHER = "tallystick:channel:ch_other"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(text: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bank")
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Outside:
    """One authority: `below` makes another one under it."""

    certificate: x509.Certificate
    key: Key
    above: "Outside | None" = None
    revoked: dict[int, dt.datetime] = field(default_factory=dict)
    number: int = 0

    @classmethod
    def root(cls, text: str = "Bank root", now: Millis = NOW) -> Self:
        key = new_key()
        return cls(_authority(text, key, name(text), key, now, 1, None), key)

    def below(
        self, text: str = "Bank issuing", now: Millis = NOW, constraints: x509.NameConstraints | None = None
    ) -> "Outside":
        key = new_key()
        made = _authority(text, key, self.certificate.subject, self.key, now, 0, constraints)
        return Outside(made, key, self)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def bundle(self) -> bytes:
        return self.pem + (self.above.bundle if self.above else b"")

    def leaf(
        self,
        *uris: str,
        text: str = "shop",
        uses: Sequence[x509.ObjectIdentifier] | None = CLIENT,
        start: dt.timedelta = -DAY,
        end: dt.timedelta = DAY,
        key: Key | None = None,
        now: Millis = NOW,
        dns: str | None = None,
    ) -> x509.Certificate:
        """Issue a leaf with these `tallystick:` URIs; none for an authority that knows nothing of us."""
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names += [x509.DNSName(dns)] if dns else []
        made = _start(text, (key or new_key()).public_key(), self.certificate.subject, now, start, end)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        made = made.add_extension(_usage(ca=False), critical=True)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if uses is not None:
            made = made.add_extension(x509.ExtendedKeyUsage(list(uses)), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return made.add_extension(identifier, critical=False).sign(self.key, hashes.SHA256())

    def peer(self, *uris: str, **how: object) -> PeerCertificate:
        return peer_of(self.leaf(*uris, **how))  # type: ignore[arg-type]

    def crl(self, now: Millis = NOW, life: dt.timedelta = DAY) -> bytes:
        """Sign the list of what was revoked, as DER."""
        self.number += 1
        at = to_datetime(now)
        made = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        made = made.last_update(at - dt.timedelta(minutes=5)).next_update(at + life)
        made = made.add_extension(x509.CRLNumber(self.number), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        made = made.add_extension(identifier, critical=False)
        for serial, since in self.revoked.items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            made = made.add_revoked_certificate(entry.build())
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def revoke(self, certificate: x509.Certificate, now: Millis = NOW) -> None:
        self.revoked[certificate.serial_number] = to_datetime(now)


def peer_of(certificate: x509.Certificate) -> PeerCertificate:
    return read_certificate(certificate.public_bytes(serialization.Encoding.DER))


def _authority(
    text: str,
    key: Key,
    issuer: x509.Name,
    signer: Key,
    now: Millis,
    length: int,
    constraints: x509.NameConstraints | None,
) -> x509.Certificate:
    made = _start(text, key.public_key(), issuer, now, -30 * DAY, 300 * DAY)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
    made = made.add_extension(_usage(ca=True), critical=True)
    if constraints is not None:
        made = made.add_extension(constraints, critical=True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return made.add_extension(identifier, critical=False).sign(signer, hashes.SHA256())


def _start(
    text: str,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issuer: x509.Name,
    now: Millis,
    start: dt.timedelta,
    end: dt.timedelta,
) -> x509.CertificateBuilder:
    made = x509.CertificateBuilder().subject_name(name(text)).issuer_name(issuer).public_key(key)
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(to_datetime(now) + start).not_valid_after(to_datetime(now) + end)
    return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
