"""What a scenario is and how its outcome is judged: by the back ends' own records."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from tallystick.assembly.facts import FINAL_STATES, PaymentState
from tallystick.cli.demo.back_ends import SandboxBackEnd
from tallystick.cli.demo.world import World
from tallystick.wire.part import WireOrder

SETTLE_TIMEOUT_S: Final = 15.0  # s a back end may take to record what it was sent
FINAL_TIMEOUT_S: Final = 40.0  # s a payment may take to reach its final state
QUIET_S: Final = 0.4  # s after a refusal in which nothing may reach any back end
FIRST_AMOUNT: Final = 10_001  # minor units; every scenario has its own amount, so that records tell it apart

ENDS: Final = FINAL_STATES | {PaymentState.MANUAL}
PAYEE: Final = "Lao She Teahouse"


class Result(Struct, frozen=True, kw_only=True):
    """How one scenario ended; `ms` runs from its first message to the last fact it needed."""

    name: str
    claims: tuple[int, ...]
    expected: str
    outcome: str
    back_end: str | None
    ms: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story with an expected end; `play` returns the outcome it saw.

    An `amount` is what the sandboxes are told by: its last digits ask for a failure.
    """

    name: str
    claims: tuple[int, ...]
    expected: str
    play: Callable[["Stage"], Awaitable[str]]
    amount: int | None = None


@dataclass(slots=True)
class Stage:
    """What one scenario plays on: the world, and an order with an amount of its own."""

    world: World
    order: WireOrder
    back_end: str | None = None

    async def approved(self) -> str:
        """Wait until a back end has recorded this order; tell what it recorded, and whether it was effective once."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < deadline:
            for sandbox in self.world.back_ends:
                if entries := self._decided(sandbox):
                    self.back_end = sandbox.back_end.name
                    return self._tell(sandbox, entries)
            await asyncio.sleep(0.02)
        return "no back end was asked"

    async def final(self, channel: str, part: str) -> str:
        """Wait for a payment's final state, or for the moment a person takes over, as a part's sender sees it."""
        deadline = time.monotonic() + FINAL_TIMEOUT_S
        while time.monotonic() < deadline:
            status = await self.world.client(channel).part_status(part)
            if status.status in ENDS:
                return status.status
            await asyncio.sleep(0.05)
        return "no final state"

    async def untouched(self, answer: str) -> str:
        """Tell a refusal, once it is sure that no back end was asked."""
        await asyncio.sleep(QUIET_S)
        asked = [sandbox.back_end.name for sandbox in self.world.back_ends if self._decided(sandbox)]
        return f"{answer}, but {asked[0]} was asked" if asked else f"{answer}, nothing delivered"

    def _decided(self, sandbox: SandboxBackEnd) -> list[dict[str, object]]:
        return [dict(entry) for entry in sandbox.entries(self.order.amount)]

    def _tell(self, sandbox: SandboxBackEnd, entries: list[dict[str, object]]) -> str:
        effective = sum(1 for entry in entries if entry["effective"])
        if effective > 1:
            return f"{sandbox.back_end.name} was paid {effective} times"
        word = "approved" if effective else f"declined {entries[-1]['outcome']}"
        return f"{word} by {sandbox.back_end.name}"


async def play(scenario: Scenario, world: World, number: int) -> Result:
    """Play one scenario with its own amount; an unexpected error is its outcome, not the end of the demo."""
    amount = scenario.amount or FIRST_AMOUNT + 100 * number
    order = WireOrder(payee=PAYEE, amount=amount, currency="CNY", reference=f"demo-{number}")
    stage = Stage(world, order)
    started = time.perf_counter()
    try:
        outcome = await scenario.play(stage)
    except Exception as error:  # noqa: BLE001 - whatever happens in a scenario is shown as its outcome
        outcome = f"{type(error).__name__}: {error}"
    return Result(
        name=scenario.name,
        claims=scenario.claims,
        expected=scenario.expected,
        outcome=outcome,
        back_end=stage.back_end,
        ms=round((time.perf_counter() - started) * 1000, 1),
    )
