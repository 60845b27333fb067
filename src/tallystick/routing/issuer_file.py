"""Read issuer rules from a file: the set that ships with the platform, or an operator's own as JSON or CSV."""

import csv
import io
from collections.abc import Iterator
from importlib import resources
from typing import Final

import msgspec
from msgspec import Struct

from tallystick.errors import FieldInvalid, TooLarge
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.table import RULES_MAX, check_rule

FILE_MAX: Final = 4 * 1024 * 1024  # bytes of a file of issuer rules
COLUMNS: Final = frozenset({"low", "high", "schemes", "source"})


class _Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One range: `low` and `high`, or `prefix`."""

    schemes: tuple[str, ...]
    low: str | None = None
    high: str | None = None
    prefix: str | None = None
    source: str | None = None


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ranges with what they have in common: where they come from, and by what right they are used."""

    ranges: tuple[_Line, ...]
    source: str | None = None
    licence: str = ""
    notice: str = ""


def shipped_rules() -> tuple[IssuerRule, ...]:
    """Return the issuer rules a new platform begins with (docs/reference/issuer-ranges.md)."""
    file = resources.files("tallystick.routing") / "data" / "issuer_ranges.json"
    return read_rules(file.name, file.read_bytes())


def read_rules(name: str, content: bytes) -> tuple[IssuerRule, ...]:
    """Read a file's issuer rules; a range that stands there twice is taken once.

    JSON is a list of `{"low", "high", "schemes"}` or `{"prefix", "schemes"}`, or an object with such `ranges` and their
    `source`; all else is CSV with the columns low, high, schemes (divided by blanks) and perhaps source. Rules without
    a source of their own get the file's, or `name`. Raises FieldInvalid with the number of the line or entry, TooLarge.
    """
    if len(content) > FILE_MAX:
        raise TooLarge(f"{name} has more than {FILE_MAX} bytes")
    lines = _json_lines(name, content) if content.lstrip()[:1] in {b"[", b"{"} else _csv_lines(name, content)
    rules: dict[tuple[int, int], tuple[str, IssuerRule]] = {}
    for place, line in lines:
        rule = _rule(name, place, line)
        earlier_place, earlier = rules.setdefault(rule.span, (place, rule))
        if earlier.schemes != rule.schemes:
            raise FieldInvalid(f"{name}, {place}: {rule.words} has other schemes in {earlier_place}")
        if len(rules) > RULES_MAX:
            raise TooLarge(f"{name} has more than {RULES_MAX} ranges")
    if not rules:
        raise FieldInvalid(f"{name} holds no issuer rules")
    return tuple(rule for _, rule in rules.values())


def _rule(name: str, place: str, line: _Line) -> IssuerRule:
    low = line.low or line.prefix or ""
    if (line.low is None) == (line.prefix is None):
        raise FieldInvalid(f"{name}, {place}: give low and high, or prefix")
    rule = IssuerRule(low=low, high=line.high or low, schemes=line.schemes, source=line.source or name)
    try:
        check_rule(rule)
    except FieldInvalid as error:
        raise FieldInvalid(f"{name}, {place}: {error.detail}", field=error.field) from error
    return rule


def _json_lines(name: str, content: bytes) -> Iterator[tuple[str, _Line]]:
    try:
        file = msgspec.json.decode(content, type=_File | tuple[_Line, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FieldInvalid(f"{name} holds no issuer rules: {error}") from error
    head = file if isinstance(file, _File) else _File(ranges=file)
    for number, line in enumerate(head.ranges, start=1):
        yield f"entry {number}", line if line.source else msgspec.structs.replace(line, source=head.source)


def _csv_lines(name: str, content: bytes) -> Iterator[tuple[str, _Line]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        if not {"low", "schemes"} <= set(reader.fieldnames or ()) <= COLUMNS:
            raise FieldInvalid(f"{name}: the first line names the columns low, high, schemes and perhaps source")
        for row in reader:
            if None in row or None in row.values():
                raise FieldInvalid(f"{name}, line {reader.line_num}: as many columns as the first line names")
            values = {column: value.strip() or None for column, value in row.items()}
            schemes = tuple((values["schemes"] or "").split())
            line = _Line(low=values["low"] or "", high=values.get("high"), schemes=schemes, source=values.get("source"))
            yield f"line {reader.line_num}", line
    except (csv.Error, UnicodeDecodeError) as error:
        raise FieldInvalid(f"{name} cannot be read as CSV") from error
