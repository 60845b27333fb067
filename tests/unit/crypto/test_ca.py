"""The authority: identity from the operator, strict chains, revocation lists that fail closed."""

import base64
import datetime as dt
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509 import verification

from tallystick.crypto import ca
from tallystick.crypto.ca import (
    BACK_END,
    BACKDATE_MS,
    CHANNEL,
    CRL_LIFE_MS,
    DAY_MS,
    PLATFORM,
    PROFILES,
    Authority,
    Profile,
    finished,
    new_root,
    read_revocation_list,
    signed_by_one_of,
)
from tallystick.crypto.x509 import (
    load_certificate,
    load_signing_key,
    make_csr,
    new_private_key,
    read_certificate,
    subject,
    to_datetime,
)
from tallystick.errors import CertificateRevoked, FieldInvalid, Malformed, Misconfigured, SignatureInvalid
from tallystick.runtime import Millis

NOW = Millis(1_780_000_000_000)
SHOP = "tallystick:channel:ch_shop"
BANK = "tallystick:institution:inst_bank"
HOME = "tallystick:platform:home"


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority(*new_root("root", NOW))


@pytest.fixture(scope="module")
def issuing(root: Authority) -> Authority:
    key = new_private_key()
    return Authority(root.issue_authority("issuing", key, NOW), key)


def csr(uri: str = SHOP) -> bytes:
    return make_csr(new_private_key(), uri=uri, common_name="asked")


def csr_of(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey,
) -> bytes:
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(subject("x")).sign(key, digest)
    return request.public_bytes(serialization.Encoding.PEM)


def verify(kind: str, leaf: bytes, root: Authority, issuing: Authority) -> None:
    """Verify as a peer would, with the library's strict web policy."""
    builder = verification.PolicyBuilder().store(verification.Store([root.certificate])).time(to_datetime(NOW))
    chain = [issuing.certificate]
    if kind == "client":
        builder.build_client_verifier().verify(load_certificate(leaf), chain)
    else:
        builder.build_server_verifier(x509.DNSName("gw.example")).verify(load_certificate(leaf), chain)


@pytest.mark.parametrize(
    ("profile", "uri", "dns", "good", "bad"),
    [
        (CHANNEL, SHOP, [], ["client"], ["server"]),
        (PLATFORM, HOME, ["gw.example"], ["client", "server"], []),
        (BACK_END, BANK, ["gw.example"], ["client", "server"], []),
    ],
)
def test_the_chain_of_each_profile_passes_strict_verification_for_its_purposes_only(
    root: Authority, issuing: Authority, profile: Profile, uri: str, dns: list[str], good: list[str], bad: list[str]
) -> None:
    leaf = issuing.issue(csr(uri), profile, uri=uri, dns=dns, now=NOW, life=DAY_MS)
    assert (uri, frozenset(good)) == (read_certificate(leaf).uri, read_certificate(leaf).purposes)
    for kind in good:
        verify(kind, leaf, root, issuing)
    for kind in bad:
        with pytest.raises(verification.VerificationError):
            verify(kind, leaf, root, issuing)


def test_the_identity_comes_from_the_operator_never_from_the_request(issuing: Authority) -> None:
    asked = make_csr(new_private_key(), uri=BANK, dns=["evil.example"], common_name="evil")
    leaf = load_certificate(issuing.issue(asked, CHANNEL, uri=SHOP, now=NOW, life=DAY_MS))
    names = list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    assert [x509.UniformResourceIdentifier(SHOP)] == names
    assert subject("ch_shop") == leaf.subject


def test_a_leaf_lives_as_long_as_asked_and_starts_a_little_early(issuing: Authority) -> None:
    leaf = read_certificate(issuing.issue(csr(), CHANNEL, uri=SHOP, now=NOW, life=DAY_MS))
    assert (leaf.not_before, leaf.not_after) == (NOW - BACKDATE_MS, NOW + DAY_MS)


def test_two_certificates_for_one_request_have_different_serials(issuing: Authority) -> None:
    request = csr()
    serials = {
        read_certificate(issuing.issue(request, CHANNEL, uri=SHOP, now=NOW, life=DAY_MS)).serial for _ in range(2)
    }
    assert len(serials) == 2


def test_a_leaf_cannot_issue_and_an_issuing_authority_cannot_make_another(root: Authority, issuing: Authority) -> None:
    key = new_private_key()
    leaf = issuing.issue(make_csr(key, uri=SHOP, common_name="x"), CHANNEL, uri=SHOP, now=NOW, life=DAY_MS)
    with pytest.raises(Misconfigured):
        Authority(leaf, key)
    third_key = new_private_key()
    third = Authority(issuing.issue_authority("third", third_key, NOW, DAY_MS), third_key)
    below = load_certificate(third.issue(csr(), CHANNEL, uri=SHOP, now=NOW, life=DAY_MS // 2))
    policy = verification.PolicyBuilder().store(verification.Store([root.certificate])).time(to_datetime(NOW))
    with pytest.raises(verification.VerificationError):
        policy.build_client_verifier().verify(below, [third.certificate, issuing.certificate])


def test_each_level_states_how_many_authorities_may_stand_below_it(root: Authority, issuing: Authority) -> None:
    below = [
        level.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        for level in (root, issuing)
    ]
    assert below == [1, 0]


def test_an_authority_refuses_a_key_that_is_not_its_own(root: Authority) -> None:
    with pytest.raises(Misconfigured):
        Authority(root.certificate_pem, new_private_key())


def test_a_request_signed_by_another_key_is_refused(issuing: Authority) -> None:
    der = bytearray(x509.load_pem_x509_csr(csr()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(SignatureInvalid):
        issuing.issue(forged, CHANNEL, uri=SHOP, now=NOW, life=DAY_MS)


@pytest.mark.parametrize("junk", [b"", b"-----BEGIN CERTIFICATE REQUEST-----\n", bytes(20_000)])
def test_bytes_that_are_no_request_are_malformed(issuing: Authority, junk: bytes) -> None:
    with pytest.raises(Malformed):
        issuing.issue(junk, CHANNEL, uri=SHOP, now=NOW, life=DAY_MS)


def damaged(signed: bytes, content: bytes, label: str) -> Iterator[bytes]:
    """Change each byte of the DER `signed` from its start to the end of the signed `content`; yield it as PEM."""
    for place in range(signed.index(content) + len(content)):
        for change in (1, 0x80, 0xFF):
            der = bytearray(signed)
            der[place] ^= change
            body = base64.encodebytes(bytes(der)).decode()
            yield f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def test_no_byte_of_a_request_can_be_changed_and_only_our_own_errors_are_raised(issuing: Authority) -> None:
    request = x509.load_pem_x509_csr(csr())
    der = request.public_bytes(serialization.Encoding.DER)
    for pem in damaged(der, request.tbs_certrequest_bytes, "CERTIFICATE REQUEST"):
        with pytest.raises((Malformed, SignatureInvalid)):
            issuing.issue(pem, CHANNEL, uri=SHOP, now=NOW, life=DAY_MS)


def test_no_byte_of_a_revocation_list_can_be_changed_and_only_our_own_errors_are_raised(issuing: Authority) -> None:
    crl = x509.load_pem_x509_crl(issuing.revocation_list({"abc": NOW}, number=1, now=NOW))
    for pem in damaged(crl.public_bytes(serialization.Encoding.DER), crl.tbs_certlist_bytes, "X509 CRL"):
        with pytest.raises(CertificateRevoked):
            read_revocation_list(pem, issuing.certificate_pem, NOW)


WEAK = [
    ec.generate_private_key(ec.SECP224R1()),
    ec.generate_private_key(ec.SECP256K1()),
    ec.generate_private_key(ec.SECP521R1()),
    rsa.generate_private_key(65537, 1024),  # noqa: S505  # weak on purpose
]
STRONG = [
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    ed25519.Ed25519PrivateKey.generate(),
    rsa.generate_private_key(65537, 2048),
]


@pytest.mark.parametrize("key", WEAK, ids=["P-224", "secp256k1", "P-521", "RSA-1024"])
def test_a_weak_or_unusual_key_is_refused(issuing: Authority, key: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(FieldInvalid) as refusal:
        issuing.issue(csr_of(key), CHANNEL, uri=SHOP, now=NOW, life=DAY_MS)
    assert refusal.value.field == "csr"


@pytest.mark.parametrize("key", STRONG, ids=["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_a_strong_key_is_accepted(issuing: Authority, key: ec.EllipticCurvePrivateKey) -> None:
    leaf = issuing.issue(csr_of(key), CHANNEL, uri=SHOP, now=NOW, life=DAY_MS)
    assert key.public_key() == load_certificate(leaf).public_key()


@pytest.mark.parametrize(
    ("profile", "uri", "dns", "life", "field"),
    [
        (CHANNEL, BANK, [], DAY_MS, "uri"),
        (BACK_END, SHOP, [], DAY_MS, "uri"),
        (CHANNEL, "tallystick:channel:", [], DAY_MS, "uri"),
        (CHANNEL, "ch_shop", [], DAY_MS, "uri"),
        (CHANNEL, SHOP, ["gw.example"], DAY_MS, "dns"),
        (PLATFORM, HOME, ["*.example"], DAY_MS, "dns"),
        (CHANNEL, SHOP, [], CHANNEL.life_max + 1, "life"),
        (CHANNEL, SHOP, [], 0, "life"),
    ],
)
def test_a_certificate_outside_its_profile_is_refused(
    issuing: Authority, profile: Profile, uri: str, dns: list[str], life: int, field: str
) -> None:
    with pytest.raises(FieldInvalid) as refusal:
        issuing.issue(csr(), profile, uri=uri, dns=dns, now=NOW, life=life)
    assert field == refusal.value.field


def test_no_certificate_outlives_its_authority(root: Authority) -> None:
    key = new_private_key()
    brief = Authority(root.issue_authority("brief", key, NOW, DAY_MS), key)
    with pytest.raises(Misconfigured):
        brief.issue(csr(), CHANNEL, uri=SHOP, now=NOW, life=2 * DAY_MS)


def test_profiles_are_found_by_the_name_they_carry() -> None:
    assert {"channel", "platform", "back_end"} == set(PROFILES)
    assert all(name == profile.name for name, profile in PROFILES.items())


def test_a_revocation_list_gives_back_its_serials_number_and_end(issuing: Authority) -> None:
    pem = issuing.revocation_list({"abc": NOW, "1": NOW}, number=7, now=NOW)
    found = read_revocation_list(pem, issuing.certificate_pem, NOW)
    assert (frozenset({"abc", "1"}), 7, NOW + CRL_LIFE_MS) == (found.serials, found.number, found.next_update)


@pytest.mark.parametrize("entries", [0, 7, 8])
def test_a_long_list_is_read_in_steps_and_none_of_its_entries_is_lost(
    issuing: Authority, root: Authority, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ca, "ENTRIES_OF_STEP", 4)
    pem = issuing.revocation_list({f"{n + 1:x}": NOW for n in range(entries)}, number=7, now=NOW)
    issuers = {"root": root.certificate_pem, "own": issuing.certificate_pem}
    name, found, kept = finished(signed_by_one_of(pem, issuers, NOW))
    assert ("own", pem, entries) == (name, kept, len(found.serials))
    assert sum(1 for _ in signed_by_one_of(pem, issuers, NOW)) > entries / 4


def test_a_revocation_list_of_another_authority_is_refused_even_under_the_same_name(
    root: Authority, issuing: Authority
) -> None:
    key = new_private_key()
    twin = Authority(root.issue_authority("issuing", key, NOW), key)
    for other in (twin, root):
        with pytest.raises(CertificateRevoked, match="not signed"):
            read_revocation_list(other.revocation_list({}, number=1, now=NOW), issuing.certificate_pem, NOW)


@pytest.mark.parametrize("moment", [NOW + CRL_LIFE_MS, NOW - BACKDATE_MS - 1])
def test_a_revocation_list_counts_only_in_its_time(issuing: Authority, moment: int) -> None:
    pem = issuing.revocation_list({}, number=1, now=NOW)
    with pytest.raises(CertificateRevoked):
        read_revocation_list(pem, issuing.certificate_pem, Millis(moment))


def test_a_list_that_cannot_be_read_or_has_no_number_counts_as_a_revocation(issuing: Authority) -> None:
    with pytest.raises(CertificateRevoked):
        read_revocation_list(b"junk", issuing.certificate_pem, NOW)
    with pytest.raises(CertificateRevoked):
        read_revocation_list(home_made(), *authority_of_home_made())


def test_a_partial_list_is_refused() -> None:
    scope = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=True,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    with pytest.raises(CertificateRevoked, match="full"):
        read_revocation_list(home_made(x509.CRLNumber(1), scope), *authority_of_home_made())


HOME_KEY = new_private_key()
HOME_ROOT = Authority(*new_root("home", NOW))
HOME_MADE = HOME_ROOT.issue_authority("home made", HOME_KEY, NOW)


def authority_of_home_made() -> tuple[bytes, Millis]:
    return HOME_MADE, NOW


def home_made(*extensions: x509.ExtensionType) -> bytes:
    """Sign a list with the given extensions; a critical one is what our own authority never makes."""
    start = to_datetime(NOW) - dt.timedelta(minutes=1)
    crl = x509.CertificateRevocationListBuilder().issuer_name(load_certificate(HOME_MADE).subject)
    crl = crl.last_update(start).next_update(start + dt.timedelta(days=1))
    for extension in extensions:
        crl = crl.add_extension(extension, critical=isinstance(extension, x509.IssuingDistributionPoint))
    return crl.sign(load_signing_key(HOME_KEY), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
