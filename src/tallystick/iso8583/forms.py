"""How each element stands on the wire: a writer and a reader for it, made once for a variant.

A reader believes nothing: it takes a value only in the one form that the writer gives it, so that a message that could
be read has one form only and need not be written again to see that. What characters a value may hold is not its part.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from tallystick.iso8583.spec import Element, Layout

Write = Callable[[str], bytes]
"""Return a value behind its length; raises ValueError when it has not a length that the element may have."""
Read = Callable[[bytes, int], tuple[str, int]]
"""Return the value at a place and the place behind it, which may lie behind the end; raises ValueError."""

Z_PACKED: Final = str.maketrans(":;<=>?", "ABCDEF")  # the characters 3A to 3F, by their second nibble
Z_READ: Final = str.maketrans("ABCDEF", ":;<=>?")
NIBBLES: Final = 2  # in a byte


class Form(NamedTuple):
    """The two halves of a form; each undoes the other."""

    write: Write
    read: Read


def form_of(element: Element, layout: Layout) -> Form:
    """Make the form that an element has in a layout."""
    kind, prefix, size, _ = element
    if kind == "b":
        return _measured(_binary(), prefix, size, layout)
    if layout.packed and kind in {"n", "z"}:
        return _measured(
            _digits(layout.pad_variable if prefix else layout.pad_fixed, z=kind == "z"), prefix, size, layout
        )
    if layout.packed and kind == "x":
        return _signed(size)
    return _measured(_text(layout.texts), prefix, size, layout)


class _Content(NamedTuple):
    """A value without its length: how many units it has, its bytes; the bytes of so many units, the value of bytes."""

    units: Callable[[str], int]
    to_bytes: Callable[[str], bytes]
    size: Callable[[int], int]
    from_bytes: Callable[[bytes, int], str]


def _text(page: str) -> _Content:
    return _Content(len, lambda value: value.encode(page), lambda units: units, lambda data, _: data.decode(page))


def _binary() -> _Content:
    def units(value: str) -> int:
        whole, half = divmod(len(value), NIBBLES)
        if half:
            raise ValueError("a half byte")
        return whole

    return _Content(units, bytes.fromhex, lambda units: units, lambda data, _: data.hex().upper())


def _digits(pad: str, *, z: bool) -> _Content:
    """Two digits in a byte; of an odd number, a zero nibble stands on the side that `pad` names."""
    left = pad == "left"

    def to_bytes(value: str) -> bytes:
        value = value.translate(Z_PACKED) if z else value
        if len(value) % NIBBLES:
            value = f"0{value}" if left else f"{value}0"
        return bytes.fromhex(value)

    def from_bytes(data: bytes, units: int) -> str:
        value = data.hex().upper()
        if units % NIBBLES:
            padding, value = (value[:1], value[1:]) if left else (value[-1:], value[:-1])
            if padding != "0":
                raise ValueError("a zero nibble is none")
        return value.translate(Z_READ) if z else value

    return _Content(len, to_bytes, lambda units: (units + 1) // NIBBLES, from_bytes)


def _measured(content: _Content, prefix: int, size: int, layout: Layout) -> Form:
    """Put a content of `size` units, or one of at most so many behind a length of `prefix` digits."""
    if not prefix:
        return _fixed(content, size)
    return _packed_length(content, prefix, size) if layout.packed else _text_length(content, prefix, size, layout.texts)


def _fixed(content: _Content, size: int) -> Form:
    units, to_bytes, size_of, from_bytes = content
    taken = size_of(size)

    def write(value: str) -> bytes:
        if units(value) != size:
            raise ValueError("not the length of the element")
        return to_bytes(value)

    def read(message: bytes, at: int) -> tuple[str, int]:
        end = at + taken
        return from_bytes(message[at:end], size), end

    return Form(write, read)


def _text_length(content: _Content, prefix: int, size: int, page: str) -> Form:
    units, to_bytes, size_of, from_bytes = content

    def write(value: str) -> bytes:
        return f"{_within(units(value), size):0{prefix}d}".encode(page) + to_bytes(value)

    def read(message: bytes, at: int) -> tuple[str, int]:
        start = at + prefix
        length = _length(message[at:start].decode(page), size)
        end = start + size_of(length)
        return from_bytes(message[start:end], length), end

    return Form(write, read)


def _packed_length(content: _Content, prefix: int, size: int) -> Form:
    units, to_bytes, size_of, from_bytes = content
    taken = (prefix + 1) // NIBBLES

    def write(value: str) -> bytes:
        return bytes.fromhex(f"{_within(units(value), size):0{taken * NIBBLES}d}") + to_bytes(value)

    def read(message: bytes, at: int) -> tuple[str, int]:
        start = at + taken
        length = _length(message[at:start].hex(), size)
        end = start + size_of(length)
        return from_bytes(message[start:end], length), end

    return Form(write, read)


def _length(digits: str, size: int) -> int:
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("a length is no number")
    return _within(int(digits), size)


def _within(length: int, size: int) -> int:
    if length > size:
        raise ValueError("longer than the element may be")
    return length


def _signed(size: int) -> Form:
    """An amount behind its sign where digits are packed: the sign is one byte of text."""
    digits = (size - 1) // NIBBLES

    def write(value: str) -> bytes:
        if len(value) != size:
            raise ValueError("not the length of the element")
        return value[:1].encode("latin-1") + bytes.fromhex(value[1:])

    def read(message: bytes, at: int) -> tuple[str, int]:
        end = at + 1 + digits
        return message[at : at + 1].decode("latin-1") + message[at + 1 : end].hex().upper(), end

    return Form(write, read)
