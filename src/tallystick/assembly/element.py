"""Correlation elements: parse, normalise, and reduce to a keyed digest (patent claims 2, 4, 9, 10).

The clear element exists only while a message is read; stores hold `versioned.digest` of it under the blind-index key.

`blind_keys` are those of `Keyring.readable`: the first one makes the digest that is stored, the others find what was
stored before or is stored meanwhile by a process that has not heard of a rotation yet.
"""

import re
from collections.abc import Sequence
from typing import Final

import phonenumbers

from tallystick import limits
from tallystick.assembly.facts import ElementKind
from tallystick.assembly.model import Element
from tallystick.crypto import versioned
from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import FieldInvalid
from tallystick.runtime import Randomness
from tallystick.security.folding import fold, fold_digits

BlindKeys = Sequence[VersionedKey]
"""At least one."""

_COUNTRY_CODE_MAX: Final = 3  # digits (ITU-T E.164)
CODE_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXY"  # no 0 O 1 I, nor Z: it reads as 2
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")  # at most 15 digits (ITU-T E.164)


def phone_element(blind_keys: BlindKeys, phone: str) -> Element:
    """Make the element of a mobile number; raises FieldInvalid when it is not a possible E.164 number."""
    return _element(blind_keys, ElementKind.PHONE, None, normal_phone(phone))


def normal_phone(phone: str) -> str:
    """Return a number in E.164 form without separators; raises FieldInvalid unless it is a possible one."""
    folded = fold_digits(phone)
    if not _E164.fullmatch(folded):
        raise FieldInvalid("a phone number is given in E.164 form, beginning with +", field="phone")
    if not phonenumbers.is_possible_number(_number(folded[1:])):
        raise FieldInvalid("the phone number is not a possible one", field="phone")
    return folded


def _number(digits: str) -> phonenumbers.PhoneNumber:
    """Split E.164 digits at the country code.

    The library's own `parse` also repairs numbers that are no E.164, such as +44 0 20…, at four times the cost; here
    they are refused as impossible.
    """
    for length in range(1, _COUNTRY_CODE_MAX + 1):
        if (code := int(digits[:length])) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            national = digits[length:]
            zeros = len(national) - len(national.lstrip("0"))
            return phonenumbers.PhoneNumber(
                country_code=code,
                national_number=int(national or "0"),
                italian_leading_zero=zeros > 0,
                number_of_leading_zeros=zeros or None,
            )
    raise FieldInvalid("the phone number's country code is not one in use", field="phone")


def code_element(blind_keys: BlindKeys, code: str) -> Element:
    """Make the element of a per-transaction code; case and separators do not matter."""
    folded = fold_digits(code).upper()
    if len(folded) != limits.CODE_LENGTH or not set(folded) <= set(CODE_ALPHABET):
        raise FieldInvalid(f"a code has {limits.CODE_LENGTH} letters and digits without look-alikes", field="code")
    return _element(blind_keys, ElementKind.CODE, None, folded)


def new_code(randomness: Randomness) -> str:
    """Make a per-transaction code of at least 60 random bits."""
    return "".join(CODE_ALPHABET[randomness.below(len(CODE_ALPHABET))] for _ in range(limits.CODE_LENGTH))


def institution_element(blind_keys: BlindKeys, institution: str, number: str) -> Element:
    """Make the element of an institution id and a dynamic number."""
    folded = fold_digits(number)
    if len(folded) != limits.NUMBER_LENGTH or not _digits(folded):
        raise FieldInvalid(f"a dynamic number has {limits.NUMBER_LENGTH} digits", field="number")
    return _element(blind_keys, ElementKind.INSTITUTION, normal_institution(institution), folded)


def backend_element(blind_keys: BlindKeys, institution: str, value: str) -> Element:
    """Make the element of a value that a back end issued."""
    folded = fold(value)
    if not limits.BACKEND_VALUE_MIN <= len(folded) <= limits.BACKEND_VALUE_MAX or not folded.isprintable():
        raise FieldInvalid(
            f"a back end's value has {limits.BACKEND_VALUE_MIN} to {limits.BACKEND_VALUE_MAX} characters", field="value"
        )
    return _element(blind_keys, ElementKind.BACKEND, normal_institution(institution), folded)


def normal_institution(institution: str) -> str:
    """Return an institution id with its digits folded; raises FieldInvalid when its form is wrong."""
    folded = fold_digits(institution)
    if len(folded) != limits.INSTITUTION_ID_LENGTH or not _digits(folded):
        raise FieldInvalid(f"an institution id has {limits.INSTITUTION_ID_LENGTH} digits", field="institution")
    return folded


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _element(blind_keys: BlindKeys, kind: ElementKind, institution: str | None, value: str) -> Element:
    digest, *others = (versioned.digest(key, "element", kind, institution or "", value) for key in blind_keys)
    return Element(kind=kind, digest=digest, institution=institution, others=tuple(others))
