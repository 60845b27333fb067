"""The merchants' API: create, read, list, cancel; whose a payment is, and how every answer and refusal looks."""

import asyncio
from typing import Any

import msgspec
import pytest
from merchant_world import ALL, LINES, NEW, ORDER, MerchantWorld, read

from tallystick.assembly.facts import PaymentState
from tallystick.channels.model import Scope
from tallystick.testing.messages import send_part
from tallystick.testing.platform import bank
from tallystick.wire.merchant import MerchantPayment, MerchantProblem


async def test_a_payment_is_created_read_and_listed_as_one_thing(world: MerchantWorld) -> None:
    key = await world.key()
    attached = {"metadata": {"cart": "c-9"}, "return_url": "https://shop.example/done?order=7"}
    created = await world.create(key, order={**ORDER, "lines": LINES}, **attached)
    reply = await world.ask(key, "GET", f"/v1/payments/{created['id']}")
    listed = read(await world.ask(key, "GET", "/v1/payments"))

    assert {**read(reply), "code": created["code"], "page_url": None} == created
    assert [read(reply)] == listed["data"]
    shown = msgspec.json.decode(reply.body, type=MerchantPayment)
    assert (True, "open", "code", {"cart": "c-9"}) == (shown.livemode, shown.state, shown.correlation, shown.metadata)
    assert 1250 == sum(line.amount for line in shown.order.lines)
    assert "2026-11-01" == reply.headers["tallystick-version"]
    assert reply.headers["request-id"].startswith("req_")
    assert "no-store" == reply.headers["cache-control"]


async def test_two_halves_over_two_channels_complete_what_a_merchant_created(world: MerchantWorld) -> None:
    key = await world.key()
    created = await world.create(key, order={**ORDER, "lines": LINES})
    await world.pay(created)
    assert "approved" == read(await world.ask(key, "GET", f"/v1/payments/{created['id']}"))["state"]
    assert 1 == len(world.memory.connectors.sent())


@pytest.mark.parametrize("change", ["payee", "amount", "line"])
async def test_a_part_for_another_payee_amount_or_line_does_not_open(world: MerchantWorld, change: str) -> None:
    created = await world.create(await world.key(), order={**ORDER, "lines": LINES})
    shown = {
        "payee": {**created["order"], "payee": "Coffee House"},
        "amount": {**created["order"], "amount": 1},
        "line": {**created["order"], "lines": [{"text": "Nothing", "amount": 1000}, LINES[1]]},
    }[change]
    content = {
        "policy": "card",
        "element": {"kind": "code", "code": created["code"]},
        "fields": {"pan": "6212142600000000043"},
    }
    bound = world.bound({**created, "order": shown})
    with pytest.raises(Exception, match="open"):
        await send_part(world.memory, world.memory.members["pc"], content, payment=created["id"], bound=bound)


async def test_nobody_reads_cancels_or_refunds_what_another_merchant_or_mode_owns(world: MerchantWorld) -> None:
    created = await world.create(await world.key())
    for stranger in (await world.key("teahouse"), await world.key(live=False)):
        place = f"/v1/payments/{created['id']}"
        assert 404 == (await world.ask(stranger, "GET", place)).status
        assert 404 == (await world.ask(stranger, "POST", f"{place}/cancel", {})).status
        assert 404 == (await world.ask(stranger, "POST", f"{place}/refunds", {})).status
        assert 404 == (await world.ask(stranger, "GET", f"{place}/events")).status
        assert [] == read(await world.ask(stranger, "GET", "/v1/payments"))["data"]


async def test_a_list_is_paged_without_gaps_and_filtered(world: MerchantWorld) -> None:
    key = await world.key()
    ids = [(await world.create(key))["id"] for _ in range(5)]
    await world.ask(key, "POST", f"/v1/payments/{ids[2]}/cancel", {})
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = read(await world.ask(key, "GET", f"/v1/payments?limit=2{cursor and '&cursor=' + cursor}"))
        assert len(page["data"]) <= 2
        seen += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
    assert ids[::-1] == seen
    assert [ids[2]] == [
        each["id"] for each in read(await world.ask(key, "GET", "/v1/payments?state=cancelled"))["data"]
    ]
    later = world.memory.clock.now() + 1
    assert [] == read(await world.ask(key, "GET", f"/v1/payments?created_from={later}"))["data"]


async def test_a_retry_gets_the_first_answer_and_says_so(world: MerchantWorld) -> None:
    key = await world.key()
    first = await world.ask(key, "POST", "/v1/payments", NEW, idem="order-7")
    again = await world.ask(key, "POST", "/v1/payments", NEW, idem="order-7")
    assert first.body == again.body
    assert ("false", "true") == (first.headers["idempotency-replayed"], again.headers["idempotency-replayed"])
    assert 1 == len(read(await world.ask(key, "GET", "/v1/payments"))["data"])


async def test_a_key_of_a_retry_outlives_epochs_rotation_and_a_day_less_a_minute(world: MerchantWorld) -> None:
    key = await world.key()
    first = await world.ask(key, "POST", "/v1/payments", NEW, idem="order-7")
    await world.memory.clock.advance(24 * 3_600_000 - 60_000)
    world.memory.epochs.destroy_before(world.memory.clock.now())
    await world.memory.store.transact(lambda books: books.purge_replay(world.memory.clock.now(), 100))
    assert first.body == (await world.ask(await world.key(), "POST", "/v1/payments", NEW, idem="order-7")).body


async def test_another_body_under_the_same_key_is_422_and_a_concurrent_one_409(world: MerchantWorld) -> None:
    key = await world.key()
    both = await asyncio.gather(
        *(world.ask(key, "POST", "/v1/payments", NEW, idem="order-7") for _ in range(2)),
    )
    other = await world.ask(key, "POST", "/v1/payments", {**NEW, "expires_in": 60}, idem="order-7")
    assert [201, 409] == sorted(reply.status for reply in both)
    assert "idempotency_in_flight" in {read(reply).get("code") for reply in both}
    assert (422, "idempotency_mismatch") == (other.status, read(other)["code"])


HERE = "/v1/payments"


def order(**changes: object) -> dict[str, object]:
    return {**NEW, "order": {**ORDER, **changes}}


REFUSALS: list[tuple[str, str, str, object, dict[str, str], str]] = [
    ("no key", "GET", HERE, None, {"authorization": ""}, "401 api_key_refused"),
    ("a wrong key", "GET", HERE, None, {"authorization": "Bearer tsk_live_x"}, "401 api_key_refused"),
    ("an unknown address", "GET", "/v2/payments", None, {}, "404 not_found"),
    ("a wrong method", "DELETE", "/v1/payments", None, {}, "405 method_refused"),
    (
        "another version",
        "GET",
        HERE,
        None,
        {"tallystick_version": "2019-01-01"},
        "400 field_invalid tallystick-version",
    ),
    ("an unknown parameter", "GET", HERE + "?colour=red", None, {}, "400 field_invalid query"),
    ("a bad limit", "GET", HERE + "?limit=0", None, {}, "400 field_invalid limit"),
    ("a forged cursor", "GET", HERE + "?cursor=YWZ0ZXI6eA", None, {}, "400 field_invalid cursor"),
    ("an unknown state", "GET", HERE + "?state=happy", None, {}, "400 field_invalid state"),
    ("no Idempotency-Key", "POST", HERE, NEW, {"idempotency_key": ""}, "400 field_invalid idempotency-key"),
    ("no JSON", "POST", HERE, b"{", {}, "400 malformed"),
    ("another type", "POST", HERE, NEW, {"content_type": "text/plain"}, "415 wrong_media_type"),
    ("an unknown member", "POST", HERE, {**NEW, "colour": "red"}, {}, "400 malformed"),
    ("an amount as text", "POST", HERE, order(amount="12"), {}, "400 field_invalid order.amount"),
    ("lines that give another sum", "POST", HERE, order(lines=LINES[:1]), {}, "400 field_invalid order.lines"),
    ("a long wait", "POST", HERE, {**NEW, "expires_in": 86_401}, {}, "400 field_invalid expires_in"),
    ("an unknown policy", "POST", HERE, {**NEW, "policy": "none"}, {}, "422 policy_unknown policy"),
    ("a phone number as element", "POST", HERE, {**NEW, "correlation": "phone"}, {}, "400 malformed"),
    ("metadata without end", "POST", HERE, {**NEW, "metadata": {"a": "b" * 201}}, {}, "400 field_invalid metadata"),
    (
        "a return address in clear",
        "POST",
        HERE,
        {**NEW, "return_url": "http://shop.example"},
        {},
        "400 field_invalid return_url",
    ),
    ("a big body", "POST", HERE, b" " * 20_000, {}, "413 too_large"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=[case[0] for case in REFUSALS])
async def test_bad_input_gets_a_problem_with_code_param_and_remedy_and_changes_nothing(
    world: MerchantWorld, case: Any
) -> None:
    _, method, target, content, headers, refusal = case
    key = await world.key()
    reply = await world.ask(key, method, target, content, **headers)
    problem = msgspec.json.decode(reply.body, type=MerchantProblem)
    assert refusal == f"{reply.status} {problem.code} {problem.param or ''}".rstrip()
    assert "application/problem+json" == reply.headers["content-type"]
    assert reply.headers["request-id"] == problem.request_id
    assert problem.remedy.endswith(".")
    assert [] == read(await world.ask(key, "GET", "/v1/payments"))["data"]


async def test_a_key_does_what_its_scopes_say_and_nothing_else(world: MerchantWorld) -> None:
    payment = await world.create(await world.key())
    reader = await world.key(scopes=frozenset({Scope.READ}))
    place = f"/v1/payments/{payment['id']}"
    assert 200 == (await world.ask(reader, "GET", place)).status
    assert 403 == (await world.ask(reader, "POST", "/v1/payments", NEW)).status
    assert 403 == (await world.ask(reader, "POST", f"{place}/cancel", {})).status
    orderer = await world.key("agent", scopes=frozenset({Scope.ORDER}))
    assert 403 == (await world.ask(orderer, "GET", place)).status
    assert 403 == (await world.ask(orderer, "POST", f"{place}/refunds", {})).status
    assert ALL >= {Scope.ORDER}


async def test_a_key_that_may_only_order_gets_neither_code_nor_link(world: MerchantWorld) -> None:
    key = await world.key("agent", scopes=frozenset({Scope.ORDER}))
    without = await world.ask(key, "POST", "/v1/payments", NEW)
    created = await world.create(key, payer={"phone": "+8613800138000"})
    assert (400, "payer") == (without.status, read(without)["param"])
    assert (None, None) == (created["code"], created["page_url"])


async def test_a_key_that_may_only_order_is_never_told_what_another_key_of_its_holder_was(world: MerchantWorld) -> None:
    body = {**NEW, "payer": {"phone": "+8613800138000"}}
    told = await world.ask(await world.key(), "POST", "/v1/payments", body, idem="order-7")
    agent = await world.key(scopes=frozenset({Scope.ORDER}))
    again = await world.ask(agent, "POST", "/v1/payments", body, idem="order-7")
    assert (201, 422, "idempotency_mismatch") == (told.status, again.status, read(again)["code"])
    assert read(told)["code"].encode() not in again.body


async def test_a_payment_of_test_mode_reaches_sandboxes_only_and_a_live_one_never_does(world: MerchantWorld) -> None:
    sandbox = await world.memory.back_end(bank("30000001", sandbox=True, priority=1))
    live, test = await world.key(), await world.key(live=False)
    paid = [await world.create(live), await world.create(test)]
    for created in paid:
        await world.pay(created)
    assert [paid[1]["id"]] == [each.payment_id for each in sandbox.instructions]
    assert [True, False] == [each["livemode"] for each in paid]
    told = [
        read(await world.ask(key, "GET", f"/v1/payments/{each['id']}"))
        for key, each in zip((live, test), paid, strict=True)
    ]
    assert [(PaymentState.APPROVED, "20000001"), (PaymentState.APPROVED, "30000001")] == [
        (each["state"], each["back_end"]) for each in told
    ]


async def test_events_come_in_order_and_go_on_after_the_last_one_seen(world: MerchantWorld) -> None:
    key = await world.key()
    first, second = await world.create(key), await world.create(key)
    await world.ask(key, "POST", f"/v1/payments/{first['id']}/cancel", {})
    await world.pay(second)
    await world.create(await world.key("teahouse"))
    of_one = await world.ask(key, "GET", f"/v1/payments/{second['id']}/events")
    assert "text/event-stream" == of_one.headers["content-type"]
    assert ["event: payment.approved"] == [
        line for line in of_one.body.decode().splitlines() if line.startswith("event")
    ]
    asyncio.get_running_loop().call_later(0.02, world.feed.close)
    of_all = (await world.ask(key, "GET", "/v1/events?after=0")).body.decode().splitlines()
    assert ["event: payment.cancelled", "event: payment.approved"] == [
        line for line in of_all if line.startswith("event")
    ]
    assert 503 == (await world.ask(key, "GET", "/v1/events")).status


async def test_what_a_merchant_does_stands_in_the_audit_chain_under_the_owner_of_its_payments(
    world: MerchantWorld,
) -> None:
    created = await world.create(await world.key(live=False))
    links = await world.memory.store.read(lambda books: books.audit_links_about(created["id"], 10))
    assert {"merchant:test:bookshop"} == {msgspec.json.decode(link.body)[2] for link in links}
