"""An agent with every right of the scope `order` orders, supplies its half, and never completes a payment."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from gateway_world import make_edge
from merchant_world import NEW, PAN, PIN_BLOCK, MerchantWorld, merchant_world, read

from tallystick.assembly.element import CODE_ALPHABET
from tallystick.channels.model import Scope
from tallystick.limits import CODE_LENGTH
from tallystick.path import carry
from tallystick.testing.asgi import ask
from tallystick.testing.inbox import waiting_notices
from tallystick.testing.messages import send_part
from tallystick.vault.notices import open_notice

TRIES = 10_000
OWNER = "merchant:live:agent"
PIN = {"pin_block": PIN_BLOCK}
PAYER = {"phone": "+8613800138000"}


class Agent:
    """All that a key with the scope `order` alone can be made to ask, over any listener, knowing all but the payer."""

    def __init__(self, world: MerchantWorld, gateway: Any, keys: list[str], payments: list[dict[str, Any]]) -> None:
        self.world, self.keys, self.payments, self.n = world, keys, payments, 0
        self.gateway = gateway
        self.answers: Counter[tuple[str, int]] = Counter()

    @property
    def key(self) -> str:
        return self.keys[self.n % len(self.keys)]

    @property
    def payment(self) -> dict[str, Any]:
        return self.payments[self.n % len(self.payments)]

    async def half(self, fields: dict[str, str], element: dict[str, str] | None = None) -> int:
        content = {"policy": "card", "element": element or {"kind": "page"}, "fields": fields}
        return (await self.world.half(self.key, self.payment, content, owner=OWNER)).status

    async def own_half_again(self) -> int:
        return await self.half({"pan": PAN, "expiry": "3012"})

    async def the_payers_half(self) -> int:
        return await self.half(PIN)

    async def both_halves_in_one(self) -> int:
        return await self.half({"pan": PAN, **PIN})

    async def a_guessed_code(self) -> int:
        code = "".join(CODE_ALPHABET[self.world.memory.randomness.below(31)] for _ in range(CODE_LENGTH))
        return await self.half(PIN, {"kind": "code", "code": code})

    async def a_replay(self) -> int:
        return (await self.world.give(self.key, self.world.given)).status

    async def a_choice_in_quarantine(self) -> int:
        choice = {"policy": "card", "element": {"kind": "page"}, "part": "part_1"}
        return (await self.world.ask(self.key, "POST", "/v1/choices", choice)).status

    async def a_look_at_the_code(self) -> int:
        return (await self.world.ask(self.key, "GET", f"/v1/payments/{self.payment['id']}")).status

    async def a_test_mode_shortcut(self) -> int:
        target = f"/v1/test/payments/{self.payment['id']}/pay"
        return (await self.world.ask(self.key, "POST", target, {})).status

    async def the_gateway_without_a_certificate(self) -> int:
        return (await ask(self.gateway, "POST", "/v1/parts", headers=[("authorization", self.key)], body=b"{}")).status

    async def another_order_for_the_same_half(self) -> int:
        created = {**self.payment, "order": {**self.payment["order"], "amount": 1}}
        content = {"policy": "card", "element": {"kind": "page"}, "fields": {"pan": PAN}}
        return (await self.world.half(self.key, created, content, owner=OWNER)).status

    def ways(self) -> list[Callable[[], Awaitable[int]]]:
        return [
            self.own_half_again,
            self.the_payers_half,
            self.both_halves_in_one,
            self.a_guessed_code,
            self.a_choice_in_quarantine,
            self.a_look_at_the_code,
            self.a_test_mode_shortcut,
            self.the_gateway_without_a_certificate,
            self.another_order_for_the_same_half,
            self.a_replay,
        ]


@pytest.fixture
async def tried(caplog: pytest.LogCaptureFixture) -> Agent:
    scopes = frozenset({Scope.ORDER})
    world, edge = await merchant_world(), await make_edge(caplog)
    keys = [await world.key("agent", scopes) for _ in range(2)]
    payments = [await world.create(keys[0], payer=PAYER) for _ in range(5)]
    for each in payments:
        assert 202 == (await world.send_half(keys[0], each, holder="agent")).status
    return Agent(world, edge.app, keys, payments)


async def test_an_agent_with_every_right_of_its_scope_and_ten_thousand_tries_delivers_nothing(tried: Agent) -> None:
    ways = tried.ways()
    for tried.n in range(TRIES):
        if not tried.n % 250:
            await tried.world.memory.clock.advance(20_000)  # its keys ask as often as they may, and no more
        way = ways[tried.n % len(ways)]
        tried.answers[way.__name__, await way()] += 1
    for payment in tried.payments:
        await carry(tried.world.memory.platform, payment["id"])

    assert [] == tried.world.memory.connectors.sent()
    assert TRIES == tried.answers.total()
    # Parts under one element are limited whoever sends them; all else it may ask as often as it does.
    busy = {name for name, status in tried.answers if status == 429}
    assert busy <= {"own_half_again"}
    assert not [(name, status) for name, status in tried.answers if status >= 500]
    opened = {name for name, status in tried.answers if status < 300}
    assert opened <= {"own_half_again", "a_replay"}


async def test_the_payer_alone_completes_what_an_agent_ordered(tried: Agent) -> None:
    payment, memory = tried.payments[0], tried.world.memory
    code = await told_code(tried.world)
    element = {"kind": "code", "code": code}
    content = {"policy": "card", "element": element, "fields": PIN}
    how = {"payment": payment["id"], "bound": tried.world.bound(payment)}
    accepted = await send_part(memory, memory.members["phone"], content, **how)
    assert payment["id"] == accepted.joined


async def test_an_order_key_learns_no_code_and_no_link_from_any_answer(tried: Agent) -> None:
    created = await tried.world.ask(tried.key, "POST", "/v1/payments", {**NEW, "payer": PAYER})
    code = await told_code(tried.world, -1)
    assert 14 == len(code)
    assert code not in created.body.decode()
    assert read(created)["page_url"] is None


async def told_code(world: MerchantWorld, place: int = 0) -> str:
    """Return the code of the first payment, or of the last one for -1, as the payer got it by SMS."""
    notices = await waiting_notices(world.memory.store)
    text = open_notice(world.memory.keyring, notices[place]).text
    return next(word.strip(".") for word in text.split() if len(word.strip(".")) == CODE_LENGTH)
