"""What is sent to an ISO 8583 back end, element by element."""

import datetime as dt
from typing import Any

import pytest

from tallystick.adapters.connectors.iso8583_messages import (
    Manage,
    answer_type,
    authorisation,
    inquiry,
    management,
    pin_elements,
    reply,
    reversal,
)
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings, MessageKind
from tallystick.assembly.facts import Order
from tallystick.delivery.model import Instruction, MessageIds, Original
from tallystick.errors import FieldInvalid
from tallystick.runtime import Millis
from tallystick.secret import Pan, Secret
from tallystick.vault.model import CardCredential

BEIJING = dt.timezone(dt.timedelta(hours=8))
AT = Millis(1_764_000_000_999)  # 2025-11-24T16:00:00.999Z
LATER = Millis(1_764_000_060_000)
CARD = CardCredential(pan=Pan("6221558812340000"), expiry=Secret("3012"))
ORDER = Order(payee="Tea shop", amount=1000, currency="CNY")
IDS = MessageIds(stan="000123", rrn="532800000123", key="k", at=AT)
OWN = MessageIds(stan="000124", rrn="532800000124", key="l", at=LATER)
ORIGINAL = Original(payment_id="pay_1", order=ORDER, ids=IDS, account=Secret("6221558812340000"))
BLOCK = bytes.fromhex("0011223344556677")
SECRETS = {"14", "26", "52", "53", "55"}


def settings(**changes: Any) -> Iso8583Settings:
    plain = {
        "host": "127.0.0.1",
        "port": 1,
        "server_name": "localhost",
        "acquirer": "48021910",
        "forwarder": "48021911",
        "terminal": "00000001",
        "merchant": "898310148160001",
        "mac_key": Secret("2B7E151628AED2A6ABF7158809CF4F3C"),
        "pin_key": Secret("0123456789ABCDEFFEDCBA9876543210"),
    }
    return Iso8583Settings(**{**plain, **changes})


def request(card: CardCredential = CARD, *, kind: MessageKind = MessageKind.FINANCIAL, **order: Any) -> dict[str, str]:
    instruction = Instruction(
        payment_id="pay_1",
        order=Order(**{"payee": "Tea shop", "amount": 1000, "currency": "CNY", **order}),
        ids=IDS,
        credential=card,
    )
    return authorisation(instruction, card, settings(message=kind), BEIJING)


PURCHASE = {
    "t": "0200",
    "2": "6221558812340000",
    "3": "000000",
    "4": "000000001000",
    "7": "1125000000",
    "11": "000123",
    "12": "000000",
    "13": "1125",
    "14": "3012",
    "22": "012",
    "25": "00",
    "32": "48021910",
    "33": "48021911",
    "37": "532800000123",
    "41": "00000001",
    "42": "898310148160001",
    "49": "156",
}
REVERSAL = {
    **{number: value for number, value in PURCHASE.items() if number != "14"},
    "t": "0420",
    "7": "1125000100",
    "11": "000124",
    "90": "0200" + "000123" + "1125000000" + "00048021910" + "00048021911",
}


def test_a_purchase_is_exactly_this() -> None:
    assert PURCHASE == request()


def test_a_pre_authorisation_differs_in_type_processing_code_and_condition() -> None:
    assert PURCHASE | {"t": "0100", "3": "030000", "25": "06"} == request(kind=MessageKind.AUTHORISATION)


def test_chip_data_go_as_they_are_under_their_entry_mode() -> None:
    chip = CardCredential(pan=CARD.pan, expiry=CARD.expiry, chip=Secret("9F2601AA"))

    assert PURCHASE | {"22": "052", "55": "9F2601AA"} == request(chip)


@pytest.mark.parametrize(
    ("changes", "control"),
    [
        ({}, {"53": "2600000000000000"}),
        ({"security_control": "1600000000000000"}, {"53": "1600000000000000"}),
        ({"pin_format": 4}, {}),
        ({"pin_format": 4, "security_control": "2700000000000000"}, {"53": "2700000000000000"}),
    ],
)
def test_a_pin_block_brings_its_entry_mode_and_its_control_elements(
    changes: dict[str, Any], control: dict[str, str]
) -> None:
    with_pin = {"22": "011", "26": "12", "52": "0011223344556677"}

    assert with_pin | control == pin_elements(PURCHASE, BLOCK, settings(**changes))


def test_a_pin_block_beside_chip_data_keeps_their_entry_mode() -> None:
    assert "051" == pin_elements(PURCHASE | {"22": "052"}, BLOCK, settings())["22"]


def test_a_card_without_expiry_sends_none() -> None:
    assert "14" not in request(CardCredential(pan=CARD.pan))


@pytest.mark.parametrize("order", [{"amount": 0}, {"amount": -1}, {"amount": 10**12}, {"currency": "cny"}])
def test_an_order_that_the_message_cannot_carry_is_refused(order: dict[str, Any]) -> None:
    with pytest.raises(FieldInvalid):
        request(**order)


def test_a_reversal_names_the_original_under_identifiers_of_its_own() -> None:
    assert REVERSAL == reversal(ORIGINAL, OWN, settings(), BEIJING, repeat=False)


def test_a_reversal_holds_nothing_secret_but_the_card_number() -> None:
    assert not SECRETS & reversal(ORIGINAL, OWN, settings(), BEIJING, repeat=True).keys()


@pytest.mark.parametrize(("kind", "repeated"), [("0420", "0421"), ("0400", "0401")])
def test_a_repeat_differs_in_its_type_only(kind: str, repeated: str) -> None:
    first, again = (reversal(ORIGINAL, OWN, settings(reversal=kind), BEIJING, repeat=each) for each in (False, True))

    assert (kind, repeated) == (first["t"], again["t"])
    assert first | {"t": repeated} == again


def test_the_reversal_of_a_pre_authorisation_repeats_its_kind() -> None:
    message = reversal(ORIGINAL, OWN, settings(message=MessageKind.AUTHORISATION), BEIJING, repeat=False)

    assert ("030000", "06", "0100") == (message["3"], message["25"], message["90"][:4])


def test_an_inquiry_is_a_query_about_the_original() -> None:
    assert REVERSAL | {"t": "0100", "3": "310000"} == inquiry(ORIGINAL, OWN, settings(), BEIJING)


def test_a_follow_up_without_the_card_number_is_refused() -> None:
    bare = Original(payment_id="pay_1", order=ORDER, ids=IDS)
    for write in (
        lambda: reversal(bare, OWN, settings(), BEIJING, repeat=False),
        lambda: inquiry(bare, OWN, settings(), BEIJING),
    ):
        with pytest.raises(FieldInvalid):
            write()


def test_a_network_message_says_who_when_and_what() -> None:
    plain = {"t": "0800", "7": "1125000000", "11": "000001", "33": "48021911", "70": "301"}

    assert plain == management(Manage.ECHO, "000001", AT, settings(), BEIJING)
    assert plain | {"70": "101", "53": "16"} == management(Manage.KEY_RESET, "000001", AT, settings(), BEIJING, "16")


def test_an_answer_to_the_switch_repeats_what_identifies_its_request() -> None:
    asked = {"t": "0800", "7": "0101000000", "11": "900001", "48": "block", "53": "16", "70": "101"}

    assert {"t": "0810", "7": "0101000000", "11": "900001", "53": "16", "70": "101", "39": "00"} == reply(asked, "00")


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("0100", "0110"), ("0200", "0210"), ("0400", "0410"), ("0401", "0410"), ("0420", "0430"), ("0421", "0430")],
)
def test_a_repeat_has_the_answer_of_the_first(kind: str, answer: str) -> None:
    assert answer == answer_type(kind)
