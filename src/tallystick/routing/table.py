"""The routing table as a value: what of it is versioned, its digest, and which tables may stand."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from tallystick import limits
from tallystick.errors import AlreadyExists, FieldInvalid
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import BackEnd, Preference, RoutingTable, Status

BACK_ENDS_MAX: Final = 1_000  # back ends of one table
RULES_MAX: Final = 20_000  # issuer rules of one table; a payment looks one up in microseconds, a change in a second
NAME_MAX: Final = 64  # characters of a back end's name
SOURCE_MAX: Final = 100  # characters that say where an issuer rule comes from
SCHEME: Final = re.compile(r"[a-z0-9-]{2,32}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_DIGITS: Final = re.compile(rf"[0-9]{{1,{limits.ISSUER_DIGITS}}}")

_T = TypeVar("_T")


def versioned(table: RoutingTable) -> RoutingTable:
    """Return what of a table belongs to its version: everything but the live status, back ends by id."""
    still = sorted((replace(back_end, status=Status.SUSPENDED) for back_end in table.back_ends), key=lambda b: b.id)
    return replace(table, back_ends=tuple(still))


def digest(table: RoutingTable) -> str:
    """Digest what a table says, in hex (SHA-256): equal for equal tables, whatever their version and live status."""
    return hashlib.sha256(msgspec.json.encode(replace(versioned(table), version=0), order="deterministic")).hexdigest()


def with_back_end(table: RoutingTable, back_end: BackEnd) -> RoutingTable:
    """Return the table with a back end added, or replaced by id."""
    others = tuple(other for other in table.back_ends if other.id != back_end.id)
    return replace(table, back_ends=(*others, back_end))


def check_table(table: RoutingTable) -> None:
    """Refuse a table that could not be meant; raises FieldInvalid, AlreadyExists.

    1. Bounds: BACK_ENDS_MAX, RULES_MAX.
    2. Every back end has an institution id and a name of its own, and schemes and currencies of their form.
    3. Every issuer rule is a range of its form, and no two are over the same numbers.
    4. A currency has one preference.
    """
    # 1.
    if len(table.back_ends) > BACK_ENDS_MAX or len(table.issuer_rules) > RULES_MAX:
        raise FieldInvalid(f"a table has at most {BACK_ENDS_MAX} institutions and {RULES_MAX} issuer rules")
    # 2.
    for back_end in table.back_ends:
        _check_back_end(back_end)
    if _twice(back_end.id for back_end in table.back_ends) or _twice(back_end.name for back_end in table.back_ends):
        raise AlreadyExists("two institutions have one id or one name")
    # 3.
    for rule in table.issuer_rules:
        check_rule(rule)
    if twice := _twice(rule.span for rule in table.issuer_rules):
        raise AlreadyExists(f"two issuer rules are over the same numbers from {min(twice)[0]:09d} on")
    # 4.
    for preference in table.preferences:
        _check_preference(preference)
    if twice_preferred := _twice(preference.currency for preference in table.preferences):
        raise AlreadyExists(f"{min(twice_preferred)} has two preferences")


def check_rule(rule: IssuerRule) -> None:
    """Refuse a range that is no range of leading digits, or names no schemes; raises FieldInvalid."""
    if not (_DIGITS.fullmatch(rule.low) and _DIGITS.fullmatch(rule.high)):
        detail = f"a range has 1 to {limits.ISSUER_DIGITS} digits: routing sees no more of a card number"
        raise FieldInvalid(detail, field="low")
    if len(rule.low) != len(rule.high) or rule.low > rule.high:
        raise FieldInvalid("a range begins and ends with as many digits, and not after its end", field="high")
    _check_schemes(rule.schemes)
    if len(rule.source) > SOURCE_MAX or not rule.source.isprintable():
        raise FieldInvalid(f"a source has at most {SOURCE_MAX} printable characters", field="source")


def _check_back_end(back_end: BackEnd) -> None:
    if not re.fullmatch(rf"[0-9]{{{limits.INSTITUTION_ID_LENGTH}}}", back_end.id):
        raise FieldInvalid(f"an institution id has {limits.INSTITUTION_ID_LENGTH} digits", field="id")
    if not 1 <= len(back_end.name) <= NAME_MAX or not back_end.name.isprintable():
        raise FieldInvalid(f"a name has 1 to {NAME_MAX} printable characters", field="name")
    if back_end.in_flight_max < 1 or back_end.per_second_max < 0 or back_end.failures_max < 1:
        raise FieldInvalid("an institution takes at least one request, and may fail at least once", field="bounds")
    if not all(SCHEME.fullmatch(scheme) for scheme in back_end.schemes):
        raise FieldInvalid("a scheme has 2 to 32 small letters, digits or hyphens", field="schemes")
    if not all(_CURRENCY.fullmatch(currency) for currency in back_end.currencies):
        raise FieldInvalid("a currency has three capital letters", field="currencies")


def _check_preference(preference: Preference) -> None:
    if not _CURRENCY.fullmatch(preference.currency):
        raise FieldInvalid("a currency has three capital letters", field="currency")
    _check_schemes(preference.schemes)


def _check_schemes(schemes: tuple[str, ...]) -> None:
    if not schemes or _twice(schemes) or not all(SCHEME.fullmatch(scheme) for scheme in schemes):
        detail = "name one or more schemes, each once, of 2 to 32 small letters, digits or hyphens"
        raise FieldInvalid(detail, field="schemes")


def _twice(values: Iterable[_T]) -> list[_T]:
    return [value for value, count in Counter(values).items() if count > 1]
