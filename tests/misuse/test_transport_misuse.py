"""Bad certificates, signatures, headers and addresses: each its own stable code, nothing stored, nothing repeated."""

import logging
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from gateway_world import CANARY, CARD, PIN_BLOCK, Edge, assert_no_secret, judge

from tallystick import limits
from tallystick.crypto import httpsig
from tallystick.crypto.signing import Ed25519Private, HmacKey, Signer
from tallystick.errors import StoreFailed
from tallystick.security.model import Arrival
from tallystick.security.unseal import MEDIA_TYPE
from tallystick.security.verify import COVERED_WITH_BODY
from tallystick.testing.messages import arrival_of

PIN = {**CARD, "fields": {"pin_block": PIN_BLOCK}}


def resigned(edge: Edge, arrival: Arrival, **how: Any) -> Arrival:
    """Sign an arrival's body anew, wrong as `how` says, everything else right."""
    member = edge.member(how.pop("who", "pc"))
    key: Signer = how.pop("key", member.key)
    headers = {"content-type": MEDIA_TYPE, "idempotency-key": "k", **how.pop("headers", {})}
    usual: dict[str, Any] = {
        "keyid": member.channel.id,
        "method": "POST",
        "target": arrival.target,
        "body": arrival.body,
        "covered": COVERED_WITH_BODY,
        "created": edge.world.clock.now() // 1000,
        "nonce": "n" * limits.NONCE_MIN,
    }
    signature = httpsig.sign_request(key, headers=headers, **(usual | how))
    return msgspec.structs.replace(arrival, headers={**headers, **signature})


def card(edge: Edge, **how: Any) -> Arrival:
    return arrival_of(edge.world, edge.member("pc"), CARD, **how)


async def refused(edge: Edge, arrival: Arrival, **how: Any) -> tuple[int, str]:
    before = edge.rows()
    problem = judge(edge, await edge.ask(arrival, **how), before)
    return problem.status, problem.code


# Who it is


async def test_a_connection_without_certificate_is_told_so(edge: Edge) -> None:
    assert (401, "certificate_missing") == await refused(edge, card(edge), who=None)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("tallystick:channel:nobody", (403, "channel_unknown")),
        ("tallystick:channel:" + CANARY, (403, "channel_unknown")),
        ("tallystick:channel:", (403, "certificate_wrong_purpose")),
        ("tallystick:platform:main", (403, "certificate_wrong_purpose")),
        ("tallystick:institution:30000001", (403, "channel_unknown")),
        ("tallystick:institution:", (403, "certificate_wrong_purpose")),
        ("https://pc", (403, "certificate_wrong_purpose")),
        ("tallystick:channel:old", (403, "channel_suspended")),
        ("tallystick:channel:PC", (403, "channel_unknown")),
    ],
)
async def test_a_certificate_of_nobody_active_is_refused(edge: Edge, uri: str, expected: tuple[int, str]) -> None:
    assert expected == await refused(edge, card(edge), uri=uri)


async def test_a_revoked_certificate_is_refused_at_every_address(edge: Edge) -> None:
    edge.revoked.serials.add("serial of pc")
    assert (403, "certificate_revoked") == await refused(edge, card(edge))
    keys = Arrival(method="GET", target="/.well-known/tallystick-keys", headers={}, body=b"", at=edge.world.clock.now())
    assert (403, "certificate_revoked") == await refused(edge, keys)


async def test_the_message_of_one_channel_over_the_certificate_of_another_is_refused(edge: Edge) -> None:
    assert (401, "signature_invalid") == await refused(edge, card(edge), who="phone")


# Signatures


@pytest.mark.parametrize("missing", ["signature", "signature-input"])
async def test_a_message_without_signature_is_refused(edge: Edge, missing: str) -> None:
    headers = [(name, value) for name, value in card(edge).headers.items() if name != missing]
    assert (401, "signature_missing") == await refused(edge, card(edge), headers=headers)


@pytest.mark.parametrize("name", ["signature", "signature-input"])
@pytest.mark.parametrize("value", ["", CANARY, "sig1=()", "sig1=::", "x" * (limits.HEADER_MAX + 1), "sig1=:AA=="])
async def test_a_signature_header_of_another_form_is_refused(edge: Edge, name: str, value: str) -> None:
    arrival = card(edge)
    headers = {**arrival.headers, name: value}
    assert (401, "signature_missing") == await refused(edge, arrival, headers=list(headers.items()))


@pytest.mark.parametrize("name", ["content-digest", "content-type", "idempotency-key", "signature", "signature-input"])
async def test_a_header_that_counts_is_refused_when_it_is_there_twice(edge: Edge, name: str) -> None:
    arrival = card(edge)
    headers = [*arrival.headers.items(), (name, arrival.headers[name])]
    assert (400, "malformed") == await refused(edge, arrival, headers=headers)


@pytest.mark.parametrize("left_out", COVERED_WITH_BODY)
async def test_a_signature_that_covers_too_little_is_refused(edge: Edge, left_out: str) -> None:
    covered = tuple(name for name in COVERED_WITH_BODY if name != left_out)
    assert (401, "signature_missing") == await refused(edge, resigned(edge, card(edge), covered=covered))


async def test_another_key_of_the_same_algorithm_is_refused(edge: Edge) -> None:
    arrival = resigned(edge, card(edge), key=HmacKey(b"w" * 32))
    assert (401, "signature_invalid") == await refused(edge, arrival)


async def test_another_algorithm_is_refused_whatever_the_key(edge: Edge) -> None:
    assert (401, "algorithm_refused") == await refused(edge, resigned(edge, card(edge), key=Ed25519Private()))


async def test_another_algorithm_is_refused_when_it_is_not_named_either(edge: Edge) -> None:
    arrival = resigned(edge, card(edge), key=Ed25519Private())
    unnamed = arrival.headers["signature-input"].replace(';alg="ed25519"', "")
    headers = {**arrival.headers, "signature-input": unnamed}
    assert (401, "signature_invalid") == await refused(edge, arrival, headers=list(headers.items()))


@pytest.mark.parametrize("keyid", ["phone", CANARY, "pc "])
async def test_the_key_id_of_another_is_refused(edge: Edge, keyid: str) -> None:
    assert (401, "signature_invalid") == await refused(edge, resigned(edge, card(edge), keyid=keyid))


async def test_a_tampered_body_is_refused(edge: Edge) -> None:
    arrival = card(edge)
    assert (401, "content_digest_mismatch") == await refused(edge, arrival, body=arrival.body + b" ")


async def test_a_tampered_body_with_a_digest_to_it_is_refused(edge: Edge) -> None:
    arrival = card(edge)
    body = arrival.body + b" "
    headers = {**arrival.headers, "content-digest": httpsig.content_digest(body)}
    assert (401, "signature_invalid") == await refused(edge, arrival, body=body, headers=list(headers.items()))


async def test_a_body_without_a_digest_header_is_refused(edge: Edge) -> None:
    arrival = card(edge)
    headers = [(name, value) for name, value in arrival.headers.items() if name != "content-digest"]
    assert (401, "content_digest_mismatch") == await refused(edge, arrival, headers=headers)


@pytest.mark.parametrize(
    "change",
    [
        {"idempotency-key": "another"},
        {"content-type": "text/plain"},
        {"signature": f"sig1=:{b64encode(b'x').decode()}:"},
    ],
)
async def test_a_changed_header_breaks_the_signature(edge: Edge, change: dict[str, str]) -> None:
    arrival = card(edge)
    headers = {**arrival.headers, **change}
    assert (401, "signature_invalid") == await refused(edge, arrival, headers=list(headers.items()))


async def test_a_message_at_another_address_than_it_was_signed_for_is_refused(edge: Edge) -> None:
    assert (401, "signature_invalid") == await refused(edge, card(edge), target="/v1/payments", who="pc")


async def test_a_message_signed_for_one_address_and_sealed_for_another_does_not_open(edge: Edge) -> None:
    sealed_for_payments = arrival_of(edge.world, edge.member("pc"), CARD, target="/v1/payments", nonce="n" * 16)
    arrival = resigned(edge, sealed_for_payments, target="/v1/parts")
    assert (400, "envelope_unopenable") == await refused(edge, arrival, target="/v1/parts")


async def test_a_query_that_was_not_sealed_does_not_open(edge: Edge) -> None:
    assert (400, "envelope_unopenable") == await refused(edge, card(edge), target="/v1/parts?x=1")


@pytest.mark.parametrize("ms", [-3_600_000, 3_600_000, -limits.FRESHNESS_MS - 1_000, limits.FRESHNESS_MS + 1_000])
async def test_a_clock_too_far_off_is_told_so(edge: Edge, ms: int) -> None:
    assert (401, "message_stale") == await refused(edge, card(edge, clock_off_ms=ms))


@pytest.mark.parametrize("ms", [-limits.FRESHNESS_MS, limits.FRESHNESS_MS])
async def test_a_clock_within_the_window_is_accepted(edge: Edge, ms: int) -> None:
    assert 202 == (await edge.ask(card(edge, clock_off_ms=ms))).status


@pytest.mark.parametrize("nonce", ["n" * (limits.NONCE_MIN - 1), "n" * (limits.NONCE_MAX + 1)])
async def test_a_nonce_of_another_length_is_refused(edge: Edge, nonce: str) -> None:
    assert (401, "signature_missing") == await refused(edge, resigned(edge, card(edge), nonce=nonce))


@pytest.mark.parametrize("key", ["", "k" * (limits.IDEMPOTENCY_KEY_MAX + 1), "a\tb"])
async def test_an_idempotency_key_of_another_form_is_refused(edge: Edge, key: str) -> None:
    arrival = resigned(edge, card(edge), headers={"idempotency-key": key})
    assert (400, "field_invalid") == await refused(edge, arrival)


@pytest.mark.parametrize("media_type", ["text/plain", "application/json; charset=utf-8", "application/jose", CANARY])
async def test_another_media_type_is_refused(edge: Edge, media_type: str) -> None:
    arrival = resigned(edge, card(edge), headers={"content-type": media_type})
    assert (415, "wrong_media_type") == await refused(edge, arrival)


# Bodies and addresses


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"{", b'{"v":1}', b"\xff\xfe", b"[" * 16_000, b'{"v":' + b"[" * 16_000, CANARY.encode()]
)
async def test_a_signed_body_that_is_no_envelope_is_refused(edge: Edge, body: bytes) -> None:
    arrival = msgspec.structs.replace(card(edge), body=body)
    assert (400, "malformed") == await refused(edge, resigned(edge, arrival))


async def test_an_empty_body_is_refused(edge: Edge) -> None:
    arrival = msgspec.structs.replace(card(edge), body=b"")
    assert (400, "malformed") == await refused(edge, resigned(edge, arrival))


async def test_an_oversized_body_is_refused_before_it_is_verified(edge: Edge) -> None:
    arrival = card(edge)
    assert (413, "too_large") == await refused(edge, arrival, body=b" " * (limits.BODY_MAX + 1))


@pytest.mark.parametrize("target", ["/", "/v1/part", "/v1/parts/", "/v2/parts", "/" + CANARY, "/v1/parts/a/b"])
async def test_an_address_where_nothing_is_says_so(edge: Edge, target: str) -> None:
    problem = await refused(edge, card(edge), target=target)
    assert problem in {(404, "not_found"), (405, "method_refused")}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_a_method_that_an_address_does_not_take_says_so(edge: Edge, method: str) -> None:
    assert (405, "method_refused") == await refused(edge, card(edge), method=method)


async def test_a_get_without_signature_is_refused(edge: Edge) -> None:
    arrival = Arrival(method="GET", target="/v1/parts/part_x", headers={}, body=b"", at=edge.world.clock.now())
    assert (401, "signature_missing") == await refused(edge, arrival)


# Conflicts, and what the gateway says of failures


async def test_a_replay_and_a_reused_key_have_codes_of_their_own(edge: Edge) -> None:
    arrival = card(edge, idempotency_key="once")
    assert 202 == (await edge.ask(arrival)).status
    assert (409, "replayed") == await refused(edge, arrival)
    other = arrival_of(edge.world, edge.member("pc"), {**CARD, "policy": "card-3"}, idempotency_key="once")
    assert (400, "field_invalid") == await refused(edge, other)
    other = arrival_of(edge.world, edge.member("pc"), PIN, idempotency_key="once")
    assert (422, "idempotency_mismatch") == await refused(edge, other)
    assert (409, "same_channel") == await refused(edge, arrival_of(edge.world, edge.member("pc"), PIN))


async def test_the_answer_to_a_replay_of_the_replay_oracle_is_not_another_acceptance(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forget(*_: object) -> None: ...

    arrival = card(edge, idempotency_key="once")
    await edge.ask(arrival)
    monkeypatch.setattr(edge.world.store._books, "remember_nonce", forget)
    with pytest.raises(AssertionError):
        await refused(edge, arrival)


async def test_a_failing_store_is_told_as_temporary_and_an_unforeseen_failure_as_nothing(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: Exception) -> Any:
        async def transact(_work: object) -> None:
            raise error

        return transact

    monkeypatch.setattr(edge.world.store, "transact", fail(StoreFailed("the disk is full")))
    assert 503 == (await edge.ask(card(edge))).status
    monkeypatch.setattr(edge.world.store, "transact", fail(RuntimeError(f"boom {CANARY}")))
    reply = await edge.ask(card(edge))
    assert (500, "internal") == (reply.status, msgspec.json.decode(reply.body)["code"])
    assert_no_secret(edge, reply)


async def test_the_canary_oracle_catches_a_gateway_that_logs_what_it_reads(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.security.unseal._safe", repr)
    arrival = arrival_of(edge.world, edge.member("pc"), {**CARD, CANARY: 1})
    with pytest.raises(AssertionError):
        await refused(edge, arrival)


async def test_the_stored_state_oracle_catches_a_gateway_that_stores_before_it_checks(edge: Edge) -> None:
    before = edge.rows()
    await edge.ask(card(edge))
    reply = await edge.ask(card(edge), who=None)
    with pytest.raises(AssertionError):
        judge(edge, reply, before)


async def test_every_answer_to_a_known_sender_is_signed_with_its_own_nonce(edge: Edge) -> None:
    for content in (CARD, {**CARD, "policy": "none"}):
        arrival = arrival_of(edge.world, edge.member("pc"), content, nonce=edge.world.randomness.token(8).hex())
        reply = await edge.ask(arrival)
        nonce = httpsig.parse_signature(arrival.headers).nonce
        httpsig.verify_response(
            edge.member("pc").key, status=reply.status, body=reply.body, headers=reply.headers, nonce=nonce
        )


async def test_a_whole_good_payment_leaves_no_secret_in_any_log(edge: Edge) -> None:
    edge.log.set_level(logging.DEBUG)
    await edge.post(CARD)
    reply = await edge.post(PIN, who="phone")
    assert 202 == reply.status
    await edge.carriers.drain()
    assert 1 == len(edge.world.connectors.sent())
    assert_no_secret(edge, reply)
