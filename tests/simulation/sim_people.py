"""Payers, shops and thieves: what they send, how they repeat it, and what they were answered."""

import asyncio
import re
from functools import partial
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sim_clients import TRIES_MAX, Client, Half, Order, answered
from sim_world import Process, World

from tallystick.assembly.element import backend_element
from tallystick.crypto.signing import HmacKey
from tallystick.errors import Refused
from tallystick.orders import cancel_payment, create_payment, settle_quarantine
from tallystick.path import Accepted, accept
from tallystick.routing.model import NumberPolicy
from tallystick.runtime import Millis
from tallystick.secret import Pan, Secret
from tallystick.security.model import Arrival
from tallystick.security.ports import Purpose
from tallystick.vault.keep import store_credential
from tallystick.vault.model import CardCredential, Contact
from tallystick.vault.numbers import issue_value
from tallystick.vault.users import register, verify
from tallystick.wire.payment import Candidates, PaymentCreated

CHOICES: Final = "/v1/choices"
CHOOSES: Final = 0.5  # of stories with rivals in which the payer's app chooses
PASSWORD: Final = "correct horse battery"
NUMBER: Final = re.compile(r"is (\d{8})\. Institution id: (\d{8})")

KINDS: Final = ("phone", "phone", "account", "code", "code", "value", "number", "number")
"""The stories there are, some more often than others."""


class Cast:
    """Everybody of one world: draws the stories, tells them side by side."""

    def __init__(self, world: World, count: int) -> None:
        self.world = world
        self.client = Client(world)
        self.random = world.random
        self.record = world.record
        self.quirks: set[int] = set()
        self.kinds = [self.random.choice(KINDS) for _ in range(count)]

    async def play(self) -> None:
        """Tell all stories to their ends."""
        await asyncio.gather(*(getattr(self, f"_{kind}")(story) for story, kind in enumerate(self.kinds)))

    # Stories

    async def _phone(self, story: int) -> None:
        """Pay by card, under the payer's phone number."""
        await self._pair(story, self._element(story), self._order(story))

    async def _account(self, story: int) -> None:
        """Pay out of an account at a third party, under the payer's phone number."""
        account = {
            "policy": "account",
            "first": {"account": f"wallet:payer-{self.world.seed}-{story}"},
            "second": {"secret": f"secret {story} {self._digits(6)}"},
        }
        await self._pair(story, self._element(story), self._order(story), account)

    async def _value(self, story: int) -> None:
        """Pay by card, under a value that a back end issued."""
        value = f"value-{story}-{self._digits(8)}"
        element = {"kind": "backend", "institution": "10000002", "value": value}
        for _ in range(TRIES_MAX):
            process = self.world.any_process()
            if process is not None:
                digest = backend_element(self.world.keyring.readable(Purpose.BLIND_INDEX), "10000002", value)
                until = Millis(self.world.now() + 3_600_000)
                work = partial(
                    issue_value, process.store, element=digest, user_id=None, now=process.clock.now(), valid_until=until
                )
                if await asyncio.gather(process.node.spawn(answered(work)), return_exceptions=True) == [None]:
                    break
            await asyncio.sleep(1.0)
        else:
            return
        await asyncio.sleep(45.0)  # longer than clocks of nodes differ: the value is valid for all of them
        await self._pair(story, element, self._order(story))

    async def _code(self, story: int) -> None:
        """Pay what a shop has created, by card under its code; sometimes the shop thinks better of it."""
        order, key = self._order(story), f"create {story}"
        expires_in = self.random.choice((20, 600, 3600))
        wanted = {"policy": "card", "order": order.wire(), "expires_in": expires_in}
        shop = self.world.members["shop"]

        async def create(process: Process, arrival: Arrival) -> bytes:
            return await create_payment(
                process.platform, arrival, channel=shop.channel, sender=shop.sender, key=shop.key
            )

        body = await self.client.ask("shop", wanted, key, create, target="/v1/payments")
        if not isinstance(body, bytes):
            return
        created = msgspec.json.decode(body, type=PaymentCreated)
        self.record.orders[created.payment] = order
        if expires_in < 600:
            self.quirks.add(story)
        if self.random.random() < 0.25:
            self.quirks.add(story)
            self.world.loop.create_task(self._cancel(created.payment))
        await self._pair(story, {"kind": "code", "code": created.code}, order, ordered=True)

    async def _cancel(self, payment_id: str) -> None:
        await asyncio.sleep(self.random.choice((0.0, 0.5, 3.0, 10.0)))
        shop = self.world.members["shop"]
        target = f"/v1/payments/{payment_id}/cancel"

        async def cancel(process: Process, arrival: Arrival) -> bytes:
            return await cancel_payment(process.platform, arrival, payment_id, sender=shop.sender, key=shop.key)

        answer = await self.client.ask("shop", {}, f"cancel {payment_id}", cancel, target=target)
        if isinstance(answer, bytes):
            self.record.called_off.add(payment_id)

    async def _number(self, story: int) -> None:
        """Pay by the stored card: user name and password, under the number that was sent to the payer."""
        user = self._users.pop()
        address = f"+86139{self.world.seed % 1000:04d}{user:04d}"
        for _ in range(40):
            texts = self.world.carriage.inboxes.get(address, ())
            if texts and self.random.random() < 0.7:
                break
            await asyncio.sleep(self.random.choice((1.0, 10.0, 30.0)))
        else:
            return
        found = NUMBER.search(texts[-1][1])
        assert found is not None
        await asyncio.sleep(self.random.choice((1.0, 45.0, 45.0)))
        element = {"kind": "institution", "institution": found[2], "number": found[1]}
        password = PASSWORD if self.random.random() < 0.85 else "wrong horse battery"
        if password != PASSWORD:
            self.quirks.add(story)
        login = {"policy": "login", "first": {"username": f"payer-{user}"}, "second": {"password": password}}
        await self._pair(story, element, self._order(story), login)

    # What they have in common

    async def _pair(
        self,
        story: int,
        element: dict[str, Any],
        order: Order,
        kind: dict[str, Any] | None = None,
        *,
        ordered: bool = False,
    ) -> None:
        """Send both halves in any order; sometimes only one, too late, two by one channel, forged, or with a rival."""
        kind = kind or {
            "policy": "card",
            "first": {"pan": f"62121426{story:02d}{self._digits(9)}", "expiry": "3012"},
            "second": {"pin_block": f"14{self._digits(4)}{self._hex(10)}"},
        }
        temper = self.random.choices(("plain", "alone", "late", "greedy", "rival", "forged"), (10, 1, 1, 1.5, 2, 1))[0]
        self.world.faults.note(f"story: {temper}", story, kind["policy"], element["kind"])
        named = {} if ordered else {"order": order.wire()}
        first = self._half(story, "pc", {**kind, "element": element, "fields": kind["first"], **named})
        second = self._half(story, "phone", {**kind, "element": element, "fields": kind["second"]})
        halves = [first, second]
        self.random.shuffle(halves)
        if temper == "alone":
            halves = halves[:1]
        if temper == "greedy":
            halves.insert(1, self._half(story, halves[0].sender, halves[1].content))
        if temper == "rival":
            halves.insert(self.random.randrange(3), self._rival(story, self.random.choice(halves), kind))
        answers = await asyncio.gather(*(self._send(place, half, temper) for place, half in enumerate(halves)))
        if temper == "rival" and self.random.random() < CHOOSES:
            await self._choose(kind["policy"], element)
        if temper == "plain" and story not in self.quirks and all(isinstance(each, Accepted) for each in answers):
            self.record.plain.add(story)

    async def _choose(self, policy: str, element: dict[str, Any]) -> None:
        """Let the payer's own app list the rivals, if there are any, and choose one."""
        own = self.world.members["bank-app"]

        async def choose(process: Process, arrival: Arrival) -> Accepted:
            with process.carriers.room:
                accepted = await settle_quarantine(
                    process.platform, arrival, channel=own.channel, sender=own.sender, key=own.key
                )
                if accepted.joined is not None:
                    process.carriers.start(accepted.joined)
            return accepted

        asked = {"policy": policy, "element": element}
        listed = await self.client.ask("bank-app", asked, f"list {self._hex(8)}", choose, target=CHOICES)
        rivals = msgspec.json.decode(listed.body, type=Candidates).candidates if isinstance(listed, Accepted) else ()
        if rivals:
            chosen = {**asked, "part": self.random.choice(rivals).part}
            self.world.faults.note("payer chose among rivals")
            await self.client.ask("bank-app", chosen, f"choose {self._hex(8)}", choose, target=CHOICES)

    async def _send(self, place: int, half: Half, temper: str) -> Accepted | Refused | None:
        pause = self.random.choice((0.0, 0.0, 2.0, 10.0))
        if temper == "late" and place:
            pause = self.random.choice((570.0, 595.0, 600.0, 601.0, 630.0))
        if temper == "greedy":
            pause += place * 5.0
        await asyncio.sleep(pause)
        if temper == "forged":
            await self._forge(half)
        answer = await self.client.post(half)
        if temper == "greedy" and place == 2 and isinstance(answer, Accepted):
            self.world.faults.note("greedy channel gave way to another one")
        return answer

    def _half(self, story: int, sender: str, content: dict[str, Any]) -> Half:
        kept = {name: value for name, value in content.items() if name in {"policy", "element", "fields", "order"}}
        return Half(story, sender, kept, f"part {story} {self._hex(8)}")

    def _rival(self, story: int, honest: Half, kind: dict[str, Any]) -> Half:
        """Make a thief's candidate for the same field, over a channel of its own; or the payer's own, proven one."""
        fields = dict(honest.values)
        for name in fields:
            if name == "pan":
                fields[name] = f"62509470{story:02d}{self._digits(9)}"
            if name == "pin_block":
                fields[name] = f"14{self._digits(4)}{self._hex(10)}"
            if name in {"secret", "password", "username", "account"}:
                fields[name] = f"wallet:thief-{story}" if name == "account" else f"thief of {story} {self._digits(6)}"
        return self._half(story, self.random.choice(("desk", "bank-app")), {**honest.content, "fields": fields})

    async def _forge(self, half: Half) -> None:
        """Send what the half's sender did not sign: under a wrong key, changed on the way, or out of time."""
        process = self.world.any_process()
        if process is None:
            return
        member = self.world.members[half.sender]
        how = self.random.choice(("key", "body", "time"))
        arrival = self.world.arrival(
            process, half.sender, half.content, key=half.key, clock_off_ms=-400_000 if how == "time" else 0
        )
        if how == "body":
            arrival = replace(arrival, body=arrival.body.replace(b'"v":1', b'"v": 1'))
        key = HmacKey(bytes(32)) if how == "key" else member.key
        work = partial(
            accept,
            process.platform,
            arrival,
            channel=member.channel,
            certificate=member.certificate,
            sender=member.sender,
            key=key,
        )
        answers = await asyncio.gather(process.node.spawn(answered(work)), return_exceptions=True)
        if isinstance(answers[0], Accepted):
            self.record.forged.append(how)
        self.world.faults.note(f"forged {how}: {getattr(answers[0], 'code', 'no answer')}")

    async def enrol(self) -> None:
        """Register payers who left a card for the institution with numbers of the platform, without faults."""
        self._users = [user for user, kind in enumerate(self.kinds) if kind == "number"]
        world, process = self.world, Process(self.world, "desk", 0)
        back_end = next(
            b for b in world.look(lambda books: books.routing_table()).back_ends if b.numbers is NumberPolicy.PLATFORM
        )
        for user in self._users:
            name, contact = f"payer-{user}", Contact(phone=f"+86139{world.seed % 1000:04d}{user:04d}")
            secret = Secret(PASSWORD)
            stretcher = process.platform.stretcher
            user_id = await register(
                world.store,
                world.keyring,
                stretcher,
                world,
                world.randomness,
                username=name,
                password=secret,
                contact=contact,
            )
            unlocked = await verify(world.store, world.keyring, stretcher, world, username=name, password=secret)
            pan = f"62111111{user:02d}{self._digits(9)}"
            await store_credential(
                world.store,
                world,
                owner=unlocked,
                institution=back_end,
                credential=CardCredential(pan=Pan(pan), expiry=Secret("3012"), pin_block=None),
            )
            self.record.cards[user_id] = (name, pan, contact.phone or "")

    def _element(self, story: int) -> dict[str, Any]:
        return {"kind": "phone", "phone": f"+86138{self.world.seed % 10000:04d}{story:04d}"}

    def _order(self, story: int) -> Order:
        order = Order(amount=self.random.randint(100, 99_999), reference=f"order {story}")
        self.record.story_orders.append(order)
        return order

    def _digits(self, count: int) -> str:
        return "".join(self.random.choice("0123456789") for _ in range(count))

    def _hex(self, count: int) -> str:
        return "".join(self.random.choice("0123456789ABCDEF") for _ in range(count))
