"""Sealing at rest."""

import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick import errors
from tallystick.crypto import box, kdf

KEY = bytes(range(32))
CONTEXT = b"vault/credential/7"


def test_what_was_sealed_opens_under_the_same_key_and_context() -> None:
    assert b"6200000000000005" == box.unseal(KEY, box.seal(KEY, b"6200000000000005", CONTEXT), CONTEXT)


def test_the_form_is_nonce_then_aes_256_gcm_with_the_context_as_aad() -> None:
    sealed = box.seal(KEY, b"value", CONTEXT)
    assert b"value" == AESGCM(KEY).decrypt(sealed[:12], sealed[12:], CONTEXT)
    assert box.OVERHEAD == len(sealed) - len(b"value")


def test_the_same_value_never_gives_the_same_bytes_twice() -> None:
    assert 100 == len({box.seal(KEY, b"value", CONTEXT)[:12] for _ in range(100)})


def test_another_context_does_not_open() -> None:
    with pytest.raises(errors.EnvelopeUnopenable):
        box.unseal(KEY, box.seal(KEY, b"value", CONTEXT), b"vault/credential/8")


def test_another_key_does_not_open() -> None:
    with pytest.raises(errors.EnvelopeUnopenable):
        box.unseal(KEY[::-1], box.seal(KEY, b"value", CONTEXT), CONTEXT)


def test_no_altered_or_shortened_value_opens() -> None:
    sealed = box.seal(KEY, b"value", CONTEXT)
    for index in range(len(sealed)):
        altered = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        for bad in (altered, sealed[:index]):
            with pytest.raises(errors.EnvelopeUnopenable):
                box.unseal(KEY, bad, CONTEXT)


@pytest.mark.parametrize("size", [0, 16, 24, 31, 33])
def test_only_a_key_of_32_bytes_is_taken(size: int) -> None:
    with pytest.raises(errors.Misconfigured):
        box.seal(bytes(size), b"value", CONTEXT)
    with pytest.raises(errors.Misconfigured):
        box.unseal(bytes(size), bytes(64), CONTEXT)


def test_a_sealing_key_seals_as_the_functions_do() -> None:
    key = box.SealingKey(KEY)
    assert b"value" == box.unseal(KEY, key.seal(b"value", CONTEXT), CONTEXT)
    assert b"value" == key.unseal(box.seal(KEY, b"value", CONTEXT), CONTEXT)


def test_what_a_sealing_key_derives_is_what_kdf_derives_and_is_made_once() -> None:
    key = box.SealingKey(KEY)
    assert key.derived("answers").secret == kdf.derive(KEY, "answers")
    assert key.derived("answers") is key.derived("answers")
    assert key.derived("answers").secret != key.derived("questions").secret
    assert key.derived("answers").mac(b"data") == hmac.digest(kdf.derive(KEY, "answers"), b"data", "sha256")


def test_a_sealing_key_is_never_printed() -> None:
    assert KEY.hex() not in repr(box.SealingKey(KEY))
    assert str(KEY) not in repr(box.SealingKey(KEY))
