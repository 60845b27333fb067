"""Message authentication of ISO 8583 links: what verifies and what is refused."""

import pytest

from tallystick.crypto import mac
from tallystick.crypto.mac import MacAlgorithm
from tallystick.errors import Misconfigured, SignatureInvalid

KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
MESSAGE = b"0200 and what follows"
EACH = pytest.mark.parametrize("algorithm", list(MacAlgorithm))


@EACH
def test_a_mac_has_eight_bytes_and_verifies(algorithm: MacAlgorithm) -> None:
    tag = mac.tag(algorithm, KEY, MESSAGE)

    assert 8 == len(tag)
    mac.verify(algorithm, KEY, MESSAGE, tag)


@EACH
def test_an_altered_message_is_refused(algorithm: MacAlgorithm) -> None:
    with pytest.raises(SignatureInvalid):
        mac.verify(algorithm, KEY, MESSAGE[:-1] + b"!", mac.tag(algorithm, KEY, MESSAGE))


@EACH
def test_another_key_is_refused(algorithm: MacAlgorithm) -> None:
    with pytest.raises(SignatureInvalid):
        mac.verify(algorithm, KEY[::-1], MESSAGE, mac.tag(algorithm, KEY, MESSAGE))


@EACH
@pytest.mark.parametrize("length", [0, 4, 7])
def test_a_shortened_mac_is_refused(algorithm: MacAlgorithm, length: int) -> None:
    with pytest.raises(SignatureInvalid):
        mac.verify(algorithm, KEY, MESSAGE, mac.tag(algorithm, KEY, MESSAGE)[:length])


@EACH
def test_a_longer_mac_is_refused(algorithm: MacAlgorithm) -> None:
    with pytest.raises(SignatureInvalid):
        mac.verify(algorithm, KEY, MESSAGE, mac.tag(algorithm, KEY, MESSAGE) + b"\0")


@EACH
@pytest.mark.parametrize("key", [b"", KEY[:8], KEY + KEY[:7]])
def test_a_key_of_wrong_length_is_refused(algorithm: MacAlgorithm, key: bytes) -> None:
    with pytest.raises(Misconfigured):
        mac.check_key(algorithm, key)
    with pytest.raises(Misconfigured):
        mac.tag(algorithm, key, MESSAGE)


def test_an_x9_19_key_with_equal_halves_is_refused() -> None:
    with pytest.raises(Misconfigured):
        mac.retail_mac(KEY[:8] * 2, MESSAGE)


@pytest.mark.parametrize("length", [0, 7, 17])
def test_a_cmac_is_cut_to_eight_bytes_at_least(length: int) -> None:
    with pytest.raises(Misconfigured):
        mac.cmac(KEY, MESSAGE, length)


def test_an_empty_message_has_the_retail_mac_of_one_zero_block() -> None:
    assert mac.retail_mac(KEY, bytes(8)) == mac.retail_mac(KEY, b"")
