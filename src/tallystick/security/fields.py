"""The fields a part may hold: check, fold and wrap each (bad input names the field, never the value)."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from tallystick import limits
from tallystick.errors import FieldInvalid
from tallystick.secret import Pan, Secret
from tallystick.security.folding import fold, fold_digits
from tallystick.security.pin_text import check_pin_text

_PAN: Final = re.compile(rf"[0-9]{{{limits.PAN_MIN},{limits.PAN_MAX}}}")
_EXPIRY: Final = re.compile(r"[0-9]{2}(0[1-9]|1[0-2])")
_CHIP: Final = re.compile(rf"(?:[0-9A-F]{{2}}){{1,{limits.CHIP_MAX}}}")
_SCHEME: Final = re.compile(r"[a-z0-9-]{2,32}")
_ACCOUNT: Final = re.compile(r"[a-z0-9-]{2,32}:[^\s:]+")
LUHN_WARNING: Final = "pan_luhn"


def _pan(value: str) -> Secret:
    digits = fold_digits(value)
    if not _PAN.fullmatch(digits):
        raise FieldInvalid(f"a card number has {limits.PAN_MIN} to {limits.PAN_MAX} digits", field="fields.pan")
    return Pan(digits)


def _expiry(value: str) -> Secret:
    digits = fold_digits(value)
    if not _EXPIRY.fullmatch(digits):
        raise FieldInvalid("an expiry is given as YYMM", field="fields.expiry")
    return Secret(digits)


def _chip(value: str) -> Secret:
    data = fold(value).upper()
    if not _CHIP.fullmatch(data):
        raise FieldInvalid(f"chip data are 1 to {limits.CHIP_MAX} bytes in hex", field="fields.chip")
    return Secret(data)


def _scheme(value: str) -> Secret:
    name = fold(value)
    if not _SCHEME.fullmatch(name):
        raise FieldInvalid("a scheme has 2 to 32 small letters, digits or hyphens", field="fields.scheme")
    return Secret(name)


def _account(value: str) -> Secret:
    text = fold(value)
    if len(text) > limits.ACCOUNT_MAX or not _ACCOUNT.fullmatch(text):
        raise FieldInvalid("an account is given as scheme:name", field="fields.account")
    return Secret(text)


def _text(name: str, longest: int) -> Callable[[str], Secret]:
    def check(value: str) -> Secret:
        if not value or len(value) > longest or not value.isprintable():
            raise FieldInvalid(f"this field has 1 to {longest} printable characters", field=f"fields.{name}")
        return Secret(value)

    return check


def _digits(name: str, length: int) -> Callable[[str], Secret]:
    def check(value: str) -> Secret:
        digits = fold_digits(value)
        if len(digits) != length or not (digits.isascii() and digits.isdigit()):
            raise FieldInvalid(f"this field has {length} digits", field=f"fields.{name}")
        return Secret(digits)

    return check


_CHECKS: Final[Mapping[str, Callable[[str], Secret]]] = {
    "pan": _pan,
    "expiry": _expiry,
    "pin_block": check_pin_text,
    "chip": _chip,
    "scheme": _scheme,
    "account": _account,
    "secret": _text("secret", limits.PASSWORD_MAX),
    "username": _text("username", limits.USERNAME_MAX),
    "password": _text("password", limits.PASSWORD_MAX),
    "institution": _digits("institution", limits.INSTITUTION_ID_LENGTH),
    "number": _digits("number", limits.NUMBER_LENGTH),
}
FIELD_NAMES: Final = frozenset(_CHECKS)


def check_fields(fields: Mapping[str, Secret]) -> dict[str, Secret]:
    """Return the fields normalised; raises FieldInvalid for an unknown name or a wrong value."""
    checked: dict[str, Secret] = {}
    for name, value in fields.items():
        check = _CHECKS.get(name)
        if check is None:
            raise FieldInvalid("the part holds a field of unknown name", field="fields")
        checked[name] = check(value.reveal())
    return checked


def warnings(fields: Mapping[str, Secret]) -> tuple[str, ...]:
    """Return warnings that do not refuse: some UnionPay cards fail the Luhn check, so it only warns."""
    pan = fields.get("pan")
    return (LUHN_WARNING,) if pan is not None and not _luhn(pan.reveal()) else ()


def _luhn(digits: str) -> bool:
    """Check ISO/IEC 7812-1 annex B."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0
