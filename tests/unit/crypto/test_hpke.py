"""HPKE envelopes."""

import pytest

from tallystick import errors
from tallystick.crypto import hpke
from tallystick.crypto.binding import bind

INFO = bind("v1", "key-1", "ch_phone", "1700000000", "nonce")
SUITES = list(hpke.Suite)
PUBLIC_BYTES = {hpke.Suite.MLKEM768_X25519: 1216, hpke.Suite.P256: 65}


@pytest.fixture(scope="module", params=SUITES, ids=lambda suite: suite.name)
def key(request: pytest.FixtureRequest) -> hpke.OpeningKey:
    return hpke.OpeningKey.generate(request.param)


def test_the_default_suite_is_the_hybrid_one() -> None:
    assert hpke.Suite.MLKEM768_X25519 is hpke.OpeningKey.generate().suite


def test_what_was_sealed_opens_with_the_same_info(key: hpke.OpeningKey) -> None:
    assert b"part" == key.open(hpke.seal(key.suite, key.public, b"part", INFO), INFO)


def test_the_public_key_has_its_stated_form(key: hpke.OpeningKey) -> None:
    assert PUBLIC_BYTES[key.suite] == len(key.public)


def test_the_envelope_is_as_much_longer_as_stated(key: hpke.OpeningKey) -> None:
    overhead = {hpke.Suite.MLKEM768_X25519: 1136, hpke.Suite.P256: 81}[key.suite]
    assert overhead == len(hpke.seal(key.suite, key.public, b"", INFO))


def test_a_stored_key_opens_what_was_sealed_before(key: hpke.OpeningKey) -> None:
    sealed = hpke.seal(key.suite, key.public, b"part", INFO)
    restored = hpke.OpeningKey.from_private(key.suite, key.private_bytes())
    assert key.public == restored.public
    assert b"part" == restored.open(sealed, INFO)


def test_another_info_does_not_open(key: hpke.OpeningKey) -> None:
    sealed = hpke.seal(key.suite, key.public, b"part", INFO)
    for info in (b"", INFO + b"\x00", INFO[:-1], bind("v1", "key-1", "ch_pc", "1700000000", "nonce")):
        with pytest.raises(errors.EnvelopeUnopenable):
            key.open(sealed, info)


def test_another_key_does_not_open(key: hpke.OpeningKey) -> None:
    sealed = hpke.seal(key.suite, key.public, b"part", INFO)
    with pytest.raises(errors.EnvelopeUnopenable):
        hpke.OpeningKey.generate(key.suite).open(sealed, INFO)


def test_the_other_suite_does_not_open(key: hpke.OpeningKey) -> None:
    other = next(suite for suite in SUITES if suite is not key.suite)
    with pytest.raises(errors.EnvelopeUnopenable):
        hpke.OpeningKey.generate(other).open(hpke.seal(key.suite, key.public, b"part", INFO), INFO)


def test_every_failure_to_open_gives_the_same_answer(key: hpke.OpeningKey) -> None:
    sealed = hpke.seal(key.suite, key.public, b"part", INFO)
    enc = len(sealed) - len(b"part") - 16
    bad = [b"", b"x", sealed[:enc], sealed[: enc + 15], sealed[:-1], sealed + b"x", bytes(len(sealed))]
    bad += [
        sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in (0, 1, enc // 2, enc - 1, enc, len(sealed) - 1)
    ]
    bad.append(sealed[: enc - 32] + bytes(32) + sealed[enc:])  # X25519 all zero; for P-256 half a point of zeroes
    answers = set()
    for message in bad:
        with pytest.raises(errors.EnvelopeUnopenable) as refused:
            key.open(message, INFO)
        answers.add((type(refused.value), refused.value.detail))
    assert 1 == len(answers)


def test_no_public_key_of_the_suite_is_refused(key: hpke.OpeningKey) -> None:
    bad = [b"", key.public[:-1], key.public + b"x", b"\xff" * len(key.public), bytes(len(key.public))]
    for public in bad:
        with pytest.raises(errors.FieldInvalid) as refused:
            hpke.seal(key.suite, public, b"part", INFO)
        assert "public_key" == refused.value.field


def test_a_low_order_x25519_half_is_refused() -> None:
    public = hpke.OpeningKey.generate().public
    with pytest.raises(errors.FieldInvalid):
        hpke.seal(hpke.Suite.MLKEM768_X25519, public[:-32] + bytes(32), b"part", INFO)


def test_no_private_key_of_the_suite_is_refused(key: hpke.OpeningKey) -> None:
    private = key.private_bytes()
    for bad in (b"", private[:-1], private + b"x"):
        with pytest.raises(errors.Misconfigured):
            hpke.OpeningKey.from_private(key.suite, bad)


def test_a_zero_p256_scalar_is_refused() -> None:
    with pytest.raises(errors.Misconfigured):
        hpke.OpeningKey.from_private(hpke.Suite.P256, bytes(32))


def test_printing_a_key_shows_nothing_of_it(key: hpke.OpeningKey) -> None:
    assert key.private_bytes().hex() not in repr(key)
    assert repr(key.private_bytes()) not in repr(key)
