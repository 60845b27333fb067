"""A key in n shares of which any m give it back (Shamir's sharing over GF(2^128)), and how people hold a share.

A 256-bit key is two halves of 128 bits, the size of the library's field, each shared on a polynomial of its own. Fewer
than m shares are independent of the key. A share is 88 letters and digits without look-alikes, in groups of four:

    1 byte format   1 byte 1 for a rehearsal   8 bytes ceremony   m   n   number   5 bytes check value of the key
    32 bytes share   5 bytes checksum

The checksum finds what was mistyped, the check value finds what was altered.
"""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tallystick.crypto.kdf import KEY_BYTES
from tallystick.crypto.versioned import check_value
from tallystick.errors import Misconfigured
from tallystick.secret import Secret

if TYPE_CHECKING:
    from Crypto.Protocol.SecretSharing import Shamir

FORMAT: Final = 1
THRESHOLD_MIN: Final = 2  # shares; one would be a copy of the key
CUSTODIANS_MAX: Final = 16  # shares
CEREMONY_BYTES: Final = 8  # bytes of a ceremony's id, random
SUM_BYTES: Final = 5  # bytes of SHA-256 over the rest
HALF_BYTES: Final = 16  # bytes of an element of the library's field
GROUP: Final = 4  # letters of a group
PREFIX: Final = "tks1"
_BODY: Final = struct.Struct(f">BB{CEREMONY_BYTES}sBBB5s{KEY_BYTES}s")
_RFC_4648: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ALPHABET: Final = b"0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
_WRITE: Final = bytes.maketrans(_RFC_4648, _ALPHABET)
_READ: Final = bytes.maketrans(_ALPHABET + b"ilo", _RFC_4648 + b"BBA")


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What all shares of one key have in common; `check` is the key's check value."""

    id: str
    threshold: int
    total: int
    check: str
    rehearsal: bool


@dataclass(frozen=True, slots=True)
class KeyShare:
    """One custodian's share, numbered from 1; `value` alone says nothing about the key."""

    ceremony: Ceremony
    number: int
    value: bytes = field(repr=False)

    @property
    def check(self) -> str:
        """The share's own check value, for the record: it identifies the share and tells nothing of it."""
        return check_value(self.value)

    def text(self) -> Secret:
        """Write the share for its custodian."""
        common = self.ceremony
        body = _BODY.pack(
            FORMAT,
            common.rehearsal,
            bytes.fromhex(common.id),
            common.threshold,
            common.total,
            self.number,
            bytes.fromhex(common.check),
            self.value,
        )
        letters = base64.b32encode(body + _sum(body)).translate(_WRITE).decode()
        return Secret("-".join([PREFIX, *(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))]))


def split(key: bytes, threshold: int, total: int, ceremony_id: bytes, *, rehearsal: bool = False) -> list[KeyShare]:
    """Share a 32-byte key among `total` custodians, any `threshold` of whom give it back.

    Raises:
        Misconfigured: fewer than two needed, more needed than there are, more than CUSTODIANS_MAX, or the extra
            `ceremony` is not installed.
    """
    if not THRESHOLD_MIN <= threshold <= total <= CUSTODIANS_MAX:
        raise Misconfigured(f"at least {THRESHOLD_MIN} of at most {CUSTODIANS_MAX} custodians share a key")
    if len(key) != KEY_BYTES:
        raise Misconfigured(f"a key to share has {KEY_BYTES} bytes")
    shamir = _shamir()
    halves = [shamir.split(threshold, total, half) for half in _halves(key)]
    common = Ceremony(ceremony_id.hex(), threshold, total, check_value(key), rehearsal)
    return [
        KeyShare(common, number, first + second)
        for (number, first), (_, second) in zip(halves[0], halves[1], strict=True)
    ]


def combine(shares: Sequence[KeyShare]) -> bytes:
    """Return the key that the shares are of, from the first `threshold` of them.

    1. All are of one ceremony.
    2. No share is there twice.
    3. There are enough.
    4. The key has the check value that the shares state.

    Left to the caller: whether a rehearsal's key is wanted, and that it is the key the platform's files are under.

    Raises:
        Misconfigured: it is not so, and says what to bring; nothing of the key is told.
    """
    if not shares:
        raise Misconfigured("no share was given: each custodian gives theirs, a line that begins with tks1-")
    common = shares[0].ceremony
    # 1.
    if any(share.ceremony != common for share in shares):
        raise Misconfigured("the shares are of different ceremonies: bring those whose records have the same number")
    # 2.
    by_number = {share.number: share.value for share in shares}
    if len(by_number) < len(shares):
        raise Misconfigured("one share was given twice: each custodian gives their own")
    # 3.
    if len(shares) < common.threshold:
        missing = common.threshold - len(shares)
        raise Misconfigured(f"{missing} more of the {common.total} shares are needed: {common.threshold} open the key")
    used = sorted(by_number.items())[: common.threshold]
    shamir = _shamir()
    key = b"".join(
        shamir.combine([(number, value[at : at + HALF_BYTES]) for number, value in used]) for at in (0, HALF_BYTES)
    )
    # 4.
    if not hmac.compare_digest(check_value(key), common.check):
        numbers = ", ".join(str(number) for number, _ in used)
        raise Misconfigured(f"the shares {numbers} do not give the key: one was altered; compare them with the record")
    return key


def parse(text: Secret) -> KeyShare:
    """Read one share as its custodian types it: case, hyphens and spaces do not matter, nor o for 0 and l for 1.

    Raises:
        Misconfigured: it is none, or mistyped.
    """
    letters = re.sub(r"[-\s]", "", text.reveal()).lower().removeprefix(PREFIX)
    try:
        content = base64.b32decode(letters.encode("ascii").translate(_READ))
    except (ValueError, UnicodeEncodeError):
        content = b""
    body, given = content[:-SUM_BYTES], content[-SUM_BYTES:]
    if len(body) != _BODY.size or not hmac.compare_digest(_sum(body), given):
        raise Misconfigured("a share is mistyped or not whole: compare it with what its custodian keeps")
    form, rehearsal, ceremony, threshold, total, number, check, value = _BODY.unpack(body)
    if form != FORMAT or rehearsal > 1 or not THRESHOLD_MIN <= threshold <= total <= CUSTODIANS_MAX:
        raise Misconfigured("a share is of a form that this version does not know")
    if not 1 <= number <= total:
        raise Misconfigured("a share has a number that its ceremony did not give out")
    common = Ceremony(ceremony.hex(), threshold, total, check.hex().upper(), bool(rehearsal))
    return KeyShare(common, number, value)


def parse_all(text: Secret) -> list[KeyShare]:
    """Read every share of a text, a line each that begins with `tks1`; other lines are for people."""
    lines = text.reveal().splitlines()
    return [parse(Secret(line)) for line in lines if line.strip().lower().startswith(PREFIX)]


def _halves(key: bytes) -> tuple[bytes, bytes]:
    return key[:HALF_BYTES], key[HALF_BYTES:]


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:SUM_BYTES]


def _shamir() -> "type[Shamir]":
    try:
        from Crypto.Protocol import SecretSharing  # noqa: PLC0415  # an optional dependency
    except ModuleNotFoundError:
        raise Misconfigured("shares need the optional dependency: pip install 'tallystick[ceremony]'") from None
    return SecretSharing.Shamir
