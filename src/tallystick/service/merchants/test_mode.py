"""Test mode: both halves of a payment scripted in one call, and its time moved on. Never for live payments."""

from collections.abc import Mapping
from typing import Final

import msgspec

from tallystick import merchants
from tallystick.adapters.connectors import magic
from tallystick.assembly.facts import Fate
from tallystick.assembly.model import Payment, SplitPolicy
from tallystick.channels.model import Channel, ChannelKind, ChannelState
from tallystick.crypto.signing import HmacKey
from tallystick.delivery.books import Books
from tallystick.errors import AlreadyFinal, FieldInvalid
from tallystick.path import Opened, Platform, accept_opened
from tallystick.runtime import Millis
from tallystick.security.fields import FIELD_NAMES
from tallystick.security.verify import Verified
from tallystick.service.background import Carriers
from tallystick.service.merchants.call import Answer, Call, encode
from tallystick.service.merchants.desk import Handler, MerchantDesk
from tallystick.wire.merchant import TestAdvance, TestPay

CARD_OF: Final = {outcome: number for number, outcome in reversed(magic.CARDS.items())}
PIN_BLOCK: Final = "1412348F0A3B5C7D"  # format 1, PIN 1234
WRONG_PIN_BLOCK: Final = magic.WRONG_PIN + "8F0A3B5C7D"
NONCE_BYTES: Final = 16
FIRST, SECOND = "first", "second"


class TestDesk:
    """Script payments of test mode; the parts go the way of all parts, from the opened envelope on."""

    __test__ = False  # no test of pytest's

    def __init__(self, platform: Platform, desk: MerchantDesk, carriers: Carriers) -> None:
        self._platform = platform
        self._desk = desk
        self._carriers = carriers

    def handlers(self) -> Mapping[str, Handler]:
        """Return a handler for each operation by its name."""
        return {"testPay": self._pay, "testAdvance": self._advance}

    async def _pay(self, call: Call) -> Answer:
        """Send the parts of a payment that were asked for, each over a channel of its own."""
        asked = call.content(TestPay)
        payment = await self._platform.store.read(lambda books: merchants.find(books, call.id, call.owner))
        shapes = _parts(self._platform.policies[payment.policy], asked.outcome)
        wanted = {"both": shapes, FIRST: shapes[:1], SECOND: shapes[1:]}[asked.parts]
        with self._carriers.room:
            for fields in wanted:
                number = shapes.index(fields) + 1
                joined = await self._send(call, payment, fields, number)
                if joined is not None:
                    self._carriers.start(joined)
        return await self._shown(call)

    async def _send(self, call: Call, payment: Payment, fields: Mapping[str, str], number: int) -> str | None:
        nonce, at = self._platform.randomness.token(NONCE_BYTES).hex(), call.at
        name = f"test-channel-{number}"
        channel = Channel(
            id=name,
            name=name,
            kind=ChannelKind.PC_BROWSER,
            state=ChannelState.ACTIVE,
            fields=FIELD_NAMES,
            proves_payer=False,
            algorithm=HmacKey.algorithm,
            sealed_key=b"",
            created_at=at,
        )
        content = {"policy": payment.policy, "element": {"kind": "page"}, "fields": fields}
        opened = Opened(
            target=call.target,
            at=at,
            verified=Verified(sender=f"{call.owner} {name}", nonce=nonce, created=at // 1000, idempotency_key=call.key),
            payment=payment,
            clear=msgspec.json.encode(content),
            page=True,
        )
        return (await accept_opened(self._platform, opened, channel=channel, certificate=name)).joined

    async def _advance(self, call: Call) -> Answer:
        """Let time go by for one payment: its end comes nearer, and it expires when that is now."""
        asked = call.content(TestAdvance)

        async def act(books: Books) -> bytes:
            payment = await merchants.find(books, call.id, call.owner)
            end = Millis(payment.expires_at - asked.seconds * 1000)
            if not await books.hasten(payment.id, end):
                raise AlreadyFinal("the fate of this payment is decided")
            if end <= call.at and await books.decide_fate(payment.id, Fate.EXPIRED, call.at):
                await books.erase_parts(payment.id)
            return encode(await merchants.describe(books, await merchants.find(books, call.id, call.owner)))

        return await self._desk.once(call, act)

    async def _shown(self, call: Call) -> Answer:
        async def read(books: Books) -> bytes:
            return encode(await merchants.describe(books, await merchants.find(books, call.id, call.owner)))

        return Answer(await self._platform.store.read(read))


def _parts(policy: SplitPolicy, outcome: str) -> list[dict[str, str]]:
    """Return magic values for each part of a policy; raises FieldInvalid when it has fields that none stands for."""
    wrong = outcome == "wrong_secret"
    asked = magic.APPROVE if wrong else outcome
    values = {
        "pan": CARD_OF[asked],
        "expiry": "3012",
        "pin_block": WRONG_PIN_BLOCK if wrong else PIN_BLOCK,
        "account": f"{magic.SCHEME}:{asked}",
        "secret": magic.WRONG_SECRET if wrong else "1234",
    }
    if not policy.parts or not all(shape.required <= values.keys() for shape in policy.parts):
        raise FieldInvalid("there are no magic values for this split policy", field="policy")
    return [{name: values[name] for name in sorted(shape.required)} for shape in policy.parts]
