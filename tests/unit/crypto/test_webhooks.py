"""Signatures of webhooks, also as the public `standardwebhooks` library makes and takes them."""

import datetime as dt
import time
from base64 import b64encode

import pytest
import standardwebhooks

from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.webhooks import (
    SIGNATURES_MAX,
    TOLERANCE_MS,
    read_secret,
    sign,
    verify,
    write_secret,
)
from tallystick.errors import FieldInvalid, SignatureInvalid, SignatureMissing, Stale
from tallystick.runtime import Millis
from tallystick.secret import Secret

ID, NOW, BODY = "evt_1", Millis(1_800_000_000_000), b'{"type":"payment.approved"}'
OLD, NEW = write_secret(b"o" * 32), write_secret(b"n" * 32)
IDENTITY = Ed25519Private()


def test_the_example_of_the_specification_is_signed_as_it_says() -> None:
    # The example that the reference libraries of Standard Webhooks all test: secret, id, time and body are theirs.
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", Millis(1_614_265_330_000), b'{"test": 2432232314}', [secret])
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == headers["webhook-signature"]


@pytest.mark.parametrize("known", [[OLD], [NEW], [OLD, NEW]])
def test_during_a_rotation_the_old_and_the_new_secret_both_prove_a_webhook(known: list[Secret]) -> None:
    headers = sign(ID, NOW, BODY, [NEW, OLD])
    assert ID == verify(headers, BODY, secrets=known, now=NOW)


def test_the_identity_key_proves_a_webhook_without_a_shared_secret() -> None:
    headers = sign(ID, NOW, BODY, [NEW], IDENTITY)
    assert ID == verify(headers, BODY, identity=IDENTITY.public(), now=NOW)
    assert ID == verify(headers, BODY, secrets=[NEW], now=NOW)


@pytest.mark.parametrize("changed", [{"webhook-id": "evt_2"}, {"webhook-timestamp": str(NOW // 1000 + 1)}])
def test_id_and_time_are_signed(changed: dict[str, str]) -> None:
    headers = sign(ID, NOW, BODY, [NEW], IDENTITY) | changed
    with pytest.raises(SignatureInvalid):
        verify(headers, BODY, secrets=[NEW], identity=IDENTITY.public(), now=NOW)


def test_the_body_is_signed() -> None:
    with pytest.raises(SignatureInvalid):
        verify(sign(ID, NOW, BODY, [NEW], IDENTITY), BODY + b" ", secrets=[NEW], identity=IDENTITY.public(), now=NOW)


@pytest.mark.parametrize("signature", ["v1,!!!", "v1", ",", "v2,AAAA", "v1a,AAAA", "v1,"])
def test_what_is_no_known_signature_proves_nothing_and_does_not_hide_one(signature: str) -> None:
    headers = sign(ID, NOW, BODY, [NEW])
    with pytest.raises(SignatureInvalid):
        verify(headers | {"webhook-signature": signature}, BODY, secrets=[NEW], now=NOW)
    both = f"{signature} {headers['webhook-signature']}"
    assert ID == verify(headers | {"webhook-signature": both}, BODY, secrets=[NEW], now=NOW)


def test_a_mac_is_never_taken_for_a_signature_of_the_identity_key_nor_the_reverse() -> None:
    headers = sign(ID, NOW, BODY, [NEW], IDENTITY)
    shared, own = headers["webhook-signature"].split()
    swapped = f"v1a{shared[2:]} v1{own[3:]}"
    with pytest.raises(SignatureInvalid):
        verify(headers | {"webhook-signature": swapped}, BODY, secrets=[NEW], identity=IDENTITY.public(), now=NOW)


def test_a_true_signature_under_an_unknown_version_proves_nothing() -> None:
    headers = sign(ID, NOW, BODY, [NEW], IDENTITY)
    unknown = " ".join(f"v9,{each.partition(',')[2]}" for each in headers["webhook-signature"].split())
    with pytest.raises(SignatureInvalid):
        verify(headers | {"webhook-signature": unknown}, BODY, secrets=[NEW], identity=IDENTITY.public(), now=NOW)


def test_without_any_key_nothing_is_proven() -> None:
    with pytest.raises(SignatureInvalid):
        verify(sign(ID, NOW, BODY, [NEW], IDENTITY), BODY, now=NOW)


def test_signatures_beyond_the_bound_are_not_looked_at() -> None:
    headers = sign(ID, NOW, BODY, [NEW])
    many = " ".join(["v1,AAAA"] * SIGNATURES_MAX + [headers["webhook-signature"]])
    with pytest.raises(SignatureInvalid):
        verify(headers | {"webhook-signature": many}, BODY, secrets=[NEW], now=NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_must_be_there(missing: str) -> None:
    headers = sign(ID, NOW, BODY, [NEW])
    with pytest.raises(SignatureMissing):
        verify(headers | {missing: ""}, BODY, secrets=[NEW], now=NOW)


@pytest.mark.parametrize("text", ["-1", "1e9", "", "1" * 13, "٣"])
def test_a_timestamp_is_a_number_of_seconds(text: str) -> None:
    headers = sign(ID, NOW, BODY, [NEW])
    with pytest.raises(SignatureMissing):
        verify(headers | {"webhook-timestamp": text}, BODY, secrets=[NEW], now=NOW)


@pytest.mark.parametrize("way", [1, -1])
def test_a_webhook_is_fresh_for_five_minutes_either_way(way: int) -> None:
    headers = sign(ID, NOW, BODY, [NEW])
    assert ID == verify(headers, BODY, secrets=[NEW], now=Millis(NOW + way * TOLERANCE_MS))
    with pytest.raises(Stale):
        verify(headers, BODY, secrets=[NEW], now=Millis(NOW + way * (TOLERANCE_MS + 1)))


def test_a_secret_is_written_and_read_and_shows_itself_to_nobody() -> None:
    assert b"k" * 24 == read_secret(write_secret(b"k" * 24))
    assert "kkk" not in repr(write_secret(b"k" * 24))


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", b64encode(b"k" * 32).decode(), "whsec_!!!!", write_secret(b"k" * 23).reveal(),
     write_secret(b"k" * 65).reveal()],
)  # fmt: skip
def test_what_is_no_secret_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        read_secret(Secret(text))
    assert text == "" or text not in refused.value.detail.replace("whsec_ and", "")


def test_the_public_library_takes_our_signatures_also_during_a_rotation() -> None:
    now = Millis(int(time.time() * 1000))
    headers = sign(ID, now, BODY, [NEW, OLD], IDENTITY)
    for secret in (OLD, NEW):
        assert {"type": "payment.approved"} == standardwebhooks.Webhook(secret.reveal()).verify(BODY, headers)


def test_we_take_the_signatures_of_the_public_library() -> None:
    when = dt.datetime.fromtimestamp(NOW / 1000, dt.UTC)
    signature = standardwebhooks.Webhook(NEW.reveal()).sign(ID, when, BODY.decode())
    headers = {"webhook-id": ID, "webhook-timestamp": str(NOW // 1000), "webhook-signature": signature}
    assert ID == verify(headers, BODY, secrets=[NEW], now=NOW)
