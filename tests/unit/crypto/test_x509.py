"""Certificates: one identity, read once, from the SAN URI alone."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto.x509 import (
    CERTIFICATE_MAX,
    load_signing_key,
    make_csr,
    new_private_key,
    read_certificate,
    subject,
    to_datetime,
    to_millis,
)
from tallystick.errors import CertificateWrongPurpose, FieldInvalid, Malformed, Misconfigured
from tallystick.runtime import Millis

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
SHOP = "tallystick:channel:ch_shop"
PEM = serialization.Encoding.PEM


def certificate(names: list[x509.GeneralName], usage: list[x509.ObjectIdentifier], common_name: str = "x") -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(subject(common_name)).issuer_name(subject("issuer"))
    builder = builder.public_key(key.public_key()).serial_number(0xABC).not_valid_before(START).not_valid_after(END)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


def uri(value: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(value)


def test_a_certificate_gives_its_identity_purposes_serial_fingerprint_and_times() -> None:
    pem = certificate([uri("https://shop.example"), uri(SHOP)], [ExtendedKeyUsageOID.CLIENT_AUTH])
    parsed = x509.load_pem_x509_certificate(pem)
    peer = read_certificate(pem)
    assert (SHOP, frozenset({"client"}), "abc") == (peer.uri, peer.purposes, peer.serial)
    assert parsed.fingerprint(hashes.SHA256()).hex() == peer.fingerprint
    assert (peer.not_before, peer.not_after) == (1_767_225_600_000, 1_767_312_000_000)


def test_der_and_pem_read_the_same() -> None:
    pem = certificate([uri(SHOP)], [ExtendedKeyUsageOID.SERVER_AUTH])
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    assert read_certificate(pem) == read_certificate(der)


def test_a_certificate_without_san_or_usage_has_no_identity_and_no_purpose_whatever_its_subject_says() -> None:
    peer = read_certificate(certificate([], [], common_name=SHOP))
    assert (None, frozenset()) == (peer.uri, peer.purposes)


def test_any_extended_key_usage_is_not_taken_for_ours() -> None:
    assert frozenset() == read_certificate(certificate([], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])).purposes


@pytest.mark.parametrize(
    "names",
    [
        [SHOP, "tallystick:channel:ch_other"],
        [SHOP, SHOP],
        [SHOP, "TALLYSTICK:channel:ch_other"],
        ["tallystick:channel:"],
        ["tallystick:operator:root"],
        ["tallystick:channel:a/b"],
        ["tallystick:channel:a\n"],
        ["tallystick:channel:" + "a" * 65],
        ["Tallystick:channel:ch_shop"],
    ],
)
def test_more_than_one_identity_or_a_malformed_one_is_refused(names: list[str]) -> None:
    pem = certificate([uri(name) for name in names], [ExtendedKeyUsageOID.CLIENT_AUTH])
    with pytest.raises(CertificateWrongPurpose):
        read_certificate(pem)


@pytest.mark.parametrize(
    "junk",
    [b"", b"\x30", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", bytes(CERTIFICATE_MAX + 1)],
)
def test_bytes_that_are_no_certificate_are_malformed(junk: bytes) -> None:
    with pytest.raises(Malformed):
        read_certificate(junk)


FLIPPED = x509.load_pem_x509_certificate(certificate([uri(SHOP)], [ExtendedKeyUsageOID.CLIENT_AUTH])).public_bytes(
    serialization.Encoding.DER
)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # the library warns, we refuse
def test_a_certificate_with_any_one_byte_damaged_raises_only_our_own_errors() -> None:
    refused = 0
    for place in range(len(FLIPPED)):
        for change in (1, 2, 4, 0x80, 0xFF):
            damaged = bytearray(FLIPPED)
            damaged[place] ^= change
            try:
                read_certificate(bytes(damaged))
            except (Malformed, CertificateWrongPurpose):
                refused += 1
    assert refused > len(FLIPPED)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("serial", [b"\x8a\xbc", b"\x00\x00"], ids=["negative", "zero"])
def test_a_serial_that_no_revocation_list_could_name_is_refused(serial: bytes) -> None:
    with pytest.raises(Malformed, match=r"serial|no X\.509"):
        read_certificate(FLIPPED.replace(b"\x02\x02\x0a\xbc", b"\x02\x02" + serial, 1))


def test_a_request_carries_the_names_it_was_asked_for_and_is_signed() -> None:
    request = x509.load_pem_x509_csr(
        make_csr(new_private_key(), uri=SHOP, dns=["gw.example", "127.0.0.1"], common_name="shop")
    )
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [SHOP]
    assert names.get_values_for_type(x509.DNSName) == ["gw.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert request.is_signature_valid


@pytest.mark.parametrize("host", ["*.example", "Shop.example", "-a.example", "a..b", "", "a b", "ümlaut.example"])
def test_a_request_for_a_wildcard_or_a_malformed_host_is_refused(host: str) -> None:
    with pytest.raises(FieldInvalid) as refusal:
        make_csr(new_private_key(), uri=SHOP, dns=[host], common_name="shop")
    assert refusal.value.field == "dns"


@pytest.mark.parametrize("name", ["", "a" * 65])
def test_a_common_name_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(FieldInvalid):
        make_csr(new_private_key(), uri=SHOP, common_name=name)


def test_a_new_private_key_is_p256_and_each_is_another() -> None:
    key = load_signing_key(new_private_key())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert new_private_key() != new_private_key()


def test_an_ed25519_key_signs_a_request() -> None:
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert x509.load_pem_x509_csr(make_csr(pem, uri=SHOP, common_name="shop")).is_signature_valid


def test_a_key_that_is_encrypted_broken_or_cannot_sign_is_a_misconfiguration() -> None:
    fmt = serialization.PrivateFormat.PKCS8
    encrypted = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        PEM, fmt, serialization.BestAvailableEncryption(b"x")
    )
    agreement = x25519.X25519PrivateKey.generate().private_bytes(PEM, fmt, serialization.NoEncryption())
    for pem in (encrypted, agreement, b"no key"):
        with pytest.raises(Misconfigured):
            load_signing_key(pem)


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_survives_as_a_date_to_the_whole_second(moment: int) -> None:
    assert moment // 1000 * 1000 == to_millis(to_datetime(Millis(moment)))
