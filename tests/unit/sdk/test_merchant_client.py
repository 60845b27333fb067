"""The merchants' clients: one set of request builders, sent by a client with an event loop and by one without."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from merchant_world import MerchantWorld, merchant_world

from tallystick.errors import FieldInvalid
from tallystick.merchants import tell
from tallystick.runtime import Millis
from tallystick.sdk import merchant as sdk
from tallystick.sdk.errors import AnswerUnreadable, PlatformProblem, PlatformUnreachable
from tallystick.sdk.forward import Forwarder, as_webhook
from tallystick.sdk.merchant import AsyncMerchant, Merchant
from tallystick.secret import Secret
from tallystick.testing.clock import SeededRandomness, VirtualClock
from tallystick.wire.merchant import MerchantEvent, TestPay
from tallystick.wire.part import WireOrder
from tallystick.wire.payment import NewPayment

README = Path(__file__).parents[3] / "README.md"
ORDER = WireOrder(payee="Tea House", amount=1250, currency="CNY")
NEW = NewPayment(policy="card", order=ORDER)


@pytest.fixture
async def world() -> AsyncIterator[MerchantWorld]:
    made = await merchant_world()
    yield made
    made.feed.close()


@pytest.fixture
async def client(world: MerchantWorld) -> AsyncIterator[AsyncMerchant]:
    http = httpx2.AsyncClient(base_url="https://platform", transport=httpx2.ASGITransport(world.app))
    async with AsyncMerchant(http, Secret(await world.key())) as made:
        yield made


def answering(*answers: Any, seen: list[httpx2.Request] | None = None) -> Merchant:
    """Return a client without a loop whose platform gives or raises these answers in turn."""
    left = list(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(request)
        step = left.pop(0)
        if isinstance(step, BaseException):
            raise step
        status, headers, body = step
        return httpx2.Response(status, headers=headers, content=body)

    http = httpx2.Client(base_url="https://platform", transport=httpx2.MockTransport(answer))
    return Merchant(http, Secret("tsk_test_key"), randomness=SeededRandomness())


async def test_what_the_builders_ask_is_what_the_listener_answers(world: MerchantWorld, client: AsyncMerchant) -> None:
    created = await client.ask(sdk.create_payment(NEW, idempotency_key="order-7"))
    again = await client.ask(sdk.create_payment(NEW, idempotency_key="order-7"))
    read = await client.ask(sdk.get_payment(created.id))
    listed = await client.ask(sdk.list_payments(limit=1, state="open"))
    cancelled = await client.ask(sdk.cancel_payment(created.id))
    assert created == again
    assert (read,) == listed.data
    assert ("open", "cancelled") == (read.state, cancelled.state)
    assert () == (await client.ask(sdk.list_refunds(created.id))).data


async def test_a_refund_and_a_refusal_are_told_as_the_platform_tells_them(
    world: MerchantWorld, client: AsyncMerchant
) -> None:
    created = await client.ask(sdk.create_payment(NEW))
    with pytest.raises(PlatformProblem) as refusal:
        await client.ask(sdk.refund_payment(created.id))
    assert ("conflict", 409) == (refusal.value.code, refusal.value.status)
    with pytest.raises(PlatformProblem) as wrong:
        await client.ask(sdk.create_payment(NewPayment(policy="card", order=ORDER, expires_in=0)))
    assert "expires_in" == wrong.value.field
    await world.pay(msgspec.to_builtins(created))
    assert 1250 == (await client.ask(sdk.refund_payment(created.id, reason="broken"))).amount


async def test_test_mode_is_refused_to_a_live_key(client: AsyncMerchant) -> None:
    created = await client.ask(sdk.create_payment(NEW))
    for asked in (sdk.play_payment(created.id, TestPay()), sdk.advance_payment(created.id, 1)):
        with pytest.raises(PlatformProblem, match="403"):
            await client.ask(asked)


async def test_events_are_read_as_they_come(world: MerchantWorld, client: AsyncMerchant) -> None:
    created = await client.ask(sdk.create_payment(NEW))
    await client.ask(sdk.cancel_payment(created.id))
    world.feed.close()
    text = f"id: 1\ndata: {await told(world)}\n\n"
    http = httpx2.MockTransport(lambda _: httpx2.Response(200, text=text))
    async with AsyncMerchant(httpx2.AsyncClient(base_url="https://platform", transport=http), Secret("k")) as reader:
        async for each in reader.events():
            assert (created.id, "payment.cancelled") == (each.payment.id, each.type)
            break


async def told(world: MerchantWorld) -> str:
    """Return the first event as the stream writes it."""
    events = await world.memory.store.read(lambda books: books.events_after(0, 1))
    shown = await world.memory.store.read(lambda books: tell(books, events[0]))
    return msgspec.json.encode(shown).decode()


def test_a_lost_answer_is_asked_for_again_with_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    seen: list[httpx2.Request] = []
    busy = (503, {"retry-after": "0"}, b'{"code": "unavailable"}')
    client = answering(httpx2.ReadTimeout("late"), busy, (409, {}, b'{"code": "already_final"}'), seen=seen)
    with pytest.raises(PlatformProblem, match="already_final"), client:
        client.ask(sdk.cancel_payment("pay_1"))
    assert 3 == len(seen)
    assert 1 == len({request.headers["idempotency-key"] for request in seen})
    assert {"Bearer tsk_test_key"} == {request.headers["authorization"] for request in seen}


def test_what_no_platform_answers_is_never_taken_for_a_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(AnswerUnreadable), answering((200, {}, b"<html>")) as client:
        client.ask(sdk.get_payment("pay_1"))
    with pytest.raises(PlatformUnreachable), answering(*[httpx2.ConnectError("refused")] * 4) as client:
        client.ask(sdk.get_payment("pay_1"))
    with pytest.raises(FieldInvalid):
        sdk.get_payment("../events")


def test_events_are_forwarded_to_this_machine_alone() -> None:
    clock = VirtualClock()
    with pytest.raises(FieldInvalid):
        Forwarder("https://shop.example/webhooks", Secret("whsec_"), clock)
    with Forwarder("http://localhost:8000/", Secret("whsec_"), clock):
        pass


async def test_an_event_has_the_same_webhook_whenever_it_is_told(world: MerchantWorld, client: AsyncMerchant) -> None:
    created = await client.ask(sdk.create_payment(NEW))
    await client.ask(sdk.cancel_payment(created.id))
    event = msgspec.json.decode(await told(world), type=MerchantEvent)
    assert as_webhook(event) == as_webhook(event)
    assert ("payment.cancelled", created.id) == (as_webhook(event).type, as_webhook(event).data.payment)
    assert Millis(event.created_at) == world.memory.clock.now()


async def test_the_ten_lines_of_the_readme_run(
    world: MerchantWorld, client: AsyncMerchant, capsys: pytest.CaptureFixture[str]
) -> None:
    created = await client.ask(sdk.create_payment(NEW))
    read = await client.ask(sdk.get_payment(created.id))
    answers = [(status, {}, msgspec.json.encode(told)) for status, told in ((201, created), (200, read))]

    class Connected:
        @staticmethod
        def connect(_url: str, _key: Secret, *, ca: Path) -> Merchant:
            assert "trust.pem" == ca.name
            return answering(*answers)

    block = README.read_text().partition("```python\n")[2].partition("```")[0]
    names = {"Merchant": Connected, "key": Secret("tsk_test_key"), "Path": Path, "WireOrder": WireOrder}
    names |= {"NewPayment": NewPayment, "create_payment": sdk.create_payment, "get_payment": sdk.get_payment}
    exec(block, names)  # noqa: S102 - the README's own lines, that is the point
    assert "open\n" == capsys.readouterr().out
