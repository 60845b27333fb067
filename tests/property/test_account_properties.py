"""Whatever bytes come in the place of an account system's message, nothing but the signed ones is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.adapters.connectors import account_answers
from tallystick.assembly.facts import Order
from tallystick.crypto.rsa_sign import RsaPrivate, sign_message, verify_message
from tallystick.errors import DeliveryError, Malformed, SignatureInvalid
from tallystick.runtime import Millis
from tallystick.wire import account as wire

KEY = RsaPrivate()
NOW = Millis(1_800_000_000_000)
ORDER = Order(payee="Shop", amount=1250, currency="CNY")
BODY = (
    b'{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":""},'
    b'"paymentRequestId":"req_1","paymentAmount":{"currency":"CNY","value":"1250"}}'
)
HEADERS = sign_message(
    KEY, 1, method="POST", path=wire.PAY, client_id="C1", time_header="response-time", at=NOW, body=BODY
)


def verify(headers: dict[str, str], body: bytes) -> None:
    verify_message(
        {1: KEY.public()},
        method="POST",
        path=wire.PAY,
        client_id="C1",
        time_header="response-time",
        headers=headers,
        body=body,
        now=NOW,
    )


@given(position=st.integers(0, len(BODY) - 1), byte=st.integers(0, 255))
def test_a_body_with_any_byte_changed_is_refused(position: int, byte: int) -> None:
    altered = BODY[:position] + bytes([byte]) + BODY[position + 1 :]
    if altered == BODY:
        verify(HEADERS, altered)
    else:
        with pytest.raises(SignatureInvalid):
            verify(HEADERS, altered)


@given(name=st.sampled_from(sorted(HEADERS)), value=st.text(max_size=400))
def test_any_other_header_value_is_refused(name: str, value: str) -> None:
    if value != HEADERS[name]:
        with pytest.raises(SignatureInvalid):
            verify({**HEADERS, name: value}, BODY)


@given(body=st.binary(max_size=300))
def test_arbitrary_bytes_are_no_callback_and_no_answer(body: bytes) -> None:
    with pytest.raises(Malformed):
        account_answers.told(body)
    for read in (account_answers.acknowledged, account_answers.require_health):
        with pytest.raises(DeliveryError):
            read(body)
    for judge in (account_answers.judge, account_answers.found):
        with pytest.raises(DeliveryError):
            judge(body, ORDER)
