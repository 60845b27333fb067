"""Streams of events: what they tell, whom, until when, and that a reader who left costs nothing."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from tallystick import limits, overview
from tallystick.assembly.facts import ElementKind, Fate, PaymentState
from tallystick.assembly.model import Element, Part, Payment
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.x509 import PeerCertificate
from tallystick.errors import StoreFailed
from tallystick.runtime import Millis
from tallystick.sdk.requests import Credentials, sign_get
from tallystick.service import events as module
from tallystick.service.background import Carriers
from tallystick.service.events import HEARTBEAT_MS, LIFE_MS, Streams
from tallystick.service.gateway import Gateway
from tallystick.service.server import PEER, Listener
from tallystick.testing.asgi import Reply, ask
from tallystick.testing.platform import MemoryPlatform, memory_platform

DELIVERING, UNKNOWN, APPROVED = PaymentState.DELIVERING, PaymentState.UNKNOWN, PaymentState.APPROVED
PAYMENT, PART = "/v1/payments/pay_1/events", "/v1/parts/part_1/events"
SOON_S = 0.01  # s between two looks at the store, where a test does not wait for a bell


class Nobody:
    """Refuse nothing, know no institution."""

    def check(self, peer: PeerCertificate, *_: object) -> PeerCertificate:
        return peer

    async def sender(self, institution: str) -> Any:
        raise NotImplementedError


class Edge:
    """A gateway with streams over a memory platform: a payment of the shop, one part by `pc`."""

    def __init__(self, world: MemoryPlatform, poll_s: float) -> None:
        self.world = world
        self.streams = Streams(world.store, world.clock, poll_s=poll_s)
        gateway = Gateway(
            world.platform,
            standing=Nobody(),
            institutions=Nobody(),
            identity=Ed25519Private(),
            carriers=Carriers(world.platform, self.streams.wake),
            more=self.streams.handlers(),
        )
        self.app = gateway.app()

    def headers(self, who: str, target: str, **more: str) -> list[tuple[str, str]]:
        credentials = Credentials(who, self.world.members[who].key)
        nonce = self.world.randomness.token(16).hex()
        signed = sign_get(credentials, target, created=self.world.clock.now() // 1000, nonce=nonce).headers
        return [*signed.items(), *((name.replace("_", "-"), value) for name, value in more.items())]

    def peer(self, who: str) -> PeerCertificate:
        return PeerCertificate(
            serial=who,
            fingerprint=f"certificate of {who}",
            uri=f"tallystick:channel:{who}",
            purposes=frozenset(),
            not_before=Millis(0),
            not_after=Millis(2**52),
        )

    async def ask(self, target: str, who: str, **more: str) -> Reply:
        """Read a stream to its end."""
        scope = {PEER: self.peer(who)}
        async with asyncio.timeout(20):
            return await ask(self.app, "GET", target, headers=self.headers(who, target, **more), scope=scope)

    @contextlib.asynccontextmanager
    async def reading(self, target: str, who: str, **more: str) -> AsyncIterator[asyncio.Queue[bytes]]:
        """Read a stream piece by piece; the reader goes away at the end of the block."""
        pieces: asyncio.Queue[bytes] = asyncio.Queue()
        gone = asyncio.Event()
        asked = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if asked:
                return asked.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
            elif message["body"]:
                pieces.put_nowait(message["body"])

        raw = [(name.encode(), value.encode()) for name, value in self.headers(who, target, **more)]
        scope = {
            "type": "http",
            "method": "GET",
            "path": target,
            "raw_path": target.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": raw,
            PEER: self.peer(who),
        }
        serving = asyncio.create_task(self.app(scope, receive, send))
        try:
            yield pieces
        finally:
            gone.set()
            async with asyncio.timeout(20):
                await serving

    async def move(self, was: PaymentState, state: PaymentState) -> None:
        now = self.world.clock.now()
        await self.world.store.transact(lambda books: books.advance("pay_1", expected=was, state=state, at=now))


async def make(poll_s: float = SOON_S, **fields: Any) -> Edge:
    world = await memory_platform()
    for name in ("shop", "pc", "phone"):
        await world.channel(name)
    now = world.clock.now()
    usual = {
        "policy": "card",
        "element": Element(kind=ElementKind.CODE, digest=b"digest"),
        "claimed": True,
        "opened_at": now,
        "expires_at": now + 600_000,
        "updated_at": now,
        "owner": "shop",
        "state": DELIVERING,
        "fate": Fate.JOINED,
    }
    payment = Payment(**{"id": "pay_1", **usual} | fields)
    part = Part(
        id="part_1",
        payment_id="pay_1",
        channel_id="pc",
        certificate="pc",
        fields=frozenset({"pan"}),
        received_at=now,
        epoch="e",
        sealed=b"sealed",
    )
    await world.store.transact(lambda books: books.add_payment(payment))
    await world.store.transact(lambda books: books.add_part(part))
    return Edge(world, poll_s)


async def piece(pieces: "asyncio.Queue[bytes]") -> bytes:
    async with asyncio.timeout(20):
        return await pieces.get()


async def until_open(edge: Edge, count: int) -> None:
    async with asyncio.timeout(20):
        while len(edge.streams._bells) != count:  # noqa: ASYNC110 - what opens and ends a stream sets no event here
            await asyncio.sleep(SOON_S)


def told(body: bytes) -> list[tuple[str, str, Any]]:
    """Read the messages of a stream: id, event and data of each."""
    found = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


async def test_a_stream_tells_the_state_now_and_then_each_change_until_the_final_one() -> None:
    edge = await make()
    async with edge.reading(PAYMENT, "shop") as pieces:
        assert b"retry: 2000\n\n" == await piece(pieces)
        assert [("delivering", "payment.delivering")] == [each[:2] for each in told(await piece(pieces))]
        await edge.move(DELIVERING, UNKNOWN)
        assert [("unknown", "payment.unknown")] == [each[:2] for each in told(await piece(pieces))]
        await edge.move(UNKNOWN, APPROVED)
        assert [("approved", "payment.approved")] == [each[:2] for each in told(await piece(pieces))]
    assert not edge.streams._bells


async def test_a_stream_tells_what_asking_would_tell() -> None:
    edge = await make(state=APPROVED)
    for target, who in ((PAYMENT, "shop"), (PART, "pc")):
        reply = await edge.ask(target, who)
        asked = await edge.ask(target.removesuffix("/events"), who)
        ((_, _, data),) = told(reply.body)
        assert json.loads(asked.body) == data
        assert ("text/event-stream", "no-store") == (reply.headers["content-type"], reply.headers["cache-control"])


async def test_a_part_is_accepted_and_then_told_of_and_never_names_its_payment() -> None:
    edge = await make()
    async with edge.reading(PART, "pc") as pieces:
        await piece(pieces)
        assert [("accepted", "part.accepted", {"part": "part_1", "status": "accepted", "response_code": None,
                 "reason": None})] == told(await piece(pieces))  # fmt: skip
        await edge.move(DELIVERING, APPROVED)
        last = await piece(pieces)
    assert ["approved"] == [each[0] for each in told(last)]
    assert b"pay_1" not in last


async def test_a_rival_reads_accepted_and_then_expired_whatever_becomes_of_the_payment() -> None:
    edge = await make()
    await edge.world.store.transact(lambda books: books.mark_rivals("pay_1", frozenset({"part_1"})))
    async with edge.reading(PART, "pc") as pieces:
        await piece(pieces)
        assert ["accepted"] == [each[0] for each in told(await piece(pieces))]
        await edge.move(DELIVERING, APPROVED)
        await asyncio.sleep(5 * SOON_S)
        assert pieces.empty()
        await edge.world.clock.advance(limits.SECRET_LIFE_MS)
        assert ["expired"] == [each[0] for each in told(await piece(pieces))]


async def test_nobody_else_gets_a_stream() -> None:
    edge = await make()
    for target, who in ((PAYMENT, "pc"), (PART, "shop"), ("/v1/payments/pay_2/events", "shop")):
        reply = await edge.ask(target, who)
        assert (404, "not_found") == (reply.status, json.loads(reply.body)["code"])
    assert not edge.streams._bells


async def test_a_stream_is_asked_for_by_a_signed_message() -> None:
    edge = await make()
    reply = await ask(edge.app, "GET", PAYMENT, scope={PEER: edge.peer("shop")})
    assert (401, "signature_missing") == (reply.status, json.loads(reply.body)["code"])


async def test_a_reader_that_comes_back_is_told_what_changed_since_the_last_id_it_saw() -> None:
    edge = await make(state=UNKNOWN)
    async with edge.reading(PAYMENT, "shop", last_event_id="unknown") as pieces:
        assert b"retry: 2000\n\n" == await piece(pieces)
        await asyncio.sleep(5 * SOON_S)
        assert pieces.empty()
        await edge.move(UNKNOWN, APPROVED)
        assert ["approved"] == [each[0] for each in told(await piece(pieces))]
    async with edge.reading(PAYMENT, "shop", last_event_id="unknown") as pieces:
        await piece(pieces)
        assert ["approved"] == [each[0] for each in told(await piece(pieces))]


async def test_a_final_state_is_told_again_to_a_reader_that_has_seen_it_so_that_it_stops() -> None:
    edge = await make(state=APPROVED)
    reply = await edge.ask(PAYMENT, "shop", last_event_id="approved")
    assert ["approved"] == [each[0] for each in told(reply.body)]


async def test_a_stream_is_woken_in_its_own_process_without_waiting_for_a_look_at_the_store() -> None:
    edge = await make(poll_s=3_600)
    async with edge.reading(PAYMENT, "shop") as pieces:
        await piece(pieces)
        await piece(pieces)
        await edge.move(DELIVERING, APPROVED)
        edge.streams.wake("pay_2")
        await asyncio.sleep(0.05)
        assert pieces.empty()
        edge.streams.wake("pay_1")
        assert ["approved"] == [each[0] for each in told(await piece(pieces))]


async def test_a_quiet_stream_shows_that_it_lives() -> None:
    edge = await make()
    async with edge.reading(PAYMENT, "shop") as pieces:
        await piece(pieces)
        await piece(pieces)
        await edge.world.clock.advance(HEARTBEAT_MS)
        assert b":\n\n" == await piece(pieces)
        await asyncio.sleep(5 * SOON_S)
        assert pieces.empty()


async def test_a_stream_ends_after_its_time_though_nothing_is_final() -> None:
    edge = await make()
    async with edge.reading(PAYMENT, "shop") as pieces:
        await piece(pieces)
        await piece(pieces)
        await edge.world.clock.advance(LIFE_MS - 1)
        assert b":\n\n" == await piece(pieces)
        await asyncio.sleep(5 * SOON_S)
        assert 1 == len(edge.streams._bells)
        await edge.world.clock.advance(1)
        await until_open(edge, 0)


async def test_closing_ends_all_streams_and_refuses_new_ones() -> None:
    edge = await make(poll_s=3_600)
    asking = asyncio.create_task(edge.ask(PAYMENT, "shop"))
    await until_open(edge, 1)
    edge.streams.close()
    assert 200 == (await asking).status
    assert 503 == (await edge.ask(PAYMENT, "shop")).status


async def test_there_are_no_more_streams_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAMS_MAX", 2)
    edge = await make()
    async with edge.reading(PAYMENT, "shop") as one, edge.reading(PART, "pc") as other:
        await piece(one)
        await piece(other)
        reply = await edge.ask(PAYMENT, "shop")
        assert (503, "unavailable") == (reply.status, json.loads(reply.body)["code"])
        assert "retry-after" in reply.headers
    async with edge.reading(PAYMENT, "shop") as again:
        await piece(again)


async def test_one_sender_cannot_take_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAMS_EACH_MAX", 1)
    edge = await make()
    async with edge.reading(PAYMENT, "shop") as one, edge.reading(PART, "pc") as other:
        await piece(one)
        await piece(other)
        assert 429 == (await edge.ask(PAYMENT, "shop")).status


async def test_a_store_that_fails_ends_the_stream_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = await make()
    async with edge.reading(PAYMENT, "shop") as pieces:
        await piece(pieces)
        await piece(pieces)

        async def fail(*_: object) -> None:
            raise StoreFailed("the disk is gone")

        monkeypatch.setattr(overview, "payment_status", fail)
        assert module.overview is overview
        await until_open(edge, 0)
        assert pieces.empty()


async def test_a_reader_that_went_away_is_noticed_over_a_real_socket() -> None:
    edge = await make()

    async def with_peer(scope: Any, receive: Any, send: Any) -> None:
        await edge.app({**scope, PEER: edge.peer("shop")}, receive, send)

    lines = "".join(f"{name}: {value}\r\n" for name, value in edge.headers("shop", PAYMENT))
    async with Listener(with_peer, host="127.0.0.1", port=0, context=None) as listener, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(f"GET {PAYMENT} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        await reader.readuntil(b"event: payment.delivering")
        assert 1 == len(edge.streams._bells)
        writer.transport.abort()
        await until_open(edge, 0)


def test_a_message_is_one_line_of_data_whatever_is_in_it() -> None:
    message = module.Told(payment_id="pay_1", kind="part", word="approved", body=b'{"a":"\\n"}', final=True)
    assert b'id: approved\nevent: part.approved\ndata: {"a":"\\n"}\n\n' == message.encode()
    assert 1 == len(told(replace(message, body=json.dumps({"a": "\n\ndata: x"}).encode()).encode()))
