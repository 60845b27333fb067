"""What is asked of an ISO 8583 back end, and what its answers mean."""

import datetime as dt
from typing import Any

import pytest

from tallystick.adapters.connectors.iso8583_messages import judge, management, purchase
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings
from tallystick.assembly.facts import Order
from tallystick.delivery.model import Answer, Instruction, MessageIds, Verdict
from tallystick.errors import FieldInvalid, OutcomeUnknown
from tallystick.runtime import Millis
from tallystick.secret import Pan, Secret
from tallystick.vault.model import CardCredential

SETTINGS = Iso8583Settings(
    host="127.0.0.1",
    port=1,
    server_name="localhost",
    acquirer="48021910",
    forwarder="48021911",
    terminal="00000001",
    merchant="898310148160001",
    mac_key=Secret("2B7E151628AED2A6ABF7158809CF4F3C"),
    pin_key=Secret("0123456789ABCDEFFEDCBA9876543210"),
)
BEIJING = dt.timezone(dt.timedelta(hours=8))
AT = Millis(1_764_000_000_999)  # 2025-11-24T16:00:00.999Z
CARD = CardCredential(pan=Pan("6221558812340000"), expiry=Secret("3012"))


def request(block: bytes | None = None, card: CardCredential = CARD, **order: Any) -> dict[str, str]:
    instruction = Instruction(
        payment_id="pay_1",
        order=Order(**{"payee": "Tea shop", "amount": 1000, "currency": "CNY", **order}),
        ids=MessageIds(stan="000123", rrn="532800000123", key="k", at=AT),
        credential=card,
    )
    return purchase(instruction, card, block, SETTINGS, BEIJING)


PLAIN = {
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
ANSWER = {number: PLAIN[number] for number in ("4", "7", "11", "37", "41")} | {"t": "0210", "39": "00"}


def test_a_purchase_without_pin_is_exactly_this() -> None:
    assert PLAIN == request()


def test_a_pin_block_brings_its_entry_mode_and_its_control_elements() -> None:
    with_pin = {"22": "011", "26": "12", "52": "0011223344556677", "53": "2600000000000000"}

    assert PLAIN | with_pin == request(bytes.fromhex("0011223344556677"))


def test_a_card_without_expiry_sends_none() -> None:
    assert "14" not in request(card=CardCredential(pan=CARD.pan))


@pytest.mark.parametrize("order", [{"amount": 0}, {"amount": -1}, {"amount": 10**12}, {"currency": "cny"}])
def test_an_order_that_the_message_cannot_carry_is_refused(order: dict[str, Any]) -> None:
    with pytest.raises(FieldInvalid):
        request(**order)


def test_a_network_message_says_who_when_and_what() -> None:
    assert {"t": "0800", "7": "1125000000", "11": "000001", "33": "48021911", "70": "301"} == management(
        "301", "000001", AT, SETTINGS, BEIJING
    )


@pytest.mark.parametrize("code", ["00", "11"])
def test_an_approval_carries_its_approval_code(code: str) -> None:
    answer = judge(PLAIN, ANSWER | {"39": code, "38": "A1    "})

    assert Answer(verdict=Verdict.APPROVED, code=code, approval="A1") == answer


@pytest.mark.parametrize("code", ["05", "14", "51", "54", "55", "75", "91", "92", "99", "A0"])
def test_a_code_after_which_no_money_moved_is_a_decline(code: str) -> None:
    assert Answer(verdict=Verdict.DECLINED, code=code) == judge(PLAIN, ANSWER | {"39": code})


@pytest.mark.parametrize("code", ["06", "09", "10", "22", "68", "94", "96", "98", "ZZ"])
def test_any_other_code_leaves_the_outcome_unknown(code: str) -> None:
    with pytest.raises(OutcomeUnknown):
        judge(PLAIN, ANSWER | {"39": code})


def test_an_answer_without_a_code_leaves_the_outcome_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        judge(PLAIN, {number: value for number, value in ANSWER.items() if number != "39"})


@pytest.mark.parametrize("number", ["4", "7", "11", "37", "41"])
def test_an_approval_of_something_else_leaves_the_outcome_unknown(number: str) -> None:
    other = ANSWER[number][:-1] + "9"
    with pytest.raises(OutcomeUnknown):
        judge(PLAIN, ANSWER | {number: other})
    with pytest.raises(OutcomeUnknown):
        judge(PLAIN, {kept: value for kept, value in ANSWER.items() if kept != number})
