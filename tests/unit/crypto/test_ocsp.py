"""OCSP answers, read and verified by the library's own parser."""

import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from tallystick.crypto.ca import DAY_MS, Authority, new_root
from tallystick.crypto.ocsp import NONCE_OCTETS_MAX, REQUEST_MAX, Responder, Standing
from tallystick.crypto.x509 import load_certificate, new_private_key, to_datetime
from tallystick.runtime import Millis

NOW = Millis(1_800_000_000_000)
SERIAL = 0x3F9A
KEY = new_private_key()
ROOT, ROOT_KEY = new_root("test root", NOW)
ISSUER = load_certificate(ROOT)
RESPONDER = Authority(ROOT, ROOT_KEY).issue_responder(KEY, now=NOW, life=DAY_MS)


def request(serial: int = SERIAL, nonce: bytes | None = None, issuer: x509.Certificate = ISSUER) -> bytes:
    own = ocsp.OCSPRequestBuilder().add_certificate(issuer, issuer, hashes.SHA256()).build()
    asked = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        own.issuer_name_hash, own.issuer_key_hash, serial, hashes.SHA256()
    )
    if nonce is not None:
        asked = asked.add_extension(x509.OCSPNonce(nonce), critical=False)
    return asked.build().public_bytes(serialization.Encoding.DER)


def answer(der: bytes, standing: Standing = "good") -> ocsp.OCSPResponse:
    found = {f"{SERIAL:x}": standing}
    made = Responder(ROOT, RESPONDER, KEY).answer(der, lambda serial: found.get(serial, "unknown"), NOW)
    return ocsp.load_der_ocsp_response(made)


@pytest.mark.parametrize(
    ("serial", "standing", "status"),
    [
        (SERIAL, "good", ocsp.OCSPCertStatus.GOOD),
        (SERIAL, Millis(NOW - 5_000), ocsp.OCSPCertStatus.REVOKED),
        (SERIAL + 1, "good", ocsp.OCSPCertStatus.UNKNOWN),
    ],
)
def test_an_answer_says_what_is_known_and_never_calls_good_what_is_not(
    serial: int, standing: Standing, status: ocsp.OCSPCertStatus
) -> None:
    read = answer(request(serial), standing)
    assert status is read.certificate_status
    assert serial == read.serial_number
    revoked = to_datetime(standing) if isinstance(standing, int) else None
    assert revoked == read.revocation_time_utc
    assert read.next_update_utc is not None
    assert read.next_update_utc <= to_datetime(Millis(NOW + DAY_MS))


def test_an_answer_is_signed_by_a_responder_whom_the_authority_delegated() -> None:
    read = answer(request())
    (delegate,) = read.certificates
    delegate.verify_directly_issued_by(ISSUER)
    usage = delegate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [x509.ExtendedKeyUsageOID.OCSP_SIGNING] == list(usage)
    assert delegate.extensions.get_extension_for_class(x509.OCSPNoCheck)
    key, algorithm = delegate.public_key(), read.signature_hash_algorithm
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert algorithm is not None
    key.verify(read.signature, read.tbs_response_bytes, ec.ECDSA(algorithm))


def test_a_nonce_is_echoed_and_none_is_made_up() -> None:
    nonce = os.urandom(32)
    assert nonce == answer(request(nonce=nonce)).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    assert 0 == len(answer(request()).extensions)


@pytest.mark.parametrize(
    "der", [b"", b"\x30\x03\x02\x01\x01", bytes(REQUEST_MAX + 1), request(nonce=bytes(NONCE_OCTETS_MAX + 1))]
)
def test_what_is_no_bounded_request_is_answered_malformed(der: bytes) -> None:
    assert ocsp.OCSPResponseStatus.MALFORMED_REQUEST is answer(der).response_status


def test_a_request_about_another_authority_is_answered_unauthorized() -> None:
    other, _ = new_root("test root", NOW)
    read = answer(request(issuer=load_certificate(other)))
    assert ocsp.OCSPResponseStatus.UNAUTHORIZED is read.response_status


def test_an_authority_below_a_root_knows_the_requests_about_its_own_certificates() -> None:
    issuing_key = new_private_key()
    issuing = Authority(ROOT, ROOT_KEY).issue_authority("test issuing", issuing_key, NOW)
    own = Authority(issuing, issuing_key)
    leaf_key = new_private_key()
    responder = own.issue_responder(leaf_key, now=NOW, life=DAY_MS)
    leaf, issuer = load_certificate(responder), load_certificate(issuing)
    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1()).build()  # noqa: S303 - what peers send
    der = asked.public_bytes(serialization.Encoding.DER)
    made = Responder(issuing, responder, leaf_key).answer(der, lambda _: "good", NOW)
    assert ocsp.OCSPCertStatus.GOOD is ocsp.load_der_ocsp_response(made).certificate_status
