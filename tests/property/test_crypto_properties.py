"""Properties of message protection that hold for all inputs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import errors
from tallystick.crypto import box, hpke, httpsig, jose, kdf, signing
from tallystick.crypto.binding import bind

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=6)
MAC = signing.HmacKey(bytes(range(32)))
KEYS = [hpke.OpeningKey.generate(suite) for suite in hpke.Suite]
JWE = jose.JweKey.generate("k1")
COVERED = ("@method", "@path", "@query", "content-digest")
VISIBLE = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\'), min_size=16, max_size=64
)


def unbind(bound: bytes) -> list[str]:
    parts = []
    while bound:
        end = 4 + int.from_bytes(bound[:4])
        parts.append(bound[4:end].decode())
        bound = bound[end:]
    return parts


@given(TEXTS)
def test_the_parts_can_be_read_back_so_no_two_lists_bind_alike(parts: list[str]) -> None:
    assert parts == unbind(bind(*parts))


@given(TEXTS, TEXTS)
def test_digests_are_equal_exactly_when_the_parts_are(one: list[str], other: list[str]) -> None:
    key = bytes(range(32))
    assert (one == other) == (kdf.digest(key, *one) == kdf.digest(key, *other))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.binary(max_size=60))
def test_a_box_opens_to_what_was_put_in(key: bytes, plaintext: bytes, context: bytes) -> None:
    assert plaintext == box.unseal(key, box.seal(key, plaintext, context), context)


@given(st.binary(max_size=300))
def test_no_bytes_of_chance_open_as_a_box(junk: bytes) -> None:
    with pytest.raises(errors.EnvelopeUnopenable):
        box.unseal(bytes(32), junk, b"")


@settings(max_examples=30)
@given(st.sampled_from(KEYS), st.binary(max_size=300), st.binary(max_size=60))
def test_an_envelope_opens_to_what_was_sealed(key: hpke.OpeningKey, plaintext: bytes, info: bytes) -> None:
    assert plaintext == key.open(hpke.seal(key.suite, key.public, plaintext, info), info)


@settings(max_examples=50)
@given(st.sampled_from(KEYS), st.binary(max_size=1300))
def test_no_bytes_of_chance_open_as_an_envelope(key: hpke.OpeningKey, junk: bytes) -> None:
    with pytest.raises(errors.EnvelopeUnopenable):
        key.open(junk, b"")


@settings(max_examples=30)
@given(st.binary(max_size=300), st.binary(max_size=60))
def test_a_jwe_opens_to_what_was_sealed(plaintext: bytes, info: bytes) -> None:
    assert plaintext == JWE.open(jose.seal_jwe(JWE.public_jwk(), plaintext, info), info)


@given(st.text(max_size=200) | st.text("eyJhbGciOi.-_AQw{}", max_size=200))
def test_no_text_of_chance_opens_as_a_jwe(junk: str) -> None:
    with pytest.raises((errors.EnvelopeUnopenable, errors.AlgorithmRefused)):
        JWE.open(junk, b"")


@given(st.data())
def test_a_jwe_with_one_character_changed_does_not_open(data: st.DataObject) -> None:
    token = jose.seal_jwe(JWE.public_jwk(), b"part", b"info")
    index = data.draw(st.integers(0, len(token) - 1))
    changed = data.draw(st.characters(max_codepoint=0x7E).filter(lambda char: char != token[index]))
    with pytest.raises((errors.EnvelopeUnopenable, errors.AlgorithmRefused, errors.KeyUnknown)):
        JWE.open(token[:index] + changed + token[index + 1 :], b"info")


@given(VISIBLE, VISIBLE, st.binary(max_size=100), st.integers(1, 10**12 - 1))
def test_every_signed_request_verifies(keyid: str, nonce: str, body: bytes, created: int) -> None:
    headers = httpsig.sign_request(
        MAC,
        keyid=keyid,
        method="POST",
        target="/v1/parts",
        body=body,
        headers={},
        covered=COVERED,
        created=created,
        nonce=nonce,
    )
    params = httpsig.parse_signature(headers)
    assert (keyid, nonce, created) == (params.keyid, params.nonce, params.created)
    httpsig.verify_request(params, MAC, method="POST", target="/v1/parts", body=body, headers=headers, required=COVERED)


@given(st.text(max_size=300) | st.text('sig1=("@method");created=1keyid"nonce', max_size=300), st.text(max_size=60))
def test_no_text_of_chance_is_read_as_a_signature(given_input: str, signature: str) -> None:
    with pytest.raises(errors.SignatureMissing):
        httpsig.parse_signature({"signature-input": given_input, "signature": signature})
