"""The header and optional blocks of TR-31 / ANSI X9.143 key blocks: read, written, and nothing opened."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from tallystick.errors import Malformed

BLOCK_MAX: Final = 2_048  # characters; ten times a block with an AES-256 key and its serial number
HEADER_CHARACTERS: Final = 16
OPTIONAL_MAX: Final = 16  # optional blocks, padding included
SHORT_MAX: Final = 0xFF  # characters of an optional block whose length is written in two digits
PADDING_BLOCK: Final = "PB"
HEADER: Final = re.compile(r"([BD])([0-9]{4})([A-Z0-9]{2})([A-Z])([A-Z])([A-Za-z0-9]{2})([A-Z])([0-9]{2})00")
BLOCK_ID: Final = re.compile(r"[A-Z0-9]{2}")
HEX: Final = re.compile(r"[0-9A-F]+")
PRINTABLE: Final = re.compile(r"[ -~]*")


class BlockVersion(StrEnum):
    """How a block is protected."""

    B = "B"
    """TDES: carries TDES keys only."""
    D = "D"
    """AES."""


class KeyUsage(StrEnum):
    """What a key is for."""

    PIN = "P0"
    KEY_ENCRYPTION = "K0"
    KEY_BLOCK = "K1"
    BASE_DERIVATION = "B0"
    DUKPT_INITIAL = "B1"
    DATA = "D0"
    SENSITIVE_DATA = "D3"
    MAC_CBC = "M1"
    MAC_RETAIL = "M3"
    MAC_CMAC = "M6"
    MAC_HMAC = "M7"


class KeyAlgorithm(StrEnum):
    """Which algorithm a key is for."""

    TDES = "T"
    AES = "A"
    HMAC = "H"


class ModeOfUse(StrEnum):
    """Which part of its usage a key may take."""

    ENCRYPT_AND_DECRYPT = "B"
    ENCRYPT = "E"
    DECRYPT = "D"
    GENERATE_AND_VERIFY = "C"
    GENERATE = "G"
    VERIFY = "V"
    DERIVE = "X"
    ANY = "N"


class Exportability(StrEnum):
    """Whether a key may be wrapped again."""

    NEVER = "N"
    SENSITIVE = "S"
    """Under any key encryption key."""
    TRUSTED = "E"
    """In key blocks only."""


_CIPHER: Final = frozenset("BEDN")
_MAC: Final = frozenset("CGVN")
_DERIVATION: Final = frozenset("XN")
MODES: Final[Mapping[KeyUsage, frozenset[str]]] = {
    usage: _DERIVATION if usage[0] == "B" else _MAC if usage[0] == "M" else _CIPHER for usage in KeyUsage
}
CIPHER_BLOCKS: Final[Mapping[BlockVersion, int]] = {BlockVersion.B: 8, BlockVersion.D: 16}
"""Bytes of a version's cipher block and MAC; header and optional blocks have a multiple of as many characters."""


class OptionalBlock(NamedTuple):
    """What a block says beside its header, such as KS, the key's serial number; authenticated, not enciphered."""

    id: str
    data: str


class KeyBlockHeader(Struct, frozen=True, kw_only=True):
    """What a block says of its key; `key_version` is two characters, `00` when versions are not used.

    Raises Malformed for what does not fit together.
    """

    version: BlockVersion
    usage: KeyUsage
    algorithm: KeyAlgorithm
    mode: ModeOfUse
    exportability: Exportability = Exportability.NEVER
    key_version: str = "00"
    optional: tuple[OptionalBlock, ...] = ()

    def __post_init__(self) -> None:
        """Check what the field types cannot."""
        if self.mode not in MODES[self.usage]:
            raise Malformed("the key block's mode of use does not fit its key usage")
        if self.version is BlockVersion.B and self.algorithm is not KeyAlgorithm.TDES:
            raise Malformed("a key block of version B carries TDES keys only: its protection is weaker than the key")
        ids = [each.id for each in self.optional]
        if len(set(ids)) != len(ids) or PADDING_BLOCK in ids:
            raise Malformed("an optional block stands twice in the key block")


def read_header(block: str) -> tuple[KeyBlockHeader, int]:
    """Return a block's header, not yet authenticated, and where its enciphered key starts.

    Raises Malformed for anything but a header of version B or D whose block is as long as it says.
    """
    head = HEADER.fullmatch(block[:HEADER_CHARACTERS])
    if head is None or len(block) > BLOCK_MAX or int(head[2]) != len(block) or not PRINTABLE.fullmatch(block):
        raise Malformed("the text is no key block of version B or D, or not as long as it says")
    optional, start = _read_optional(block, int(head[8]))
    size = CIPHER_BLOCKS[BlockVersion(head[1])]
    if len(block) % size or start % size:
        raise Malformed("the key block's length is no multiple of its cipher's block")
    try:
        header = KeyBlockHeader(
            version=BlockVersion(head[1]),
            usage=KeyUsage(head[3]),
            algorithm=KeyAlgorithm(head[4]),
            mode=ModeOfUse(head[5]),
            key_version=head[6],
            exportability=Exportability(head[7]),
            optional=optional,
        )
    except ValueError:
        raise Malformed("the key block's usage, algorithm, mode or exportability is not one of ours") from None
    return header, start


def _read_optional(block: str, count: int) -> tuple[tuple[OptionalBlock, ...], int]:
    """Return the optional blocks without padding, and where they end."""
    if count > OPTIONAL_MAX:
        raise Malformed(f"the key block has more than {OPTIONAL_MAX} optional blocks")
    found, start = [], HEADER_CHARACTERS
    for _ in range(count):
        data, end = _extent(block, start)
        if not BLOCK_ID.fullmatch(block[start : start + 2]):
            raise Malformed("an optional block of the key block has no name")
        found.append(OptionalBlock(block[start : start + 2], block[data:end]))
        start = end
    if any(each.id == PADDING_BLOCK for each in found[:-1]):
        raise Malformed("the padding of the key block's optional blocks is not their last")
    return tuple(each for each in found if each.id != PADDING_BLOCK), start


def _extent(block: str, start: int) -> tuple[int, int]:
    """Return where an optional block's data begin and end; a length of 00 is followed by the length of the length."""
    data = start + 4
    length = _number(block[start + 2 : data])
    if length == 0:
        digits = _number(block[data : data + 2])
        data += 2 + digits
        length = _number(block[data - digits : data])
    if start + length < data or start + length > len(block):
        raise Malformed("an optional block of the key block has a wrong length")
    return data, start + length


def _number(digits: str) -> int:
    if not HEX.fullmatch(digits):
        raise Malformed("an optional block of the key block has a wrong length")
    return int(digits, 16)


def write_header(header: KeyBlockHeader, body: int) -> str:
    """Write header and optional blocks, padded, for a body of so many characters; raises Malformed."""
    size = CIPHER_BLOCKS[header.version]
    optional = [_written_optional(each) for each in header.optional]
    if short := -sum(map(len, optional)) % size:
        short += size if short < len("PB00") else 0
        optional.append(_written_optional(OptionalBlock(PADDING_BLOCK, "0" * (short - len("PB00")))))
    length = HEADER_CHARACTERS + sum(map(len, optional)) + body
    head = (
        f"{header.version}{length:04d}{header.usage}{header.algorithm}{header.mode}"
        f"{header.key_version}{header.exportability}{len(optional):02d}00"
    )
    if not HEADER.fullmatch(head) or length > BLOCK_MAX or len(optional) > OPTIONAL_MAX:
        raise Malformed("the key block would be too long, or its key version is not two letters or digits")
    return head + "".join(optional)


def _written_optional(optional: OptionalBlock) -> str:
    if not (BLOCK_ID.fullmatch(optional.id) and PRINTABLE.fullmatch(optional.data)):
        raise Malformed("an optional block has a name of two letters or digits and printable data")
    short, long = len(optional.data) + 4, len(optional.data) + 10
    length = f"{short:02X}" if short <= SHORT_MAX else f"0004{long:04X}"
    return f"{optional.id}{length}{optional.data}"
