"""The MAC text of a UnionPay member link: which elements, in which form."""

from tallystick.iso8583.mac_text import MEMBER, MEMBER_MANAGEMENT, mab
from tallystick.iso8583.spec import ELEMENTS

REVERSAL = {"t": "0420", "4": "000000001000", "90": "020000012311231907300004802191000048021910"}
RESET = {"t": "0800", "7": "1123190730", "11": "000001", "53": "2600000000000000", "70": "101", "100": "48021910"}


def test_elements_stand_in_the_order_of_the_list_whatever_the_order_given() -> None:
    assert b"0200 03622 000000001000 000001" == mab({"11": "000001", "4": "000000001000", "2": "622", "t": "0200"})


def test_the_original_data_elements_are_covered_up_to_the_time() -> None:
    assert b"0420 000000001000 02000001231123190730" == mab(REVERSAL)


def test_a_network_management_message_has_its_own_list_with_the_code_that_says_what_it_does() -> None:
    assert b"0800 1123190730 000001 2600000000000000 101 0848021910" == mab(RESET)


def test_letters_are_written_large_and_all_but_letters_digits_comma_and_stop_are_left_out() -> None:
    assert b"0200 SHOP, NO. 1" == mab({"t": "0200", "42": " shop*, no.  1 "})


def test_an_element_of_which_nothing_is_left_leaves_no_space() -> None:
    assert b"0200 000001 00000001" == mab({"t": "0200", "11": "000001", "38": "******", "41": "00000001"})


def test_every_covered_element_exists_and_none_is_a_pin_block() -> None:
    assert {*MEMBER, *MEMBER_MANAGEMENT} <= ELEMENTS.keys() - {"52"}
