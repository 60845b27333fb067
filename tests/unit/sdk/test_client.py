"""The client against a platform that verifies, opens and signs like the real one."""

import asyncio
import gzip
import json
import re
import runpy
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from tallystick.adapters.keys.opening import FileOpeningKeys
from tallystick.crypto.httpsig import sign_response
from tallystick.crypto.signing import Ed25519Private, HmacKey
from tallystick.errors import FieldInvalid
from tallystick.runtime import Millis
from tallystick.sdk.client import ANSWER_MAX, TallystickClient
from tallystick.sdk.errors import AnswerNotProven, AnswerUnreadable, NoUsableKey, PlatformProblem, PlatformUnreachable
from tallystick.sdk.keys import KEYS_TARGET, REFRESH_MS
from tallystick.sdk.requests import Credentials, PaymentBinding
from tallystick.sdk.retry import ASKED_WAIT_MAX_S, ATTEMPTS_MAX, FIRST_WAIT_MS
from tallystick.secret import Secret
from tallystick.security.model import Arrival, Sender
from tallystick.security.unseal import open_envelope, read_envelope
from tallystick.security.verify import verify
from tallystick.wire.part import PartContent, PartReceipt, PartStatus, PhoneElement, WireOrder
from tallystick.wire.payment import Candidates, Done, NewPayment, PaymentCreated, PaymentStatus

MAC = HmacKey(b"k" * 32)
IDENTITY = Ed25519Private()
ORDER = WireOrder(payee="Tea House", amount=1250, currency="CNY")
PHONE = PhoneElement("+8613800138000")
PART = PartContent(policy="login", element=PHONE, fields={"password": Secret("correct horse battery")})
RECEIPT = PartReceipt(part="part_a", status="accepted", expires_at=1)
Scripted = httpx2.Response | Exception


class FakeClock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.at = 1_800_000_000_000
        self.waits: list[float] = []

    def now(self) -> Millis:
        return Millis(self.at)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += int(seconds * 1000)


class FakePlatform:
    """Verify and open every message; answer with what `script` holds first, then with `answer`."""

    def __init__(self, keys: FileOpeningKeys, clock: FakeClock) -> None:
        self.keys = keys
        self.clock = clock
        self.script: list[Scripted] = []
        self.answer: Any = RECEIPT
        self.bound: tuple[str, ...] = ()
        self.signer: HmacKey | Ed25519Private = MAC
        self.sender_key: HmacKey | Ed25519Private = MAC
        self.list_fails: Exception | httpx2.Response | None = None
        self.lists = 0
        self.seen: list[tuple[str, str, Any]] = []
        self.nonces: list[str] = []
        self.idempotency_keys: list[str] = []

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        target = request.url.raw_path.decode()
        if target == KEYS_TARGET:
            await asyncio.sleep(0)  # as a network does: let others run
            return self.list_keys()
        nonce = self.admit(request, target)
        if self.script:
            scripted = self.script.pop(0)
            if isinstance(scripted, Exception):
                raise scripted
            return scripted
        body = msgspec.json.encode(self.answer)
        at = self.clock.now() // 1000
        headers = sign_response(self.signer, keyid="ch_shop", status=200, body=body, created=at, nonce=nonce)
        return httpx2.Response(200, headers=headers, content=body)

    def list_keys(self) -> httpx2.Response:
        self.lists += 1
        if isinstance(self.list_fails, Exception):
            raise self.list_fails
        return self.list_fails or httpx2.Response(200, text=self.keys.published(self.clock.now()))

    def admit(self, request: httpx2.Request, target: str) -> str:
        headers = dict(request.headers)
        arrival = Arrival(
            method=request.method, target=target, headers=headers, body=request.content, at=self.clock.now()
        )
        key = self.sender_key if isinstance(self.sender_key, HmacKey) else self.sender_key.public()
        verified = verify(arrival, Sender(id="ch_shop", algorithm=key.algorithm, sealed_key=b""), key)
        content = None
        if request.content:
            content = json.loads(open_envelope(read_envelope(arrival), arrival, verified, self.keys, self.bound))
            self.idempotency_keys.append(verified.idempotency_key)
        assert verified.nonce not in self.nonces
        self.nonces.append(verified.nonce)
        self.seen.append((request.method, target, content))
        return verified.nonce


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def platform(tmp_path: Path, clock: FakeClock) -> AsyncIterator[FakePlatform]:
    keys = FileOpeningKeys(tmp_path / "keys", lambda: IDENTITY, policies=("card", "login"))
    keys.rotate(clock.now())
    yield FakePlatform(keys, clock)
    keys.close()


def connect(platform: FakePlatform, *, identity: Ed25519Private = IDENTITY) -> TallystickClient:
    transport = httpx2.MockTransport(platform.handle)
    http = httpx2.AsyncClient(base_url="https://pay.example:8443", transport=transport, trust_env=False)
    credentials = Credentials("ch_shop", platform.sender_key)
    return TallystickClient(http, credentials, identity.public(), clock=platform.clock)


@pytest.fixture
async def client(platform: FakePlatform) -> AsyncIterator[TallystickClient]:
    async with connect(platform) as made:
        yield made


def problem(status: int, code: str, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, headers=headers, json={"code": code, "detail": "it says why"})


async def test_a_part_arrives_opened_and_its_receipt_comes_back(
    platform: FakePlatform, client: TallystickClient
) -> None:
    assert RECEIPT == await client.send_part(PART, idempotency_key="order-7")
    method, target, content = platform.seen[0]
    assert ("POST", "/v1/parts", {"password": "correct horse battery"}) == (method, target, content["fields"])
    assert platform.idempotency_keys == ["order-7"]


async def test_two_calls_without_an_idempotency_key_are_two_messages(
    platform: FakePlatform, client: TallystickClient
) -> None:
    await client.send_part(PART)
    await client.send_part(PART)
    assert len(set(platform.idempotency_keys)) == 2


async def test_a_part_for_a_created_payment_is_bound_to_it(platform: FakePlatform, client: TallystickClient) -> None:
    platform.bound = ("pay_a", "Tea House", "1250", "CNY", "")
    assert RECEIPT == await client.send_part(PART, payment=PaymentBinding.of("pay_a", ORDER))


STATUS = PaymentStatus(
    payment="pay_a",
    state="open",
    policy="card",
    correlation="code",
    parts=0,
    contested=False,
    opened_at=1,
    expires_at=2,
    order=ORDER,
)
Call = Callable[[TallystickClient], Awaitable[Any]]
CALLS: dict[str, tuple[Call, Any, str, Any]] = {
    "part_status": (
        lambda client: client.part_status("part_a"),
        PartStatus(part="part_a", status="accepted"),
        "GET /v1/parts/part_a",
        None,
    ),
    "create_payment": (
        lambda client: client.create_payment(NewPayment(policy="card", order=ORDER)),
        PaymentCreated(payment="pay_a", expires_at=1, code="ABC"),
        "POST /v1/payments",
        {"policy": "card", "order": {"payee": "Tea House", "amount": 1250, "currency": "CNY"}},
    ),
    "payment_status": (lambda client: client.payment_status("pay_a"), STATUS, "GET /v1/payments/pay_a", None),
    "cancel": (lambda client: client.cancel("pay_a"), Done(), "POST /v1/payments/pay_a/cancel", {}),
    "candidates": (
        lambda client: client.candidates("login", PHONE),
        Candidates(candidates=()),
        "POST /v1/choices",
        {"policy": "login", "element": {"kind": "phone", "phone": PHONE.phone}, "part": None},
    ),
    "choose": (
        lambda client: client.choose("login", PHONE, "part_a"),
        Candidates(candidates=()),
        "POST /v1/choices",
        {"policy": "login", "element": {"kind": "phone", "phone": PHONE.phone}, "part": "part_a"},
    ),
    "set_number": (
        lambda client: client.set_number(Secret("ann"), "12345678"),
        Done(),
        "POST /v1/numbers",
        {"username": "ann", "number": "12345678"},
    ),
    "issue_value": (
        lambda client: client.issue_value("value-of-8", 60),
        Done(),
        "POST /v1/values",
        {"value": "value-of-8", "valid_for": 60},
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_each_call_goes_to_its_address_and_reads_its_answer(
    platform: FakePlatform, client: TallystickClient, name: str
) -> None:
    call, expected, address, content = CALLS[name]
    platform.answer = expected
    assert expected == await call(client)
    method, _, target = address.partition(" ")
    assert platform.seen == [(method, target, content)]


async def test_a_sender_with_a_signing_key_is_answered_under_the_identity_key(platform: FakePlatform) -> None:
    platform.sender_key, platform.signer = Ed25519Private(), IDENTITY
    async with connect(platform) as client:
        assert RECEIPT == await client.send_part(PART)


async def test_an_answer_under_another_key_is_not_believed_nor_asked_for_again(
    platform: FakePlatform, client: TallystickClient
) -> None:
    platform.signer = HmacKey(b"x" * 32)
    with pytest.raises(AnswerNotProven):
        await client.send_part(PART)
    assert len(platform.seen) == 1


async def test_a_key_list_by_another_identity_is_refused_before_anything_is_sealed(platform: FakePlatform) -> None:
    async with connect(platform, identity=Ed25519Private()) as client:
        with pytest.raises(AnswerNotProven):
            await client.send_part(PART)
    assert platform.seen == []


@pytest.mark.parametrize(
    "failure",
    [
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
        problem(503, "unavailable"),
        problem(429, "too_many"),
    ],
)
async def test_a_passing_failure_is_followed_by_the_same_message_with_a_fresh_nonce(
    platform: FakePlatform, client: TallystickClient, clock: FakeClock, failure: Scripted
) -> None:
    platform.script = [failure]
    assert RECEIPT == await client.send_part(PART)
    assert platform.seen[0] == platform.seen[1]
    assert platform.idempotency_keys[0] == platform.idempotency_keys[1]
    assert len(set(platform.nonces)) == 2
    assert len(clock.waits) == 1
    assert 0 < clock.waits[0] <= FIRST_WAIT_MS / 1000


async def test_sending_again_ends(platform: FakePlatform, client: TallystickClient, clock: FakeClock) -> None:
    platform.script = [httpx2.ConnectError("refused") for _ in range(ATTEMPTS_MAX + 1)]
    with pytest.raises(PlatformUnreachable):
        await client.send_part(PART)
    assert len(platform.seen) == ATTEMPTS_MAX
    assert len(clock.waits) == ATTEMPTS_MAX - 1


async def test_the_time_the_platform_asks_for_is_waited(
    platform: FakePlatform, client: TallystickClient, clock: FakeClock
) -> None:
    platform.script = [problem(503, "unavailable", **{"retry-after": "7"})]
    await client.send_part(PART)
    assert 7 < clock.waits[0] <= 7 + FIRST_WAIT_MS / 1000


@pytest.mark.parametrize(
    "answer",
    [
        problem(409, "same_channel"),
        problem(400, "field_invalid"),
        problem(500, "internal"),
        problem(503, "unavailable", **{"retry-after": str(ASKED_WAIT_MAX_S + 1)}),
    ],
)
async def test_any_other_problem_is_raised_at_once(
    platform: FakePlatform, client: TallystickClient, answer: httpx2.Response
) -> None:
    platform.script = [answer]
    with pytest.raises(PlatformProblem):
        await client.send_part(PART)
    assert len(platform.seen) == 1


async def test_a_key_the_platform_no_longer_knows_makes_the_client_fetch_the_list_again(
    platform: FakePlatform, client: TallystickClient
) -> None:
    platform.script = [problem(400, "key_unknown")]
    assert RECEIPT == await client.send_part(PART)
    assert platform.lists == 2


async def test_the_list_is_fetched_once_for_many_messages(platform: FakePlatform, client: TallystickClient) -> None:
    await asyncio.gather(*(client.send_part(PART) for _ in range(5)))
    assert (5, 1) == (len(platform.seen), platform.lists)


async def test_the_list_is_fetched_again_when_it_is_due(
    platform: FakePlatform, client: TallystickClient, clock: FakeClock
) -> None:
    await client.send_part(PART)
    clock.at += REFRESH_MS
    await client.send_part(PART)
    assert platform.lists == 2


async def test_a_list_that_cannot_be_fetched_again_still_serves_while_its_keys_are_valid(
    platform: FakePlatform, client: TallystickClient, clock: FakeClock
) -> None:
    await client.send_part(PART)
    clock.at += REFRESH_MS
    platform.list_fails = httpx2.ConnectError("refused")
    assert RECEIPT == await client.send_part(PART)


async def test_without_any_list_a_failed_fetch_is_tried_again(platform: FakePlatform, client: TallystickClient) -> None:
    platform.list_fails = problem(503, "unavailable")
    with pytest.raises(PlatformProblem):
        await client.send_part(PART)
    assert (ATTEMPTS_MAX, 0) == (platform.lists, len(platform.seen))


async def test_nothing_is_sealed_for_a_key_that_is_over(
    platform: FakePlatform, client: TallystickClient, clock: FakeClock
) -> None:
    clock.at -= 3_600_000
    platform.list_fails = httpx2.Response(200, text=platform.keys.published(Millis(clock.at + 3_600_000)))
    with pytest.raises(NoUsableKey):
        await client.send_part(PART)


async def test_the_policies_of_the_platform_are_known(client: TallystickClient) -> None:
    assert ("card", "login") == await client.policies()


async def test_an_endless_answer_is_cut(platform: FakePlatform, client: TallystickClient) -> None:
    platform.script = [httpx2.Response(200, content=b"x" * (ANSWER_MAX + 1))]
    with pytest.raises(AnswerUnreadable):
        await client.send_part(PART)


async def test_a_compressed_answer_is_not_unpacked(platform: FakePlatform, client: TallystickClient) -> None:
    packed = gzip.compress(msgspec.json.encode(RECEIPT))
    platform.script = [httpx2.Response(200, headers={"content-encoding": "gzip"}, content=packed)]
    with pytest.raises(AnswerUnreadable):
        await client.send_part(PART)


async def test_an_id_cannot_change_the_address(platform: FakePlatform, client: TallystickClient) -> None:
    with pytest.raises(FieldInvalid):
        await client.payment_status("../parts/part_a")
    assert platform.seen == []


def test_the_example_is_short_and_can_be_loaded() -> None:
    example = Path(__file__).parents[3] / "examples" / "send_part.py"
    assert len(example.read_text().splitlines()) <= 25
    assert callable(runpy.run_path(str(example), run_name="example")["main"])
    assert re.search(r"^if __name__ == ", example.read_text(), re.MULTILINE)
