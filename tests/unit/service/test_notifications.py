"""Callbacks of account systems: what one settles, and that nothing else settles anything."""

import json
from typing import Any

import pytest
from told_world import AMOUNT, CLIENT_ID, INSTITUTION, OTHER, OURS, THEIRS, ToldWorld, told_world

from tallystick import limits
from tallystick.assembly.facts import PaymentState
from tallystick.crypto.rsa_sign import RsaPrivate, sign_message, verify_message
from tallystick.delivery.model import Recovery
from tallystick.runtime import Millis
from tallystick.testing.asgi import Reply

URI = f"tallystick:institution:{INSTITUTION}"
PATH = f"/v1/notifications/{INSTITUTION}"
SUCCESS = {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}
PAID = {"currency": "CNY", "value": str(AMOUNT)}


def message(world: ToldWorld, **changes: Any) -> bytes:
    told = {
        "notifyType": "PAYMENT_RESULT",
        "result": SUCCESS,
        "paymentRequestId": world.key,
        "paymentAmount": PAID,
        "paymentTime": "2027-01-15T08:00:00Z",
        **changes,
    }
    return json.dumps({name: value for name, value in told.items() if value is not ...}).encode()


async def tell(
    world: ToldWorld,
    body: bytes,
    *,
    path: str = PATH,
    signed_path: str | None = None,
    uri: str | None = URI,
    key: RsaPrivate = THEIRS,
    version: int = 7,
    client_id: str = CLIENT_ID,
    method: str = "POST",
    late_ms: int = 0,
    tampered: bytes | None = None,
    without: str = "",
) -> Reply:
    headers = sign_message(
        key,
        version,
        method="POST",
        path=signed_path or path,
        client_id=client_id,
        time_header="request-time",
        at=Millis(world.world.clock.now() - late_ms),
        body=body,
    )
    headers.pop(without, None)
    return await world.ask(path, headers, body if tampered is None else tampered, uri=uri, method=method)


def verify_acknowledgement(world: ToldWorld, reply: Reply) -> None:
    verify_message(
        {3: OURS.public()},
        method="POST",
        path=PATH,
        client_id=CLIENT_ID,
        time_header="response-time",
        headers=reply.headers,
        body=reply.body,
        now=world.world.clock.now(),
    )


async def test_a_success_approves_and_is_acknowledged_under_our_signature() -> None:
    world = await told_world()
    assert PaymentState.INQUIRY is await world.state()
    reply = await tell(world, message(world))
    assert (200, {"result": SUCCESS, "paymentRequestId": world.key}) == (reply.status, json.loads(reply.body))
    verify_acknowledgement(world, reply)
    payment = await world.payment()
    assert (PaymentState.APPROVED, "SUCCESS") == (payment.state, payment.response_code)
    assert [world.payment_id] == world.settled


async def test_a_failure_declines_with_its_code() -> None:
    world = await told_world()
    failed = {"resultCode": "RISK_REJECT", "resultStatus": "F", "resultMessage": "no"}
    assert 200 == (await tell(world, message(world, result=failed, paymentAmount=...))).status
    payment = await world.payment()
    assert (PaymentState.DECLINED, "RISK_REJECT") == (payment.state, payment.response_code)


async def test_a_callback_that_tells_no_outcome_is_acknowledged_and_settles_nothing() -> None:
    world = await told_world()
    unsure = {"resultCode": "PAYMENT_IN_PROCESS", "resultStatus": "U", "resultMessage": ""}
    assert 200 == (await tell(world, message(world, result=unsure, paymentAmount=...))).status
    assert (PaymentState.INQUIRY, []) == (await world.state(), world.settled)


async def test_a_repeat_gets_the_same_answer_and_settles_nothing_more() -> None:
    world = await told_world()
    first = await tell(world, message(world))
    second = await tell(world, message(world))
    assert (200, first.body) == (second.status, second.body)
    assert [world.payment_id] == world.settled


async def test_a_contrary_callback_later_changes_nothing() -> None:
    world = await told_world()
    await tell(world, message(world))
    failed = {"resultCode": "RISK_REJECT", "resultStatus": "F", "resultMessage": "no"}
    await tell(world, message(world, result=failed, paymentAmount=...))
    assert PaymentState.APPROVED is await world.state()


async def test_an_approval_after_a_reversal_changes_nothing() -> None:
    world = await told_world(recovery=frozenset({Recovery.REVERSAL}))
    assert PaymentState.REVERSED is await world.state()
    assert 200 == (await tell(world, message(world))).status
    assert (PaymentState.REVERSED, []) == (await world.state(), world.settled)


def case_of(value: object) -> str:
    """Name a case by what is changed in it; another key has another address at each start."""
    return ",".join(value) if isinstance(value, dict) and "key" in value else str(value)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"uri": None}, 401, "certificate_missing"),
        ({"uri": "tallystick:channel:pc"}, 403, "certificate_wrong_purpose"),
        ({"uri": f"tallystick:institution:{OTHER}"}, 403, "certificate_wrong_purpose"),
        ({"path": "/v1/notifications/99999999", "uri": "tallystick:institution:99999999"}, 404, "not_found"),
        ({"path": f"{PATH}?a=b", "signed_path": PATH}, 401, "signature_invalid"),
        ({"signed_path": f"/v1/notifications/{OTHER}"}, 401, "signature_invalid"),
        ({"key": RsaPrivate()}, 401, "signature_invalid"),
        ({"version": 8}, 401, "signature_invalid"),
        ({"client_id": "CLIENT_2"}, 401, "signature_invalid"),
        ({"late_ms": limits.FRESHNESS_MS + 1}, 401, "signature_invalid"),
        ({"late_ms": -limits.FRESHNESS_MS - 1}, 401, "signature_invalid"),
        ({"tampered": b"{}"}, 401, "signature_invalid"),
        ({"without": "signature"}, 401, "signature_invalid"),
        ({"without": "client-id"}, 401, "signature_invalid"),
        ({"without": "request-time"}, 401, "signature_invalid"),
        ({"method": "PUT"}, 405, "method_refused"),
    ],
    ids=case_of,
)
async def test_what_is_not_proven_is_refused_and_changes_nothing(
    changes: dict[str, Any], status: int, code: str
) -> None:
    world = await told_world()
    await judge(world, await tell(world, message(world), **changes), status, code)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"paymentRequestId": "req_0_1"}, 404, "not_found"),
        ({"paymentRequestId": "not of our making"}, 400, "malformed"),
        ({"paymentRequestId": ...}, 400, "malformed"),
        ({"paymentAmount": ...}, 400, "malformed"),
        ({"paymentAmount": {"currency": "CNY", "value": "1249"}}, 409, "conflict"),
        ({"paymentAmount": {"currency": "USD", "value": str(AMOUNT)}}, 409, "conflict"),
        ({"paymentAmount": {"currency": "CNY", "value": "0"}}, 400, "malformed"),
        ({"paymentAmount": {"currency": "CNY", "value": AMOUNT}}, 400, "malformed"),
        ({"result": {"resultCode": "SUCCESS", "resultStatus": "X"}}, 400, "malformed"),
        ({"result": {"resultCode": "CANARY 7351", "resultStatus": "F"}}, 400, "malformed"),
        ({"notifyType": "REFUND_RESULT"}, 400, "malformed"),
    ],
    ids=str,
)
async def test_what_is_about_nothing_we_know_is_refused_and_changes_nothing(
    changes: dict[str, Any], status: int, code: str
) -> None:
    world = await told_world()
    await judge(world, await tell(world, message(world, **changes)), status, code)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"a":' * 100, b"x" * (limits.BODY_MAX + 1)])
async def test_bytes_that_are_no_callback_are_refused_and_change_nothing(body: bytes) -> None:
    world = await told_world()
    too_large = len(body) > limits.BODY_MAX
    await judge(world, await tell(world, body), *((413, "too_large") if too_large else (400, "malformed")))


async def test_an_institution_settles_no_payment_of_another_one() -> None:
    world = await told_world()
    path = f"/v1/notifications/{OTHER}"
    reply = await tell(world, message(world), path=path, uri=f"tallystick:institution:{OTHER}")
    await judge(world, reply, 404, "not_found")


async def test_a_revoked_certificate_settles_nothing() -> None:
    world = await told_world()
    world.revoked.add(f"serial of {URI}")
    await judge(world, await tell(world, message(world)), 403, "certificate_revoked")


async def judge(world: ToldWorld, reply: Reply, status: int, code: str) -> None:
    problem = json.loads(reply.body)
    assert "application/problem+json" == reply.headers["content-type"]
    assert (status, code) == (reply.status, problem["code"])
    assert "CANARY" not in reply.body.decode()
    assert (PaymentState.INQUIRY, []) == (await world.state(), world.settled)
