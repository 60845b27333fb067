"""Following a payment or a part: a stream rings the bell, only signed answers are believed."""

from collections.abc import AsyncIterator

import httpx2
import msgspec
import pytest

from tallystick.crypto.httpsig import sign_response
from tallystick.crypto.signing import Ed25519Private, HmacKey
from tallystick.runtime import Millis
from tallystick.sdk.client import COME_BACK_S, TallystickClient
from tallystick.sdk.errors import PlatformProblem
from tallystick.sdk.requests import Credentials
from tallystick.wire.part import PartStatus
from tallystick.wire.payment import PaymentStatus

MAC = HmacKey(b"k" * 32)
RINGS = b"retry: 2000\n\n:\n\nid: x\nevent: payment.x\ndata: {}\n\n"
SILENT = b"retry: 2000\n\n:\n\n"
Stream = bytes | int | Exception


class Clock:
    """A clock that stands still and counts the waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> Millis:
        return Millis(1_800_000_000_000)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


class Platform:
    """Answer each GET of a state with the next of `states`, signed, and each stream with the next of `streams`."""

    def __init__(self, states: list[str], streams: list[Stream]) -> None:
        self.states = states
        self.streams = streams
        self.clock = Clock()
        self.seen: list[tuple[str, str]] = []

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        target = request.url.raw_path.decode()
        assert "signature" in request.headers
        if target.endswith("/events"):
            self.seen.append(("stream", request.headers["last-event-id"]))
            return self.stream(self.streams.pop(0))
        state = self.states.pop(0)
        self.seen.append(("read", state))
        body = msgspec.json.encode(status_of(target, state))
        nonce = request.headers["signature-input"].partition('nonce="')[2].partition('"')[0]
        at = self.clock.now() // 1000
        signed = sign_response(MAC, keyid="ch_shop", status=200, body=body, created=at, nonce=nonce)
        return httpx2.Response(200, headers=signed, content=body)

    def stream(self, scripted: Stream) -> httpx2.Response:
        if isinstance(scripted, Exception):
            raise scripted
        if isinstance(scripted, int):
            return httpx2.Response(scripted, content=RINGS)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=scripted)

    def client(self) -> TallystickClient:
        transport = httpx2.MockTransport(self.handle)
        http = httpx2.AsyncClient(base_url="https://pay.example", transport=transport, trust_env=False)
        return TallystickClient(http, Credentials("ch_shop", MAC), Ed25519Private().public(), clock=self.clock)


def status_of(target: str, state: str) -> PaymentStatus | PartStatus:
    if target.startswith("/v1/parts/"):
        return PartStatus(part="part_1", status=state)
    return PaymentStatus(
        payment="pay_1",
        state=state,
        policy="card",
        correlation="code",
        parts=0,
        contested=False,
        opened_at=1,
        expires_at=2,
    )


async def words(statuses: AsyncIterator[PaymentStatus] | AsyncIterator[PartStatus]) -> list[str]:
    return [each.state if isinstance(each, PaymentStatus) else each.status async for each in statuses]


async def test_each_ring_is_answered_by_a_signed_read_until_the_final_state() -> None:
    platform = Platform(["joined", "unknown", "approved"], [RINGS, RINGS])
    async with platform.client() as client:
        assert ["joined", "unknown", "approved"] == await words(client.payment_events("pay_1"))
    expected = [
        ("read", "joined"),
        ("stream", "joined"),
        ("read", "unknown"),
        ("stream", "unknown"),
        ("read", "approved"),
    ]
    assert (expected, []) == (platform.seen, platform.clock.waits)


async def test_a_part_is_followed_the_same_way() -> None:
    platform = Platform(["accepted", "approved"], [RINGS])
    async with platform.client() as client:
        assert ["accepted", "approved"] == await words(client.part_events("part_1"))


@pytest.mark.parametrize("state", ["unknown", "inquiry", "manual", "delivering"])
async def test_a_state_in_doubt_is_not_the_end(state: str) -> None:
    platform = Platform([state, "reversed"], [RINGS])
    async with platform.client() as client:
        assert [state, "reversed"] == await words(client.payment_events("pay_1"))


async def test_a_final_state_needs_no_stream() -> None:
    platform = Platform(["declined"], [])
    async with platform.client() as client:
        assert ["declined"] == await words(client.payment_events("pay_1"))


@pytest.mark.parametrize(
    "broken", [SILENT, 503, 429, 404, httpx2.ReadTimeout("silent"), httpx2.RemoteProtocolError("cut")]
)
async def test_without_a_stream_the_client_looks_again_after_a_while(broken: Stream) -> None:
    platform = Platform(["joined", "joined", "approved"], [broken, broken])
    async with platform.client() as client:
        assert ["joined", "approved"] == await words(client.payment_events("pay_1"))
    assert [COME_BACK_S, COME_BACK_S] == platform.clock.waits


async def test_what_a_stream_says_is_not_believed() -> None:
    lying = b'id: approved\nevent: payment.approved\ndata: {"state":"approved"}\n\n'
    platform = Platform(["joined", "joined", "declined"], [lying, lying])
    async with platform.client() as client:
        assert ["joined", "declined"] == await words(client.payment_events("pay_1"))


async def test_a_refusal_of_the_state_itself_is_raised() -> None:
    platform = Platform([], [])

    def refuse(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404, json={"code": "not_found", "detail": "no"})

    platform.handle = refuse
    async with platform.client() as client:
        with pytest.raises(PlatformProblem):
            await words(client.payment_events("pay_1"))
