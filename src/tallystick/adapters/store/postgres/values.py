"""Values on the wire: PostgreSQL's binary formats of the few types that the schema has."""

import struct
from collections.abc import Callable
from typing import Any, Final

_BIGINT: Final = struct.Struct(">q")
_COUNT: Final = struct.Struct(">i")
_HEAD: Final = struct.Struct(">iiIii")  # dimensions, whether there are NULLs, type of the elements, how many, the first

_BOOL, _BYTEA, _INT8, _INT4, _TEXT = 16, 17, 20, 23, 25
"""Type numbers, which no PostgreSQL ever changes (catalog/pg_type.dat)."""


def encode(value: Any) -> bytes | None:
    """Write a parameter: int as bigint, str, bytes, bool, None as NULL, a list of ints, texts or bytes as an array.

    An empty list is an array of texts. Raises KeyError for anything else: that is a bug of the statement's caller.
    """
    return _ENCODERS[type(value)](value)


def decoder(oid: int) -> Callable[[bytes], Any]:
    """Return how a column of this type is read; raises KeyError for a type that the schema does not have."""
    return _DECODERS[oid]


def _array(values: list[Any]) -> bytes:
    kind = type(values[0]) if values else str
    encoded = [_ENCODERS[kind](value) or b"" for value in values]
    head = _HEAD.pack(1, 0, _ELEMENTS[kind], len(values), 1)
    return head + b"".join(_COUNT.pack(len(each)) + each for each in encoded)


_ELEMENTS: Final[dict[type, int]] = {int: _INT8, str: _TEXT, bytes: _BYTEA}
_ENCODERS: Final[dict[type, Callable[[Any], bytes | None]]] = {
    int: _BIGINT.pack,
    bool: lambda value: b"\x01" if value else b"\x00",
    str: str.encode,
    bytes: bytes,
    type(None): lambda _: None,
    list: _array,
}
_DECODERS: Final[dict[int, Callable[[bytes], Any]]] = {
    _BOOL: lambda raw: raw == b"\x01",
    _BYTEA: bytes,
    _INT8: lambda raw: _BIGINT.unpack(raw)[0],
    _INT4: lambda raw: _COUNT.unpack(raw)[0],
    _TEXT: lambda raw: raw.decode(),
}
