"""Clients: how they send and repeat, what they were answered, and what a thief makes of their messages."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sim_node import Process
from sim_world import ANSWER_LOST, IMPATIENT, REQUEST_LOST, World

from tallystick.errors import Refused, TallystickError, TooMany, Unavailable
from tallystick.path import Accepted, accept
from tallystick.security.model import Arrival
from tallystick.testing.platform import Member
from tallystick.wire.part import PartReceipt

TRIES_MAX: Final = 12  # times a client sends a request before it gives up
PATIENCE_S: Final = 60.0  # s a patient client waits for an answer

Handler = Callable[[Process, Arrival], Awaitable[Any]]


@dataclass(frozen=True)
class Order:
    """An order as a client writes it."""

    amount: int
    reference: str

    def wire(self) -> dict[str, Any]:
        return {"payee": "Tea House", "amount": self.amount, "currency": "CNY", "reference": self.reference}


@dataclass
class Half:
    """A part that somebody means to send: the same content and Idempotency-Key however often."""

    story: int
    sender: str
    content: dict[str, Any]
    key: str
    how: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        return self.content["fields"]


class Client:
    """Sends requests as a careful client does, and remembers what it was answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.record = world.record

    async def ask(self, sender: str, content: object, key: str, handle: Handler, **how: Any) -> Any:
        """Send until there is an answer; returns it, or the refusal, or None when the client gave up."""
        faults = self.world.faults
        for tried in range(TRIES_MAX):
            if tried:
                await asyncio.sleep(faults.between(0.2, 4.0) * tried)
            process = self.world.any_process()
            if process is None or faults.strikes(REQUEST_LOST):
                continue
            arrival = self.world.arrival(process, sender, content, key=key, **how)
            working = process.node.spawn(self._work(sender, key, partial(handle, process, arrival)))
            await asyncio.wait([working], timeout=faults.between(0, 1) if faults.strikes(IMPATIENT) else PATIENCE_S)
            if not working.done() or working.cancelled():
                continue
            answer = working.result()
            if (
                faults.strikes(ANSWER_LOST)
                or isinstance(answer, Unavailable | TooMany)
                or not isinstance(answer, Refused | Accepted | bytes)
            ):
                continue
            if isinstance(answer, Refused):
                faults.note(f"refused: {answer.code}", sender)
            elif self.world.random.random() < 0.1:
                self.world.loop.create_task(self.replay(arrival, handle))
            return answer
        faults.note("client gave up", sender, key)
        return None

    async def replay(self, arrival: Arrival, handle: Handler) -> None:
        """Send a request that was answered once more, to the letter, as somebody does who recorded it."""
        await asyncio.sleep(self.world.random.choice((0.0, 1.0, 200.0, 500.0)))
        process = self.world.any_process()
        if process is None:
            return
        again = replace(arrival, at=process.clock.now())
        (answer,) = await asyncio.gather(
            process.node.spawn(answered(partial(handle, process, again))), return_exceptions=True
        )
        if isinstance(answer, Accepted | bytes):
            self.record.replayed.append(arrival.headers["idempotency-key"])
        elif isinstance(answer, Refused):
            self.world.faults.note(f"replay refused: {answer.code}")

    async def post(self, half: Half) -> Accepted | Refused | None:
        """Send a part; what was acknowledged is on record."""
        self.record.halves.append(half)
        member = self.world.members[half.sender]
        return await self.ask(half.sender, half.content, half.key, self._taker(member, half), **half.how)

    async def _work(self, sender: str, key: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Let a node work on a request, and keep what it answers, also when nobody waits for that any more."""
        answer = await answered(work)
        if not isinstance(answer, Exception):
            self.record.answer(sender, key, answer)
            self.world.faults.note("client was answered", sender, key)
        return answer

    def _taker(self, member: Member, half: Half) -> Handler:
        async def take(process: Process, arrival: Arrival) -> Accepted:
            with process.carriers.room:
                accepted = await accept(
                    process.platform,
                    arrival,
                    channel=member.channel,
                    certificate=member.certificate,
                    sender=member.sender,
                    key=member.key,
                )
                part_id = msgspec.json.decode(accepted.body, type=PartReceipt).part
                self.record.acks[part_id] = half
                self.world.faults.note("part accepted", half.sender, half.story, part_id)
                if accepted.joined is not None:
                    process.carriers.start(accepted.joined)
            return accepted

        return take


async def answered(work: Callable[[], Awaitable[Any]]) -> Any:
    """Return what a request gave, or the error that it was answered with."""
    try:
        return await work()
    except TallystickError as error:
        return error
