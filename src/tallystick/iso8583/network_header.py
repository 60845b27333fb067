"""Network headers, between a frame's length and its message; docs/reference/iso8583.md draws them.

UnionPay's member header (JR/T 0055.2 chapter 6) carries addresses and the code by which the switch bounces a message;
a terminal link has a TPDU (ISO 8583 terminals behind a network access controller), with or without UnionPay's twelve
digits about the terminal behind it. No MAC covers a header: nothing of it is authenticated.
"""

import re
from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from tallystick.errors import Malformed, Misconfigured

ACCEPTED: Final = "00000"  # the reject code of a message that the switch did not bounce
UNIONPAY_BYTES: Final = 46
TPDU_BYTES: Final = 5
TERMINAL_BYTES: Final = 6
TPDU_ID: Final = 0x60
TEST_FLAG: Final = 0x80  # beside the version of a UnionPay header
STATION: Final = re.compile(r"[0-9A-Za-z]{1,11}")
PADDED_STATION: Final = re.compile(rb"[0-9A-Za-z]+ *")
TPDU_ADDRESS: Final = re.compile(r"[0-9]{4}")
TERMINAL: Final = re.compile(r"[0-9]{12}")
REJECT_CODE: Final = re.compile(r"[0-9A-Z]{5}")


class NetworkHeader(StrEnum):
    """Which header a link puts in front of each message."""

    NONE = "none"
    UNIONPAY_46 = "unionpay46"
    TPDU_5 = "tpdu5"
    TPDU_11 = "tpdu11"
    """The TPDU and twelve digits about the terminal."""


SIZES: Final = {
    NetworkHeader.NONE: 0,
    NetworkHeader.UNIONPAY_46: UNIONPAY_BYTES,
    NetworkHeader.TPDU_5: TPDU_BYTES,
    NetworkHeader.TPDU_11: TPDU_BYTES + TERMINAL_BYTES,
}


class HeaderForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was agreed about the header of a link.

    `destination` and `source` are the peer and we: station ids of up to 11 characters for UnionPay, four digits each
    for a TPDU. `test` marks our messages as tests and expects that mark. `counts_header` tells whether the length
    inside a UnionPay header counts the header; `filler` whether its reserved bytes are the digit or the number zero.
    `batch` is sent as agreed and not read. `terminal` is what a terminal says of itself in twelve digits.

    Raises Misconfigured for values that do not fit the header.
    """

    kind: NetworkHeader = NetworkHeader.NONE
    destination: str = ""
    source: str = ""
    version: Literal[1, 2] = 2
    test: bool = False
    counts_header: bool = True
    filler: Literal["ascii", "binary"] = "ascii"
    batch: Annotated[int, Meta(ge=0, le=255)] = 0
    terminal: str = "0" * (2 * TERMINAL_BYTES)

    def __post_init__(self) -> None:
        """Check what the field types cannot."""
        address = STATION if self.kind is NetworkHeader.UNIONPAY_46 else TPDU_ADDRESS
        addressed = address.fullmatch(self.destination) and address.fullmatch(self.source)
        if self.kind is not NetworkHeader.NONE and not addressed:
            raise Misconfigured("the network header's addresses do not fit its kind")
        if not TERMINAL.fullmatch(self.terminal):
            raise Misconfigured("a terminal says twelve digits of itself")


class Header(Struct, frozen=True):
    """What a received header says; addresses without their padding."""

    destination: str = ""
    source: str = ""
    reject_code: str = ACCEPTED

    @property
    def rejected(self) -> bool:
        """Tell whether the switch bounced the message: raise an alarm, never take it for a decline."""
        return self.reject_code != ACCEPTED


def wrap(form: HeaderForm, message: bytes, *, reject_code: str = ACCEPTED) -> bytes:
    """Put the header in front of a message; `reject_code` is what a switch writes when it bounces one."""
    match form.kind:
        case NetworkHeader.NONE:
            return message
        case NetworkHeader.UNIONPAY_46:
            return _unionpay(form, len(message), reject_code) + message
        case NetworkHeader.TPDU_5 | NetworkHeader.TPDU_11:
            digits = form.destination + form.source + (form.terminal if form.kind is NetworkHeader.TPDU_11 else "")
            return bytes([TPDU_ID]) + bytes.fromhex(digits) + message


def unwrap(form: HeaderForm, framed: bytes) -> tuple[Header, bytes]:
    """Read the header in front of a message and return both.

    Raises Malformed for anything but a whole header of this form: the caller closes the connection, as for a length
    that is none. Left to the caller: `rejected`, and who is addressed.
    """
    size = SIZES[form.kind]
    head, message = framed[:size], framed[size:]
    if len(head) < size:
        raise Malformed("the network header is cut off")
    match form.kind:
        case NetworkHeader.NONE:
            return Header(), message
        case NetworkHeader.UNIONPAY_46:
            return _read_unionpay(form, head, len(message)), message
        case NetworkHeader.TPDU_5 | NetworkHeader.TPDU_11:
            return _read_tpdu(head), message


def _unionpay(form: HeaderForm, body: int, reject_code: str) -> bytes:
    zero = b"0" if form.filler == "ascii" else b"\0"
    parts = (
        bytes([UNIONPAY_BYTES, _flag_and_version(form)]),
        b"%04d" % _total(form, body),
        form.destination.ljust(11).encode(),
        form.source.ljust(11).encode(),
        zero * 3,  # reserved
        bytes([form.batch]),
        b"0" * 8,  # transaction information, the switch's
        zero,  # user information
        reject_code.encode(),
    )
    return b"".join(parts)


def _read_unionpay(form: HeaderForm, head: bytes, body: int) -> Header:
    if head[:2] != bytes([UNIONPAY_BYTES, _flag_and_version(form)]):
        raise Malformed("the network header's length, version or test mark is not the agreed one")
    if head[2:6] != b"%04d" % _total(form, body):
        raise Malformed("the network header's total length is wrong")
    destination, source, reject_code = head[6:17], head[17:28], head[41:46].decode("latin-1")
    if not (PADDED_STATION.fullmatch(destination) and PADDED_STATION.fullmatch(source)):
        raise Malformed("the network header's addresses are none")
    if not REJECT_CODE.fullmatch(reject_code):
        raise Malformed("the network header's reject code is none")
    return Header(destination.decode().rstrip(), source.decode().rstrip(), reject_code)


def _read_tpdu(head: bytes) -> Header:
    digits = head[1:].hex()
    if head[0] != TPDU_ID or not digits.isdigit():
        raise Malformed("the network header is no TPDU")
    return Header(digits[:4], digits[4:8])


def _flag_and_version(form: HeaderForm) -> int:
    return form.version | (TEST_FLAG if form.test else 0)


def _total(form: HeaderForm, body: int) -> int:
    return body + (UNIONPAY_BYTES if form.counts_header else 0)
