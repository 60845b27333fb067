"""Stretched passwords."""

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from tallystick import errors
from tallystick.crypto import passwords
from tallystick.crypto.kdf import derive
from tallystick.secret import Secret

SALT = bytes(range(16))


@pytest.fixture(scope="module")
def stretched() -> passwords.StretchedPassword:
    return passwords.stretch(Secret("correct horse battery"), SALT)


def test_the_right_password_is_let_through(stretched: passwords.StretchedPassword) -> None:
    passwords.stretch(Secret("correct horse battery"), SALT).check(stretched.verifier)


@pytest.mark.parametrize("wrong", ["", "correct horse batterY", "correct horse battery "])
def test_a_wrong_password_is_refused(stretched: passwords.StretchedPassword, wrong: str) -> None:
    with pytest.raises(errors.CredentialRefused) as refused:
        passwords.stretch(Secret(wrong), SALT).check(stretched.verifier)
    assert "wrong_password" == refused.value.reason


def test_an_empty_stored_verifier_lets_nobody_through(stretched: passwords.StretchedPassword) -> None:
    with pytest.raises(errors.CredentialRefused):
        stretched.check(b"")


def test_verifier_and_wrapping_key_are_derived_apart_from_argon2id(stretched: passwords.StretchedPassword) -> None:
    argon2id = Argon2id(salt=SALT, length=32, iterations=2, lanes=1, memory_cost=19456)
    root = argon2id.derive(b"correct horse battery")
    assert derive(root, "tallystick/password/verifier") == stretched.verifier
    assert derive(root, "tallystick/password/wrapping-key") == stretched.wrapping_key
    assert stretched.verifier != stretched.wrapping_key


def test_another_salt_gives_other_values(stretched: passwords.StretchedPassword) -> None:
    other = passwords.stretch(Secret("correct horse battery"), SALT[::-1])
    assert stretched.verifier != other.verifier
    assert stretched.wrapping_key != other.wrapping_key


def test_composed_and_decomposed_letters_are_one_password() -> None:
    composed, decomposed = (
        passwords.stretch(Secret(text), SALT) for text in ("caf\u00e9 au lait", "cafe\u0301 au lait")
    )
    assert composed.verifier == decomposed.verifier


def test_the_parameters_stored_beside_a_verifier_say_what_was_used() -> None:
    assert "argon2id$v=19$m=19456,t=2,p=1" == passwords.PARAMETERS


@pytest.mark.parametrize("parameters", ["", "argon2id$v=19$m=8,t=1,p=1", "argon2id$v=19$m=99999999,t=2,p=1"])
def test_unknown_parameters_are_refused_not_obeyed(parameters: str) -> None:
    with pytest.raises(errors.Misconfigured):
        passwords.stretch(Secret("correct horse battery"), SALT, parameters)


@pytest.mark.parametrize("size", [0, 8, 15, 17])
def test_a_salt_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(errors.Misconfigured):
        passwords.stretch(Secret("correct horse battery"), bytes(size))


def test_a_password_that_is_no_text_is_refused_without_being_shown() -> None:
    with pytest.raises(errors.FieldInvalid) as refused:
        passwords.stretch(Secret("geheim\ud800"), SALT)
    assert "geheim" not in str(refused.value)
