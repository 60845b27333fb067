"""RSA keys of account systems, and the messages they sign."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tallystick import limits
from tallystick.crypto.rsa_sign import (
    BITS_MAX,
    BITS_MIN,
    RsaPrivate,
    load_rsa_private,
    load_rsa_public,
    sign_message,
    verify_message,
)
from tallystick.errors import FieldInvalid, Misconfigured, SignatureInvalid
from tallystick.runtime import Millis

KEY, OTHER = RsaPrivate(), RsaPrivate()
NOW = Millis(1_800_000_000_000)
BODY = b'{"paymentRequestId":"req_1"}'
KNOWN: dict[str, Any] = {"method": "POST", "path": "/v1/payments/pay", "client_id": "CLIENT_1"}


def signed(key: RsaPrivate = KEY, version: int = 7, **changes: Any) -> dict[str, str]:
    told = {**KNOWN, "time_header": "request-time", "at": NOW, "body": BODY, **changes}
    return sign_message(key, version, **told)


def verify(headers: dict[str, str], **changes: Any) -> None:
    told = {**KNOWN, "time_header": "request-time", "headers": headers, "body": BODY, "now": NOW, **changes}
    verify_message({7: KEY.public(), 8: OTHER.public()}, **told)


def pem(private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_message_verifies_under_each_key_version_that_is_held() -> None:
    verify(signed())
    verify(signed(OTHER, 8))


def test_keys_come_back_from_their_pem() -> None:
    private, public = load_rsa_private(KEY.pem()), load_rsa_public(KEY.public().pem())
    public.verify(b"data", private.sign(b"data"))


@pytest.mark.parametrize("late", [-limits.FRESHNESS_MS, limits.FRESHNESS_MS])
def test_a_message_is_fresh_up_to_the_bound_and_no_longer(late: int) -> None:
    verify(signed(), now=Millis(NOW + late))
    with pytest.raises(SignatureInvalid):
        verify(signed(), now=Millis(NOW + late + (1 if late > 0 else -1)))


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "GET"},
        {"path": "/v1/payments/pay?x"},
        {"path": "/v1/payments/cancel"},
        {"body": BODY + b" "},
        {"client_id": "CLIENT_2"},
        {"time_header": "response-time"},
    ],
    ids=str,
)
def test_what_was_signed_for_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SignatureInvalid):
        verify(signed(), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": ""},
        {"signature": "algorithm=RSA256,keyVersion=7,signature="},
        {"signature": "algorithm=RSA256,keyVersion=7,signature=%%%"},
        {"signature": "algorithm=RSA256,keyVersion=7,signature=AAAA"},
        {"signature": "algorithm=RSA256,keyVersion=07,signature=AAAA"},
        {"signature": "keyVersion=7,signature=AAAA"},
        {"client-id": "CLIENT_2"},
        {"client-id": ""},
        {"request-time": ""},
        {"request-time": str(NOW + 1)},
        {"request-time": f"+{NOW}"},
        {"request-time": "१८०००००००००००"},
        {"request-time": "9" * 400},
    ],
    ids=str,
)
def test_a_changed_header_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        verify({**signed(), **changes})


def test_no_message_chooses_its_algorithm_or_a_key_that_is_not_held() -> None:
    good = signed()["signature"]
    for changed in (good.replace("RSA256", "none"), good.replace("keyVersion=7", "keyVersion=9"), good.lower()):
        with pytest.raises(SignatureInvalid):
            verify({**signed(), "signature": changed})


def test_a_signature_by_the_wrong_version_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        verify(signed(OTHER, 7))


def test_a_signature_longer_than_any_header_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(SignatureInvalid):
        verify({**signed(), "signature": signed()["signature"] + "%3D" * limits.HEADER_MAX})


def test_every_refusal_has_the_same_text() -> None:
    texts = set()
    for headers in ({}, {**signed(), "request-time": "1"}, {**signed(), "signature": "x"}, signed(OTHER, 7)):
        with pytest.raises(SignatureInvalid) as refusal:
            verify(headers)
        texts.add(refusal.value.detail)
    assert 1 == len(texts)


def test_keys_outside_of_the_bounds_are_refused() -> None:
    short = rsa.generate_private_key(65_537, BITS_MIN - 1024)
    odd = rsa.generate_private_key(3, BITS_MIN)
    edwards = ed25519.Ed25519PrivateKey.generate()
    for key in (short, odd, edwards):
        with pytest.raises(FieldInvalid):
            load_rsa_public(pem(key))
        with pytest.raises(Misconfigured):
            load_rsa_private(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert BITS_MIN < BITS_MAX


def test_what_is_no_key_is_refused() -> None:
    locked = rsa.generate_private_key(65_537, BITS_MIN).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    for data in (b"", b"secret-looking", locked, KEY.public().pem()):
        with pytest.raises(Misconfigured) as refusal:
            load_rsa_private(data)
        assert "secret-looking" not in str(refusal.value)
    for data in (b"", b"secret-looking", KEY.pem()):
        with pytest.raises(FieldInvalid):
            load_rsa_public(data)
