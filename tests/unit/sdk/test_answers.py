"""No answer is believed before its signature is."""

import json

import pytest

from tallystick.crypto.httpsig import sign_response
from tallystick.crypto.signing import EcdsaPrivate, Ed25519Private, HmacKey, Signer
from tallystick.sdk.answers import Answer, answer_key, read_answer
from tallystick.sdk.errors import AnswerNotProven, AnswerUnreadable, PlatformProblem
from tallystick.sdk.requests import Credentials
from tallystick.wire.payment import Done

NONCE = "n" * 16
MAC = HmacKey(b"k" * 32)
BODY = b'{"status":"done"}'
PROBLEM = {
    "type": "about:blank",
    "title": "Conflict",
    "status": 409,
    "detail": "this nonce was used before",
    "code": "replayed",
    "remedy": "Sign anew.",
    "field": "nonce",
    "request_id": "req_a",
}


def signed(status: int, body: bytes, key: Signer = MAC, nonce: str = NONCE, **headers: str) -> Answer:
    signature = sign_response(key, keyid="ch_shop", status=status, body=body, created=1, nonce=nonce)
    return Answer(status, {**headers, **signature}, body)


def problem(answer: Answer) -> PlatformProblem:
    with pytest.raises(PlatformProblem) as caught:
        read_answer(answer, MAC, NONCE, Done)
    return caught.value


def test_a_signed_success_is_read() -> None:
    assert Done() == read_answer(signed(201, BODY), MAC, NONCE, Done)


def test_senders_with_a_mac_key_expect_it_on_answers_and_others_the_identity_key() -> None:
    identity = Ed25519Private().public()
    assert MAC is answer_key(Credentials("ch_shop", MAC), identity)
    assert identity is answer_key(Credentials("ch_shop", Ed25519Private()), identity)
    assert identity is answer_key(Credentials("ch_shop", EcdsaPrivate()), identity)


def test_an_answer_by_the_identity_key_is_read() -> None:
    identity = Ed25519Private()
    assert Done() == read_answer(signed(200, BODY, identity), identity.public(), NONCE, Done)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {}, BODY),
        signed(200, BODY, HmacKey(b"x" * 32)),
        signed(200, BODY, nonce="m" * 16),
        Answer(202, signed(200, BODY).headers, BODY),
        Answer(200, signed(200, BODY).headers, BODY + b" "),
        Answer(200, {"signature": "sig1=:AAAA:"}, BODY),
        Answer(409, signed(200, BODY).headers, json.dumps(PROBLEM).encode()),
    ],
    ids=["unsigned", "other key", "other request", "other status", "other body", "half a signature", "forged problem"],
)
def test_what_the_platform_did_not_sign_for_this_request_is_not_believed(answer: Answer) -> None:
    with pytest.raises(AnswerNotProven):
        read_answer(answer, MAC, NONCE, Done)


def test_a_signed_problem_is_raised_with_all_it_says() -> None:
    raised = problem(signed(409, json.dumps(PROBLEM).encode()))
    assert (raised.code, raised.status, raised.detail) == ("replayed", 409, "this nonce was used before")
    assert (raised.remedy, raised.field, raised.request_id) == ("Sign anew.", "nonce", "req_a")
    assert raised.proven
    assert str(raised) == "409 replayed: this nonce was used before Sign anew."


def test_an_unsigned_problem_is_reported_as_such() -> None:
    raised = problem(Answer(401, {}, b'{"code":"certificate_missing","title":"Unauthorized"}'))
    assert (raised.code, raised.detail, raised.proven) == ("certificate_missing", "Unauthorized", False)


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"\xff", b"[]", b""])
def test_a_failure_without_a_problem_document_is_a_problem_of_unknown_code(body: bytes) -> None:
    raised = problem(Answer(502, {}, body))
    assert (raised.code, raised.status) == ("unknown", 502)


@pytest.mark.parametrize(
    ("header", "expected"), [("7", 7), ("", None), ("soon", None), ("-1", None), ("9999999", None), ("²", None)]
)
def test_the_time_to_wait_is_read_when_it_is_a_number_of_seconds(header: str, expected: int | None) -> None:
    assert expected == problem(Answer(503, {"retry-after": header}, b"{}")).retry_after


@pytest.mark.parametrize("answer", [signed(302, BODY), signed(200, b"{"), signed(200, b'{"status":"other"}')])
def test_a_proven_answer_of_another_shape_is_called_unreadable(answer: Answer) -> None:
    with pytest.raises(AnswerUnreadable):
        read_answer(answer, MAC, NONCE, Done)
