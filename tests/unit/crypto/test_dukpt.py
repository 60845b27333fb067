"""DUKPT: which serial numbers and keys are refused, and which counter comes next."""

import pytest

from tallystick.crypto import dukpt_aes, dukpt_tdes
from tallystick.crypto.dukpt_aes import DerivedType, DerivedUse
from tallystick.errors import Malformed, Misconfigured

DEVICE = bytes.fromhex("1234567890123456")


@pytest.mark.parametrize("counter", ["00000000", "0001FFFF", "FFFFFFFF"])
def test_an_aes_counter_that_no_device_uses_is_refused(counter: str) -> None:
    with pytest.raises(Malformed):
        dukpt_aes.counter_of(DEVICE + bytes.fromhex(counter))


@pytest.mark.parametrize("ksn", ["FFFF9876543210E00000", "FFFF9876543210E007FF", "FFFF9876543210E0FFFF"])
def test_a_tdes_counter_that_no_device_uses_is_refused(ksn: str) -> None:
    with pytest.raises(Malformed):
        dukpt_tdes.counter_of(bytes.fromhex(ksn))


@pytest.mark.parametrize("size", [0, 9, 11, 13])
def test_a_serial_number_of_wrong_length_is_refused(size: int) -> None:
    with pytest.raises(Malformed):
        dukpt_aes.counter_of(b"\x01" * size)
    with pytest.raises(Malformed):
        dukpt_tdes.counter_of(b"\x01" * size)


@pytest.mark.parametrize(("counter", "following"), [(0, 1), (0xFFFE, 0xFFFF), (0xFFFF, 0x10000), (0x1FFFE, 0x20000)])
def test_the_next_counter_skips_those_with_too_many_ones(counter: int, following: int) -> None:
    assert following == dukpt_aes.next_counter(counter)


def test_a_device_that_used_its_last_counter_has_none_left() -> None:
    with pytest.raises(Misconfigured):
        dukpt_aes.next_counter(0xFFFF0000)


def test_keys_of_wrong_size_and_stronger_than_their_origin_are_refused() -> None:
    ksn = DEVICE + b"\x00\x00\x00\x01"
    for wrong in (b"", bytes(15), bytes(17)):
        with pytest.raises(Misconfigured):
            dukpt_aes.initial_key(wrong, DEVICE)
    with pytest.raises(Misconfigured):
        dukpt_aes.transaction_key(bytes(16), ksn, DerivedUse.PIN, DerivedType.AES_256)
    with pytest.raises(Misconfigured):
        dukpt_tdes.initial_key(bytes(8), bytes(10))
    with pytest.raises(Malformed):
        dukpt_aes.initial_key(bytes(16), b"")


def test_a_tdes_pin_key_can_be_derived_from_an_aes_device_key() -> None:
    key = dukpt_aes.transaction_key(bytes(16), DEVICE + b"\x00\x00\x00\x01", DerivedUse.PIN, DerivedType.TDES_2)

    assert 16 == len(key)
    assert key[:8] != key[8:]
