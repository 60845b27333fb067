"""Signing keys."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tallystick import errors
from tallystick.crypto import signing

SECRET = bytes(range(32))
DATA = b"signature base"


def pairs() -> list[tuple[signing.Signer, signing.Verifier]]:
    mac, edwards, ecdsa = signing.HmacKey(SECRET), signing.Ed25519Private(), signing.EcdsaPrivate()
    return [(mac, mac), (edwards, edwards.public()), (ecdsa, ecdsa.public())]


@pytest.mark.parametrize(("signer", "verifier"), pairs(), ids=lambda key: type(key).__name__)
class TestEveryAlgorithm:
    def test_a_signature_verifies(self, signer: signing.Signer, verifier: signing.Verifier) -> None:
        verifier.verify(DATA, signer.sign(DATA))

    def test_both_halves_name_the_same_algorithm(self, signer: signing.Signer, verifier: signing.Verifier) -> None:
        assert signer.algorithm is verifier.algorithm

    def test_other_data_is_refused(self, signer: signing.Signer, verifier: signing.Verifier) -> None:
        with pytest.raises(errors.SignatureInvalid):
            verifier.verify(DATA + b"x", signer.sign(DATA))

    def test_no_altered_signature_is_taken(self, signer: signing.Signer, verifier: signing.Verifier) -> None:
        signature = signer.sign(DATA)
        altered = [signature[:i] + bytes([signature[i] ^ 1]) + signature[i + 1 :] for i in range(len(signature))]
        for bad in [b"", signature[:-1], signature + b"x", bytes(len(signature)), *altered]:
            with pytest.raises(errors.SignatureInvalid):
                verifier.verify(DATA, bad)


@pytest.mark.parametrize("size", [0, 31])
def test_a_short_mac_key_is_refused(size: int) -> None:
    with pytest.raises(errors.Misconfigured):
        signing.HmacKey(bytes(size))


@pytest.mark.parametrize("key", [signing.Ed25519Private(), signing.EcdsaPrivate()], ids=lambda key: type(key).__name__)
def test_a_key_survives_its_pem(key: signing.Ed25519Private | signing.EcdsaPrivate) -> None:
    restored = signing.load_private(key.pem())
    assert type(key) is type(restored)
    assert key.pem() == restored.pem()
    public = signing.load_public(key.public().pem())
    public.verify(DATA, restored.sign(DATA))
    assert key.public().pem() == public.pem()


def test_a_key_that_is_loaded_has_the_algorithm_of_its_type() -> None:
    assert "ed25519" == signing.load_public(signing.Ed25519Private().public().pem()).algorithm
    assert "ecdsa-p256-sha256" == signing.load_public(signing.EcdsaPrivate().public().pem()).algorithm


FOREIGN = [
    ec.generate_private_key(ec.SECP384R1()),
    rsa.generate_private_key(65537, 2048),
    x25519.X25519PrivateKey.generate(),
]


@pytest.mark.parametrize("key", FOREIGN, ids=lambda key: type(key).__name__)
def test_keys_of_other_types_are_refused(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | x25519.X25519PrivateKey,
) -> None:
    with pytest.raises(errors.FieldInvalid):
        signing.load_public(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(errors.Misconfigured):
        signing.load_private(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


CUT_SHORT = signing.Ed25519Private().public().pem()[:-40]


@pytest.mark.parametrize("pem", [b"", b"no pem", CUT_SHORT], ids=["empty", "no pem", "cut short"])
def test_what_is_no_pem_key_is_refused(pem: bytes) -> None:
    with pytest.raises(errors.FieldInvalid):
        signing.load_public(pem)
    with pytest.raises(errors.Misconfigured):
        signing.load_private(pem)


def test_an_encrypted_private_key_is_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(errors.Misconfigured):
        signing.load_private(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))


def test_during_a_rotation_either_mac_key_counts_and_the_answer_is_under_the_one_used() -> None:
    new, earlier, other = (signing.HmacKey(bytes(31) + number) for number in (b"1", b"2", b"3"))
    both = signing.HmacOverlap(new, earlier)
    assert new.sign(b"answer") == both.sign(b"answer")
    mine, yours = both.for_one_request(), both.for_one_request()
    mine.verify(b"request", earlier.sign(b"request"))
    yours.verify(b"request", new.sign(b"request"))
    assert (earlier.sign(b"answer"), new.sign(b"answer")) == (mine.sign(b"answer"), yours.sign(b"answer"))
    with pytest.raises(errors.SignatureInvalid):
        both.for_one_request().verify(b"request", other.sign(b"request"))
