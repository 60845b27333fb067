"""What the sandbox wallet refuses: a request that is not the platform's, not just made, not sealed or not as agreed."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from visa_world import API_KEY, SHARED_SECRET, World, follow_up, instruction, mle_key, original

from tallystick import limits
from tallystick.adapters.connectors.http_exchange import HttpExchange
from tallystick.crypto import mle, pay_token
from tallystick.crypto.mle import MleKey
from tallystick.crypto.pay_token import ResourcePath
from tallystick.errors import OutcomeUnknown
from tallystick.runtime import Millis, SystemClock
from tallystick.secret import Secret
from tallystick.testing.sandbox.record import effective
from tallystick.testing.sandbox.visa import VisaSandbox

NUMBER = "4111111111111111"


@dataclass
class Draft:
    """A request that is right unless a test spoils it; the token is made last, over what is there then."""

    method: str = "POST"
    path: str = "/wallet/v1/authorizations"
    query: str = f"?apikey={API_KEY}"
    kid: str = "wallet-1"
    key: MleKey = field(default_factory=lambda: mle_key("wallet-1"))
    secret: str = SHARED_SECRET
    signed_at: Millis = field(default_factory=lambda: SystemClock().now())
    sealed_at: Millis = field(default_factory=lambda: SystemClock().now())
    body: bytes | None = None
    message: dict[str, Any] = field(
        default_factory=lambda: {
            "type": "authorization",
            "idempotencyKey": "req_1",
            "merchantName": "Shop",
            "amount": 1250,
            "currency": "CNY",
            "sentAt": 1,
            "card": {"primaryAccountNumber": NUMBER, "expiration": "3012"},
        }
    )
    headers: dict[str, str] = field(default_factory=dict)

    def sealed(self) -> bytes:
        if self.body is not None:
            return self.body
        public = self.key.public()
        token = type(public)(self.kid, public._key).seal(json.dumps(self.message).encode(), self.sealed_at)
        return json.dumps({"encData": token}).encode()

    async def send(self, http: HttpExchange) -> int:
        path, body = self.path + self.query, self.sealed()
        text = pay_token.request_text(ResourcePath.SHORT.of(path), body)
        headers = {
            "content-type": "application/json",
            "keyid": "wallet-1",
            "idempotency-key": "req_1",
            "x-pay-token": pay_token.make(Secret(self.secret), self.signed_at, text),
            **self.headers,
        }
        response, _ = await http.send(self.method, path, headers, body)
        return response.status_code


@pytest.fixture
async def sandbox(visa: World) -> AsyncIterator[VisaSandbox]:
    async with visa.sandbox() as running:
        yield running


@pytest.fixture
async def http(visa: World, sandbox: VisaSandbox) -> AsyncIterator[HttpExchange]:
    exchange = HttpExchange(f"https://localhost:{sandbox.port}", visa.context(), 5.0, None)
    yield exchange
    await exchange.aclose()


async def test_a_draft_that_nobody_spoils_is_taken(http: HttpExchange, sandbox: VisaSandbox) -> None:
    assert 200 == await Draft().send(http)
    assert 1 == effective(sandbox.record.entries)


def old(window_ms: int) -> Millis:
    return Millis(SystemClock().now() - window_ms - 60_000)


SPOILED: dict[str, tuple[int, Callable[[], Draft]]] = {
    "another address": (404, lambda: Draft(path="/wallet/v1/refunds")),
    "another method": (404, lambda: Draft(method="PUT")),
    "an address with a slash": (404, lambda: Draft(path="/wallet/v1/authorizations/")),
    "another media type": (415, lambda: Draft(headers={"content-type": "text/plain"})),
    "a large body": (413, lambda: Draft(body=b" " * (limits.BODY_MAX + 1))),
    "no API key": (401, lambda: Draft(query="")),
    "another API key": (401, lambda: Draft(query="?apikey=OTHER")),
    "more than the API key": (401, lambda: Draft(query=f"?apikey={API_KEY}&a=b")),
    "no token": (401, lambda: Draft(headers={"x-pay-token": ""})),
    "a token of another secret": (401, lambda: Draft(secret="x" * 40)),
    "an old token": (401, lambda: Draft(signed_at=old(pay_token.FRESH_S * 1000))),
    "an old seal": (400, lambda: Draft(sealed_at=old(mle.FRESH_MS))),
    "another kid in the header": (400, lambda: Draft(headers={"keyid": "wallet-2"})),
    "another kid in the seal": (400, lambda: Draft(kid="wallet-2")),
    "a seal for another key": (400, lambda: Draft(key=mle_key("own-2"))),
    "no seal": (400, lambda: Draft(body=json.dumps(Draft().message).encode())),
    "more than a seal": (400, lambda: Draft(body=Draft().sealed()[:-1] + b',"a":1}')),
    "garbage": (400, lambda: Draft(body=b"garbage")),
    "another key in the header": (400, lambda: Draft(headers={"idempotency-key": "req_2"})),
    "a message for another address": (400, lambda: Draft(path="/wallet/v1/authorizations/reversals")),
    "an unknown member": (400, lambda: Draft(message={**Draft().message, "extra": 1})),
    "no amount": (400, lambda: Draft(message={**Draft().message, "amount": 0})),
    "no card": (400, lambda: Draft(message={**Draft().message, "card": None})),
}


@pytest.mark.parametrize("what", SPOILED)
async def test_a_spoiled_request_is_refused_and_moves_nothing(
    http: HttpExchange, sandbox: VisaSandbox, what: str
) -> None:
    status, draft = SPOILED[what]
    assert status == await draft().send(http)
    assert ["refused"] == [entry["kind"] for entry in sandbox.record.entries]
    assert NUMBER not in str(sandbox.record.entries)


async def test_a_token_is_none_for_another_body(http: HttpExchange, sandbox: VisaSandbox) -> None:
    draft = Draft()
    text = pay_token.request_text(ResourcePath.SHORT.of(draft.path + draft.query), draft.sealed())
    draft.headers["x-pay-token"] = pay_token.make(Secret(SHARED_SECRET), draft.signed_at, text)
    draft.message["amount"] = 1
    assert 401 == await draft.send(http)


async def test_the_same_bytes_sent_again_move_nothing(http: HttpExchange, sandbox: VisaSandbox) -> None:
    draft = Draft(body=Draft().sealed())
    assert [200, 200] == [await draft.send(http) for _ in range(2)]
    assert 1 == effective(sandbox.record.entries)


@pytest.mark.parametrize("login", ["", "Basic cGxhdGZvcm06d3Jvbmc=", "Bearer x"])
async def test_a_wrong_login_is_refused(visa: World, login: str) -> None:
    async with visa.sandbox(user_id="platform", password="long enough") as sandbox:
        exchange = HttpExchange(f"https://localhost:{sandbox.port}", visa.context(), 5.0, None)
        assert 401 == await Draft(headers={"authorization": login}).send(exchange)
        await exchange.aclose()


@pytest.mark.parametrize("offset", [-mle.FRESH_MS - 60_000, mle.FRESH_MS + 60_000])
async def test_a_platform_whose_clock_is_wrong_gets_no_decision(visa: World, offset: int) -> None:
    async with visa.pair() as (connector, sandbox):
        visa.clock.offset = offset
        try:
            with pytest.raises(OutcomeUnknown, match="401"):
                await connector.deliver(instruction())
            with pytest.raises(OutcomeUnknown, match="401"):
                await connector.inquire(original(instruction()), follow_up())
        finally:
            visa.clock.offset = 0
        assert 0 == effective(sandbox.record.entries)
