"""Payers at a steady rate: two parts over two channels each, sent again under their keys until the platform answers."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from kills.judge import Told
from kills.world import PASSWORD, USERS, World
from tallystick.assembly.facts import FINAL_STATES
from tallystick.cli.demo import back_ends
from tallystick.crypto.pin import pin_block_1
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.errors import PlatformProblem, PlatformUnreachable
from tallystick.sdk.requests import PaymentBinding
from tallystick.secret import Secret
from tallystick.wire.part import CodeElement, InstitutionElement, PartContent, PhoneElement, WireElement, WireOrder
from tallystick.wire.payment import NewPayment

BUSY: Final = frozenset({429, 503})
PAUSE_S: Final = 0.05  # s between two calls that the platform did not answer
LOOK_FIRST_S: Final = 0.3  # s until a payer first looks how the payment ended; doubles
LOOK_MAX_S: Final = 2.4  # s between later looks
SENDING_MAX: Final = 30  # calls under way: on a slow machine the load waits, and is counted as held up
PAYING_MAX: Final = 150  # payments begun and not ended: as above
AT_ONCE: Final = 0.5  # share of payments whose halves are sent at one time
AGAIN: Final = 0.05  # share of parts that are sent again although they were acknowledged
AMOUNT_STEP: Final = 10_000  # minor units between two payments: the last four digits say what the back end does
AMOUNTS: Final = {0: 60, 9906: 18, 51: 6, 9901: 4, 9902: 4, 9904: 4, 9909: 4}
"""Last digits of the amount, of 100: approve, slow, decline, silent, late, cut after the act, cut before it."""
NEVER_TOLD: Final = frozenset({9901, 9904})
"""What a back end that fetches never tells: such a payment stays in doubt for hours, by the time it is given."""

T = TypeVar("T")


@dataclass
class Payers:
    """The load; `answers` has (begun, answered) of every receipt, in monotonic seconds."""

    world: World
    choice: random.Random
    rate: float
    told: list[Told] = field(default_factory=list)
    answers: list[tuple[float, float]] = field(default_factory=list)
    repeats: Counter[str] = field(default_factory=Counter)
    held_up: int = 0

    def __post_init__(self) -> None:
        self._clients = {
            name: [TallystickClient.connect(profile) for profile in profiles]
            for name, profiles in self.world.profiles.items()
        }
        self._free: asyncio.Queue[int] = asyncio.Queue()
        self._sending = 0
        self._over = False
        self._patient = True
        self._numbers = itertools.count(1)
        self._paying: set[asyncio.Task[None]] = set()

    async def enrol(self) -> None:
        """Give each registered payer a dynamic number, as the institution that makes its own."""
        for user in range(USERS):
            await self._clients["institution"][0].set_number(Secret(f"payer{user}"), number_of(user))
            self._free.put_nowait(user)

    async def run(self) -> None:
        """Begin payments at the rate until `settle`."""
        due = time.monotonic()
        kinds = [self._by_phone, self._created, self._account, self._login, self._pulled]
        while not self._over:
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self._paying) >= PAYING_MAX or self._sending >= SENDING_MAX:
                self.held_up += 1
                continue
            ends, shares = zip(*AMOUNTS.items(), strict=True)
            end = self.choice.choices(ends, shares)[0]
            kind = self.choice.choice(kinds)
            if kind == self._login and self._free.empty():
                kind = self._account  # one payment at a time under each number
            if kind == self._pulled and end in NEVER_TOLD:
                end = 0
            amount = next(self._numbers) * AMOUNT_STEP + end
            told = Told(amount, kind.__name__.strip("_"))
            self.told.append(told)
            task = asyncio.create_task(self._pay(told, kind))
            self._paying.add(task)
            task.add_done_callback(self._paying.discard)

    async def settle(self, within_s: float) -> None:
        """Begin no more, and wait until each payment has ended; after the time leave the rest as it is."""
        self._over = True
        deadline = time.monotonic() + within_s
        while self._paying and time.monotonic() < deadline:
            await asyncio.wait(tuple(self._paying), timeout=0.1)
        self._patient = False
        await asyncio.gather(*self._paying)

    async def close(self) -> None:
        """Close the connections."""
        for clients in self._clients.values():
            for client in clients:
                await client.close()

    async def _pay(self, told: Told, kind: Callable[[Told], Awaitable[None]]) -> None:
        try:
            await kind(told)
        except Exception as error:  # noqa: BLE001 - whatever a payer meets is told at the end, not lost in a task
            told.wrong.append(f"{type(error).__name__}: {error}")

    async def _by_phone(self, told: Told) -> None:
        element = PhoneElement(phone=f"+86138{told.amount // AMOUNT_STEP:08d}")
        await self._halves(told, *_card(element, order(told)))

    async def _created(self, told: Told) -> None:
        new = NewPayment(policy="card", order=order(told))
        key = f"new-{told.amount}"
        made = await self._insist("merchant", lambda client: client.create_payment(new, idempotency_key=key))
        await self._halves(told, *_card(CodeElement(code=made.code), None), PaymentBinding.of(made.payment, new.order))

    async def _account(self, told: Told) -> None:
        await self._by_account(told, back_ends.REST_ACCOUNT)

    async def _pulled(self, told: Told) -> None:
        await self._by_account(told, back_ends.PULL_ACCOUNT)

    async def _by_account(self, told: Told, number: str) -> None:
        element = PhoneElement(phone=f"+86138{told.amount // AMOUNT_STEP:08d}")
        account, secret = {"account": Secret(number)}, {"secret": Secret(back_ends.ACCOUNT_SECRET)}
        await self._halves(
            told,
            PartContent(policy="account", element=element, fields=account, order=order(told)),
            PartContent(policy="account", element=element, fields=secret),
        )

    async def _login(self, told: Told) -> None:
        user = await self._free.get()
        element = InstitutionElement(institution=self.world.account_institution, number=number_of(user))
        name, password = {"username": Secret(f"payer{user}")}, {"password": Secret(PASSWORD)}
        await self._halves(
            told,
            PartContent(policy="login", element=element, fields=name, order=order(told)),
            PartContent(policy="login", element=element, fields=password),
        )
        self._free.put_nowait(user)

    async def _halves(
        self, told: Told, first: PartContent, second: PartContent, binding: PaymentBinding | None = None
    ) -> None:
        """Send both halves in any order or at once, some of them twice; then look until the payment has ended."""
        halves = [("pc", first), ("phone", second)]
        self.choice.shuffle(halves)
        if self.choice.random() < AT_ONCE:
            parts = await asyncio.gather(*(self._half(told, channel, part, binding) for channel, part in halves))
        else:
            parts = [await self._half(told, channel, part, binding) for channel, part in halves]
        for (channel, _), part in zip(halves, parts, strict=True):
            told.outcomes[part] = await self._outcome(channel, part)

    async def _half(self, told: Told, channel: str, content: PartContent, binding: PaymentBinding | None) -> str:
        key = f"{channel}-{told.amount}"

        async def send(client: TallystickClient) -> str:
            return (await client.send_part(content, payment=binding, idempotency_key=key)).part

        part = await self._insist(channel, send)
        told.parts.append(part)
        if self.choice.random() < AGAIN:
            self.repeats["after a receipt"] += 1
            if part != await self._insist(channel, send):
                told.wrong.append("a repeat under one key was answered otherwise")
        return part

    async def _insist(self, channel: str, call: Callable[[TallystickClient], Awaitable[T]]) -> T:
        """Call until some node answers, as the SDK says: again, with the same key."""
        self._sending += 1
        try:
            while self._patient:
                begun = time.monotonic()
                try:
                    result = await call(self.choice.choice(self._clients[channel]))
                except PlatformUnreachable:
                    self.repeats["no answer"] += 1
                except PlatformProblem as problem:
                    if problem.status not in BUSY:
                        raise
                    self.repeats[problem.code] += 1
                else:
                    self.answers.append((begun, time.monotonic()))
                    return result
                await asyncio.sleep(PAUSE_S)
            raise TimeoutError("the platform does not answer")
        finally:
            self._sending -= 1

    async def _outcome(self, channel: str, part: str) -> str:
        wait_s, status = LOOK_FIRST_S, "never asked"
        while self._patient and status not in FINAL_STATES:
            try:
                status = (await self.choice.choice(self._clients[channel]).part_status(part)).status
            except PlatformUnreachable:
                status = "no answer"
            except PlatformProblem as problem:
                if problem.status not in BUSY:
                    raise
                status = "no answer"
            if status in FINAL_STATES:
                break
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LOOK_MAX_S)
        return status


def order(told: Told) -> WireOrder:
    """Return what a payment is for."""
    return WireOrder(payee="Tea House", amount=told.amount, currency="CNY", reference=f"order {told.amount}")


def number_of(user: int) -> str:
    """Return the dynamic number that the institution gives a payer."""
    return f"{70_000_000 + user}"


def _card(element: WireElement, ordered: WireOrder | None) -> tuple[PartContent, PartContent]:
    card = {"pan": Secret(back_ends.UNIONPAY_CARD), "expiry": Secret(back_ends.EXPIRY)}
    block = {"pin_block": pin_block_1(Secret(back_ends.PIN))}
    return (
        PartContent(policy="card", element=element, fields=card, order=ordered),
        PartContent(policy="card", element=element, fields=block),
    )
