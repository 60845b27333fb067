"""What answers of an ISO 8583 back end mean: to an authorisation, to a reversal, to an inquiry."""

import pytest

from tallystick.adapters.connectors.iso8583_answers import ECHOED, acknowledged, found, judge
from tallystick.delivery.model import Answer, Finding, Known, Verdict
from tallystick.errors import OutcomeUnknown, ReversalRefused
from tallystick.iso8583.responses import RESPONSES, Effect

REQUEST = {"t": "0200", "4": "000000001000", "7": "1125000000", "11": "000123", "37": "532800000123", "41": "00000001"}
ANSWER = {number: REQUEST[number] for number in ECHOED} | {"t": "0210", "39": "00"}


@pytest.mark.parametrize("code", ["00", "11"])
def test_an_approval_carries_its_approval_code(code: str) -> None:
    answer = judge(REQUEST, ANSWER | {"39": code, "38": "A1    "})

    assert Answer(verdict=Verdict.APPROVED, code=code, approval="A1") == answer


@pytest.mark.parametrize("code", ["05", "14", "51", "54", "55", "75", "97", "99", "A0"])
def test_a_code_after_which_no_money_moved_is_a_decline(code: str) -> None:
    assert Answer(verdict=Verdict.DECLINED, code=code) == judge(REQUEST, ANSWER | {"39": code})


def test_a_missing_route_is_a_decline_after_which_another_route_may_be_tried() -> None:
    expected = Answer(verdict=Verdict.DECLINED, code="92", elsewhere=True)

    assert expected == judge(REQUEST, ANSWER | {"39": "92"})


@pytest.mark.parametrize("code", ["06", "09", "10", "22", "68", "91", "94", "96", "98", "ZZ"])
def test_any_other_code_leaves_the_outcome_unknown(code: str) -> None:
    with pytest.raises(OutcomeUnknown):
        judge(REQUEST, ANSWER | {"39": code})


def test_every_code_of_the_table_gives_the_verdict_of_its_effect() -> None:
    verdicts = {
        Effect.APPROVED: Verdict.APPROVED,
        Effect.DECLINED: Verdict.DECLINED,
        Effect.ELSEWHERE: Verdict.DECLINED,
    }
    for code, response in RESPONSES.items():
        if response.effect is Effect.UNKNOWN:
            with pytest.raises(OutcomeUnknown):
                judge(REQUEST, ANSWER | {"39": code})
        else:
            assert verdicts[response.effect] is judge(REQUEST, ANSWER | {"39": code}).verdict


def test_an_answer_without_a_code_leaves_everything_open() -> None:
    without = {number: value for number, value in ANSWER.items() if number != "39"}
    with pytest.raises(OutcomeUnknown):
        judge(REQUEST, without)
    with pytest.raises(OutcomeUnknown):
        acknowledged(REQUEST, without, repeat=True)
    with pytest.raises(OutcomeUnknown):
        found(REQUEST, without)


@pytest.mark.parametrize("number", ECHOED)
def test_an_answer_to_something_else_leaves_everything_open(number: str) -> None:
    other = ANSWER | {number: REQUEST[number][:-1] + "9", "44": "A00"}
    missing = {kept: value for kept, value in other.items() if kept != number}
    for answer in (other, missing):
        with pytest.raises(OutcomeUnknown):
            judge(REQUEST, answer)
        with pytest.raises(OutcomeUnknown):
            acknowledged(REQUEST, answer, repeat=True)
        with pytest.raises(OutcomeUnknown):
            found(REQUEST, answer)


@pytest.mark.parametrize(("code", "repeat"), [("00", False), ("00", True), ("11", False), ("25", True)])
def test_a_reversal_is_acknowledged_by_an_approval_or_by_a_second_not_found(code: str, *, repeat: bool) -> None:
    assert code == acknowledged(REQUEST, ANSWER | {"39": code}, repeat=repeat)


@pytest.mark.parametrize("code", ["25", "06", "22", "68", "96", "98", "91", "92", "90", "97", "99", "A0", "77", "ZZ"])
def test_a_reversal_is_repeated_when_nothing_was_settled(code: str) -> None:
    with pytest.raises(OutcomeUnknown):
        acknowledged(REQUEST, ANSWER | {"39": code}, repeat=False)


@pytest.mark.parametrize("code", ["12", "13", "30", "40", "57", "64"])
def test_a_definite_refusal_of_a_reversal_is_for_a_person(code: str) -> None:
    for repeat in (False, True):
        with pytest.raises(ReversalRefused, match=code):
            acknowledged(REQUEST, ANSWER | {"39": code}, repeat=repeat)


@pytest.mark.parametrize(
    ("code", "told", "finding"),
    [
        ("00", "A00", Finding(known=Known.APPROVED, code="00")),
        ("00", "D51", Finding(known=Known.DECLINED, code="51")),
        ("00", "R00", Finding(known=Known.REVERSED, code="00")),
        ("00", "P", Finding(known=Known.PENDING)),
        ("00", "P  ", Finding(known=Known.PENDING)),
        ("25", "", Finding(known=Known.NOT_FOUND, code="25")),
    ],
)
def test_an_inquiry_is_answered_by_state_and_code_of_the_original(code: str, told: str, finding: Finding) -> None:
    assert finding == found(REQUEST, ANSWER | {"39": code, "44": told})


@pytest.mark.parametrize(("code", "told"), [("00", ""), ("00", "X00"), ("12", "A00"), ("96", "A00"), ("30", "")])
def test_an_inquiry_that_is_not_answered_finds_nothing(code: str, told: str) -> None:
    with pytest.raises(OutcomeUnknown):
        found(REQUEST, ANSWER | {"39": code, "44": told})
