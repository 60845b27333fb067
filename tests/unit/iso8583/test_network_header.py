"""Network headers: what is written, read and refused."""

from typing import Any

import msgspec
import pytest

from tallystick.errors import Malformed, Misconfigured
from tallystick.iso8583.network_header import ACCEPTED, SIZES, Header, HeaderForm, NetworkHeader, unwrap, wrap

MESSAGE = b"0210 and what follows"
UNIONPAY = HeaderForm(kind=NetworkHeader.UNIONPAY_46, destination="00010000", source="48021910")
TPDU = HeaderForm(kind=NetworkHeader.TPDU_5, destination="0001", source="0000")
TERMINAL = HeaderForm(kind=NetworkHeader.TPDU_11, destination="0001", source="0000", terminal="603100311234")
NONE = HeaderForm()
EACH = pytest.mark.parametrize("form", [NONE, UNIONPAY, TPDU, TERMINAL], ids=lambda form: form.kind)


def unionpay(**changed: Any) -> HeaderForm:
    return msgspec.structs.replace(UNIONPAY, **changed)


@EACH
def test_what_is_wrapped_is_unwrapped(form: HeaderForm) -> None:
    assert (Header(form.destination, form.source), MESSAGE) == unwrap(form, wrap(form, MESSAGE))
    assert SIZES[form.kind] == len(wrap(form, b""))


@EACH
def test_a_cut_header_is_refused(form: HeaderForm) -> None:
    for length in range(SIZES[form.kind]):
        with pytest.raises(Malformed):
            unwrap(form, wrap(form, b"")[:length])


def test_a_tpdu_is_five_bytes_of_digits() -> None:
    assert bytes.fromhex("6000010000") + MESSAGE == wrap(TPDU, MESSAGE)
    assert bytes.fromhex("6000010000603100311234") + MESSAGE == wrap(TERMINAL, MESSAGE)


@pytest.mark.parametrize("head", ["6100010000", "60000A0000", "600001000F"])
def test_what_is_no_tpdu_is_refused(head: str) -> None:
    with pytest.raises(Malformed):
        unwrap(TPDU, bytes.fromhex(head) + MESSAGE)


def test_a_bounced_message_is_told_from_an_answer() -> None:
    header, message = unwrap(UNIONPAY, wrap(UNIONPAY, MESSAGE, reject_code="00045"))

    assert (True, "00045", MESSAGE) == (header.rejected, header.reject_code, message)
    assert not unwrap(UNIONPAY, wrap(UNIONPAY, MESSAGE))[0].rejected


@pytest.mark.parametrize("code", [b"0000 ", b"\0\0\0\0\0", b"0000a", b"\xef\xbc\x90\xef\xbc"])
def test_a_reject_code_that_is_none_is_refused(code: bytes) -> None:
    wire = wrap(UNIONPAY, MESSAGE)

    with pytest.raises(Malformed):
        unwrap(UNIONPAY, wire[:41] + code + wire[46:])


@pytest.mark.parametrize(
    "other",
    [
        unionpay(version=1),
        unionpay(test=True),
        unionpay(counts_header=False),
    ],
)
def test_a_header_that_was_not_agreed_is_refused(other: HeaderForm) -> None:
    assert unwrap(other, wrap(other, MESSAGE))
    with pytest.raises(Malformed):
        unwrap(UNIONPAY, wrap(other, MESSAGE))


def test_either_zero_is_taken_for_reserved_bytes() -> None:
    binary = unionpay(filler="binary")

    assert bytes(3) == wrap(binary, MESSAGE)[28:31]
    assert b"000" == wrap(UNIONPAY, MESSAGE)[28:31]
    assert unwrap(UNIONPAY, wrap(UNIONPAY, MESSAGE)) == unwrap(UNIONPAY, wrap(binary, MESSAGE))


@pytest.mark.parametrize("address", [b" " * 11, b" 8021910   ", b"4802 1910  ", b"48021910\0\0\0"])
def test_an_address_is_left_aligned_and_padded_with_spaces(address: bytes) -> None:
    wire = wrap(UNIONPAY, MESSAGE)
    for start in (6, 17):
        with pytest.raises(Malformed):
            unwrap(UNIONPAY, wire[:start] + address + wire[start + 11 :])


@pytest.mark.parametrize("length", [b"0066", b"0068", b"+067", b"  67", b"\0\0\0\x43"])
def test_a_total_length_that_is_not_the_frames_is_refused(length: bytes) -> None:
    wire = wrap(UNIONPAY, MESSAGE)
    assert b"0067" == wire[2:6]

    with pytest.raises(Malformed):
        unwrap(UNIONPAY, wire[:2] + length + wire[6:])


@pytest.mark.parametrize(
    ("kind", "destination", "source", "terminal"),
    [
        (NetworkHeader.UNIONPAY_46, "", "48021910", "0" * 12),
        (NetworkHeader.UNIONPAY_46, "00010000", "123456789012", "0" * 12),
        (NetworkHeader.UNIONPAY_46, "00010000", "4802 1910", "0" * 12),
        (NetworkHeader.TPDU_5, "00010000", "0000", "0" * 12),
        (NetworkHeader.TPDU_5, "000A", "0000", "0" * 12),
        (NetworkHeader.TPDU_11, "0001", "0000", "60310031123"),
    ],
)
def test_settings_that_do_not_fit_the_header_are_refused(
    kind: NetworkHeader, destination: str, source: str, terminal: str
) -> None:
    with pytest.raises(Misconfigured):
        HeaderForm(kind=kind, destination=destination, source=source, terminal=terminal)


def test_without_a_header_nothing_is_rejected() -> None:
    assert (Header("", "", ACCEPTED), MESSAGE) == unwrap(NONE, MESSAGE)
