"""Correlation elements: one form however they are typed, one digest per kind, nothing clear kept."""

# ruff: noqa: RUF001  # full-width digits are what these tests are about

import pytest

from tallystick import limits
from tallystick.assembly.element import (
    CODE_ALPHABET,
    backend_element,
    code_element,
    institution_element,
    new_code,
    phone_element,
)
from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import FieldInvalid
from tallystick.runtime import SystemRandomness

KEY, OTHER_KEY = (VersionedKey(1, bytes(32)),), (VersionedKey(1, bytes(31) + b"1"),)


@pytest.mark.parametrize(
    "typed", ["+86 138 0013 8000", "+86-138-0013-8000", "＋８６１３８００１３８０００", " +8613800138000 "]
)
def test_a_phone_number_is_the_same_element_however_it_is_typed(typed: str) -> None:
    assert phone_element(KEY, "+8613800138000") == phone_element(KEY, typed)


@pytest.mark.parametrize(
    "typed", ["13800138000", "008613800138000", "", "+", "+86", "tel:+8613800138000", "+0", "++86138"]
)
def test_what_is_no_e164_number_is_refused(typed: str) -> None:
    with pytest.raises(FieldInvalid):
        phone_element(KEY, typed)


def test_a_code_may_be_typed_in_small_letters_and_groups() -> None:
    code = "ABCD-EFGH 2345-67"
    assert code_element(KEY, "ABCDEFGH234567") == code_element(KEY, code) == code_element(KEY, code.lower())


def test_a_made_code_is_long_enough_and_has_no_look_alikes() -> None:
    assert len(CODE_ALPHABET) ** limits.CODE_LENGTH >= 2**60
    assert len(set(CODE_ALPHABET)) == len(CODE_ALPHABET)
    assert not set("01OIZ") & set(CODE_ALPHABET)
    made = {new_code(SystemRandomness()) for _ in range(50)}
    assert 50 == len(made)
    assert all(code_element(KEY, code).digest for code in made)


def test_equal_texts_of_different_kinds_or_institutions_are_different_elements() -> None:
    elements = [
        institution_element(KEY, "10000001", "12345678"),
        institution_element(KEY, "10000002", "12345678"),
        institution_element(KEY, "12345678", "10000001"),
        backend_element(KEY, "10000001", "12345678"),
        backend_element(KEY, "10000001", "123456789"),
    ]
    assert len(elements) == len({element.digest for element in elements})


def test_the_digest_depends_on_the_key_and_holds_nothing_clear() -> None:
    element = phone_element(KEY, "+8613800138000")
    assert element.digest != phone_element(OTHER_KEY, "+8613800138000").digest
    assert "13800138000" not in repr(element)


def test_an_element_is_found_under_every_key_and_stored_under_the_first() -> None:
    before = phone_element(KEY, "+8613800138000")
    rotated = phone_element((VersionedKey(2, bytes(31) + b"2"), *KEY), "+8613800138000")
    assert before.digest != rotated.digest
    assert (rotated.digest, before.digest) == rotated.digests
