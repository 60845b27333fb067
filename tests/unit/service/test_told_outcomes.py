"""Outcomes told by REST back ends: signed like every message of an institution, and settled once."""

import json
from typing import Any

import pytest
from told_world import INSTITUTION, OTHER, ToldWorld, told_world

from tallystick import limits
from tallystick.assembly.facts import PaymentState
from tallystick.security.verify import Verified
from tallystick.testing.asgi import Reply
from tallystick.testing.messages import sign
from tallystick.wire.rest import OUTCOMES


def notice(world: ToldWorld, **changes: Any) -> bytes:
    told = {"version": 1, "payment_key": world.key, "verdict": "approved", "code": "00", **changes}
    return json.dumps({name: value for name, value in told.items() if value is not ...}).encode()


async def tell(
    world: ToldWorld,
    body: bytes,
    *,
    who: str = INSTITUTION,
    signer: str | None = None,
    nonce: str = "nonce-of-22-characters",
    idempotency_key: str = "told-1",
    late_s: int = 0,
    tampered: bytes | None = None,
    target: str = OUTCOMES,
    media_type: str | None = None,
) -> Reply:
    member = world.world.members[signer or who]
    created = world.world.clock.now() // 1000 - late_s
    stated = Verified(sender=who, nonce=nonce, created=created, idempotency_key=idempotency_key)
    arrival = sign(world.world, member, body, stated, target=target)
    headers = dict(arrival.headers) | ({} if media_type is None else {"content-type": media_type})
    kind = "institution" if who in {INSTITUTION, OTHER} else "channel"
    sent = body if tampered is None else tampered
    return await world.ask(OUTCOMES, headers, sent, uri=f"tallystick:{kind}:{who}", method="POST")


@pytest.mark.parametrize(
    ("verdict", "state"), [("approved", PaymentState.APPROVED), ("declined", PaymentState.DECLINED)]
)
async def test_an_outcome_settles_the_payment(verdict: str, state: PaymentState) -> None:
    world = await told_world()
    reply = await tell(world, notice(world, verdict=verdict, code="51"))
    assert (200, {"status": "done"}) == (reply.status, json.loads(reply.body))
    assert "signature" in reply.headers
    payment = await world.payment()
    assert (state, "51", [world.payment_id]) == (payment.state, payment.response_code, world.settled)


async def test_a_repeat_gets_the_same_answer_and_settles_nothing_more() -> None:
    world = await told_world()
    first = await tell(world, notice(world))
    for repeat in (
        await tell(world, notice(world), nonce="another-nonce-of-it-1"),
        await tell(world, notice(world), nonce="another-nonce-of-it-2", idempotency_key="told-2"),
    ):
        assert (200, first.body) == (repeat.status, repeat.body)
    assert [world.payment_id] == world.settled


async def test_a_replayed_message_is_refused() -> None:
    world = await told_world()
    await tell(world, notice(world))
    reply = await tell(world, notice(world))
    assert (409, "replayed") == (reply.status, json.loads(reply.body)["code"])


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"who": "pc"}, 403, "certificate_wrong_purpose"),
        ({"signer": OTHER}, 401, "signature_invalid"),
        ({"late_s": limits.FRESHNESS_MS // 1000 + 1}, 401, "message_stale"),
        ({"tampered": b"{}"}, 401, "content_digest_mismatch"),
        ({"target": "/v1/parts"}, 401, "signature_invalid"),
        ({"media_type": "text/plain"}, 401, "signature_invalid"),
        ({"who": OTHER}, 404, "not_found"),
    ],
    ids=str,
)
async def test_what_is_not_proven_is_refused_and_changes_nothing(
    changes: dict[str, Any], status: int, code: str
) -> None:
    world = await told_world()
    await judge(world, await tell(world, notice(world), **changes), status, code)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"payment_key": "req_0_1"}, 404, "not_found"),
        ({"payment_key": "CANARY 7351"}, 400, "malformed"),
        ({"verdict": "pending"}, 400, "malformed"),
        ({"verdict": ...}, 400, "malformed"),
        ({"code": ""}, 400, "malformed"),
        ({"version": 2}, 400, "malformed"),
        ({"CANARY": 1}, 400, "malformed"),
    ],
    ids=str,
)
async def test_what_has_no_agreed_form_is_refused_and_changes_nothing(
    changes: dict[str, Any], status: int, code: str
) -> None:
    world = await told_world()
    await judge(world, await tell(world, notice(world, **changes)), status, code)


async def test_a_refused_outcome_may_be_told_again_under_the_same_key() -> None:
    world = await told_world()
    await tell(world, notice(world, payment_key="req_0_1"))
    assert 200 == (await tell(world, notice(world))).status


async def judge(world: ToldWorld, reply: Reply, status: int, code: str) -> None:
    assert (status, code) == (reply.status, json.loads(reply.body)["code"])
    assert "CANARY" not in reply.body.decode()
    assert (PaymentState.INQUIRY, []) == (await world.state(), world.settled)
