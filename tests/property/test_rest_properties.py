"""The REST back end protocol under generated messages: nothing is lost, and nothing altered is taken for an answer."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from tallystick import limits
from tallystick.adapters.connectors.rest_answers import judge, prove
from tallystick.crypto.binding import bind
from tallystick.crypto.httpsig import sign_request, sign_response
from tallystick.crypto.jose import JweKey, seal_jwe
from tallystick.crypto.signing import Ed25519Private
from tallystick.delivery.model import Answer, Verdict
from tallystick.errors import Malformed, OutcomeUnknown
from tallystick.runtime import SystemClock
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.rest_back_end import RestBackEnd
from tallystick.testing.sandbox.rest_rules import APPROVED, Ruling
from tallystick.wire import rest as wire

KEY = Ed25519Private()
ENCRYPTION_KEY = JweKey.generate("enc-1")
NONCE = "nonce-of-22-characters"
PAYMENT_KEY = "req_1"
BODY = wire.encode(
    wire.AuthorisationResponse(version=1, payment_key=PAYMENT_KEY, verdict="approved", code="00", approval="000001")
)
HEADERS = sign_response(KEY, keyid="bank-1", status=200, body=BODY, created=1_700_000_000, nonce=NONCE)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
payment_keys = st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z")
orders = st.builds(
    wire.RestOrder,
    payee=texts,
    amount=st.integers(1, limits.AMOUNT_MAX),
    currency=st.from_regex(r"\A[A-Z]{3}\Z"),
    reference=st.text(st.characters(exclude_categories=["Cs"]), max_size=limits.REFERENCE_MAX),
)
credentials = st.one_of(
    st.builds(wire.WireAccount, account=texts.map(Secret), secret=texts.map(Secret)),
    st.builds(
        wire.WireCard,
        pan=texts.map(Pan),
        expiry=st.none() | texts.map(Secret),
        pin_block=st.none() | texts.map(Secret),
    ),
)
KINDS: list[type[Struct]] = [
    wire.AuthorisationRequest,
    wire.AuthorisationResponse,
    wire.HealthResponse,
    wire.OutcomeNotice,
    wire.RequestStatus,
    wire.ReversalRequest,
    wire.ReversalResponse,
]


def request(key: str, amount: int, nonce: str) -> tuple[dict[str, str], bytes]:
    """Build an authorisation request by the documented recipe."""
    clear = wire.encode(wire.WireAccount(account=Secret("alipay:alice"), secret=Secret("secret")))
    info = bind("tallystick-rest-v1", "40010001", key, "Shop", str(amount), "CNY")
    message = wire.AuthorisationRequest(
        version=1,
        payment_key=key,
        order=wire.RestOrder(payee="Shop", amount=amount, currency="CNY"),
        sent_at=1,
        credential=seal_jwe(ENCRYPTION_KEY.public_jwk(), clear, info, "tallystick-credential+jwe"),
    )
    body = wire.encode(message)
    headers = {"content-type": "application/json", "idempotency-key": key}
    signature = sign_request(
        KEY,
        keyid="platform-1",
        method="POST",
        target="/v1/authorisations",
        body=body,
        headers=headers,
        covered=("@method", "@path", "content-digest", "content-type", "idempotency-key"),
        created=SystemClock().now() // 1000,
        nonce=nonce,
    )
    return {**headers, **signature}, body


@given(credential=credentials)
def test_every_credential_comes_out_of_its_json_as_it_went_in(credential: wire.WireCredential) -> None:
    assert credential == wire.decode_credential(wire.encode(credential))


@given(order=orders, key=payment_keys, at=st.integers(0, 2**53))
def test_every_request_comes_out_of_its_json_as_it_went_in(order: wire.RestOrder, key: str, at: int) -> None:
    request = wire.AuthorisationRequest(version=1, payment_key=key, order=order, sent_at=at, credential="a.b.c.d.e")
    assert request == wire.decode(wire.encode(request), wire.AuthorisationRequest)


@given(
    requests=st.lists(st.tuples(st.sampled_from(["req_1", "req_2"]), st.sampled_from([5, 6, 951])), max_size=8),
)
def test_the_sandbox_decides_each_payment_key_once_whatever_comes(requests: list[tuple[str, int]]) -> None:
    record = Record()
    back_end = RestBackEnd(
        institution="40010001",
        platform_key=KEY.public(),
        platform_keyid="platform-1",
        encryption_key=ENCRYPTION_KEY,
        rules=lambda credential, amount: Ruling(APPROVED if amount < 900 else "51", "verified"),
        record=record,
        clock=SystemClock(),
    )
    verdicts: dict[str, set[bytes]] = {}
    for n, (key, amount) in enumerate(requests):
        headers, body = request(key, amount, f"nonce-of-16-chars-{n}")
        reply = back_end.reply("POST", wire.AUTHORISATIONS, headers, body)
        if b"verdict" in reply.body:
            verdicts.setdefault(key, set()).add(reply.body)
    effective = [entry["payment_key"] for entry in record.entries if entry.get("effective")]
    assert len(set(effective)) == len(effective)
    assert {key: 1 for key, _ in requests} == {key: len(different) for key, different in verdicts.items()}


@given(body=st.binary(max_size=300))
def test_arbitrary_bytes_are_malformed_and_nothing_else(body: bytes) -> None:
    for kind in KINDS:
        with pytest.raises(Malformed):
            wire.decode(body, kind)
    with pytest.raises(Malformed):
        wire.decode_credential(body)


def judged(
    status: int = 200,
    headers: dict[str, str] = HEADERS,
    body: bytes = BODY,
    nonce: str = NONCE,
    payment_key: str = PAYMENT_KEY,
) -> Answer:
    return judge(prove(KEY.public(), status, headers, body, nonce), payment_key)


def test_the_untouched_answer_is_a_decision() -> None:
    expected = Answer(verdict=Verdict.APPROVED, code="00", approval="000001")
    assert expected == judged()


@given(position=st.integers(0, len(BODY) - 1), byte=st.integers(0, 255))
def test_an_answer_with_any_byte_changed_is_no_decision(position: int, byte: int) -> None:
    altered = BODY[:position] + bytes([byte]) + BODY[position + 1 :]
    if altered != BODY:
        with pytest.raises(OutcomeUnknown):
            judged(body=altered)


def without_spare_bits(signature: str) -> str:
    """Cut what stands for the same bytes whatever it is: the last letter before `==` holds four unused bits."""
    return re.sub(r"[A-Za-z0-9+/]==:", "", signature)


@given(data=st.data())
def test_an_answer_with_any_character_of_its_signature_headers_changed_is_no_decision(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["content-digest", "signature-input", "signature"]))
    value = HEADERS[name]
    position = data.draw(st.integers(0, len(value) - 1))
    altered = value[:position] + data.draw(st.characters(max_codepoint=255)) + value[position + 1 :]
    if name == "signature" and without_spare_bits(value) == without_spare_bits(altered):
        return
    if altered.strip(" \t") != value:
        with pytest.raises(OutcomeUnknown):
            judged(headers={**HEADERS, name: altered})


@given(status=st.integers(100, 599))
def test_only_200_approves(status: int) -> None:
    headers = sign_response(KEY, keyid="bank-1", status=status, body=BODY, created=1_700_000_000, nonce=NONCE)
    if status == 200:
        assert Verdict.APPROVED is judged(status=status, headers=headers).verdict
    else:
        with pytest.raises(OutcomeUnknown):
            judged(status=status, headers=headers)


@given(nonce=st.text("abc", min_size=16, max_size=22), payment_key=payment_keys)
def test_an_answer_to_another_request_is_no_decision(nonce: str, payment_key: str) -> None:
    for other, key in ((nonce, PAYMENT_KEY), (NONCE, payment_key)):
        if (other, key) != (NONCE, PAYMENT_KEY):
            with pytest.raises(OutcomeUnknown):
                judged(nonce=other, payment_key=key)
