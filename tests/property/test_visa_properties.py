"""Tokens, seals and messages of the wallet in Visa's style, whatever comes."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.crypto import mle, pay_token
from tallystick.crypto.mle import MleKey
from tallystick.errors import EnvelopeUnopenable, Malformed, SignatureInvalid
from tallystick.runtime import Millis
from tallystick.secret import Pan, Secret
from tallystick.wire import visa as wire
from tallystick.wire.rest import decode, encode

KEY = MleKey.generate("own-1")
NOW = Millis(1_767_225_600_000)
SECRET = Secret("a shared secret of forty characters long")
TOKEN = KEY.public().seal(b"content", NOW)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
keys = st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z")
instants = st.integers(1_000_000_000_000, 9_999_999_999_999).map(Millis)
cards = st.builds(
    wire.WalletCard,
    primary_account_number=texts.map(Pan),
    expiration=texts.map(Secret),
    pin_block=st.none() | texts.map(Secret),
)
authorizations = st.builds(
    wire.Authorization,
    idempotency_key=keys,
    merchant_name=texts,
    amount=st.integers(1, limits.AMOUNT_MAX),
    currency=st.from_regex(r"\A[A-Z]{3}\Z"),
    sent_at=st.integers(0, 2**53),
    card=cards,
    reference=st.text(st.characters(exclude_categories=["Cs"]), max_size=limits.REFERENCE_MAX),
)
headers = st.dictionaries(
    st.sampled_from(["alg", "enc", "kid", "typ", "iat", "zip", "crit", "epk", "p2c"]),
    st.sampled_from(["RSA-OAEP-256", "A128GCM", "own-1", "JWE", "DEF", NOW, 0, -1, 2**70, None, True, [], {}]),
)


def coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@given(st.binary(max_size=4_000), instants, st.sampled_from(["A128GCM", "A256GCM"]))
def test_whatever_is_sealed_opens_as_it_was(content: bytes, at: Millis, enc: mle.ContentEncryption) -> None:
    assert content == KEY.open(KEY.public().seal(content, at, enc), at)


@given(st.text(max_size=200) | st.lists(st.binary(max_size=40).map(coded), max_size=7).map(".".join))
def test_no_text_opens_and_none_is_refused_in_another_way(token: str) -> None:
    with pytest.raises(EnvelopeUnopenable):
        KEY.open(token, NOW)


@given(headers)
def test_a_token_whose_header_was_exchanged_never_opens(header: dict[str, object]) -> None:
    rest = TOKEN.partition(".")[2]
    with pytest.raises(EnvelopeUnopenable):
        KEY.open(f"{coded(json.dumps(header).encode())}.{rest}", NOW)


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_token_with_another_character_anywhere_never_gives_other_content(place: int, character: str) -> None:
    try:
        content = KEY.open(TOKEN[:place] + character + TOKEN[place + 1 :], NOW)
    except EnvelopeUnopenable:
        return
    assert b"content" == content  # the last bits of a base64url segment may be anything


@given(st.binary(max_size=200), instants)
def test_a_request_token_is_taken_for_its_own_text_and_time(text: bytes, at: Millis) -> None:
    pay_token.verify(SECRET, pay_token.make(SECRET, at, text), text, at)


@given(st.text(max_size=100) | st.from_regex(r"\Axv2:[0-9]{10}:[0-9a-f]{64}\Z"), st.binary(max_size=40), instants)
def test_no_other_text_is_a_request_token(token: str, text: bytes, now: Millis) -> None:
    with pytest.raises(SignatureInvalid):
        pay_token.verify(SECRET, token, text, now)


@given(authorizations)
def test_every_authorization_comes_out_of_its_json_as_it_went_in(message: wire.Authorization) -> None:
    assert message == decode(encode(message), wire.Authorization)


@given(st.binary(max_size=200) | authorizations.map(encode))
def test_no_message_is_taken_for_another_kind(body: bytes) -> None:
    for kind in (wire.Query, wire.Reversal, wire.Health, wire.AuthorizationAnswer, wire.QueryAnswer, wire.Sealed):
        with pytest.raises(Malformed):
            decode(body, kind)
