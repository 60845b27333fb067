"""Scenarios that end in a payment: both embodiments, every correlation element, two and three parts, shares."""

import asyncio
from typing import Final

from tallystick.cli.demo import back_ends
from tallystick.cli.demo.model import Scenario, Stage
from tallystick.cli.demo.world import EMAIL, PASSWORD, USERNAME
from tallystick.crypto.pin import pin_block_1
from tallystick.runtime import SystemRandomness
from tallystick.sdk.requests import PaymentBinding
from tallystick.sdk.shares import split_shares
from tallystick.secret import Secret
from tallystick.wire.part import (
    BackEndElement,
    CodeElement,
    InstitutionElement,
    PartContent,
    PhoneElement,
    WireElement,
    WireOrder,
)
from tallystick.wire.payment import NewPayment, Recipient

PHONES: Final = (f"+86138001{number:05d}" for number in range(10_000, 99_999))


def a_phone() -> PhoneElement:
    """Return a phone number nobody used in this demo."""
    return PhoneElement(phone=next(PHONES))


def card_part(element: WireElement, pan: str, order: WireOrder | None, policy: str = "card") -> PartContent:
    """Return the part with the card number."""
    fields = {"pan": Secret(pan)}
    if policy == "card":
        fields["expiry"] = Secret(back_ends.EXPIRY)
    return PartContent(policy=policy, element=element, fields=fields, order=order)


def pin_part(element: WireElement, policy: str = "card", pin: str = back_ends.PIN) -> PartContent:
    """Return the part with the PIN, as the format 1 block a PIN-only channel makes."""
    return PartContent(policy=policy, element=element, fields={"pin_block": pin_block_1(Secret(pin))})


async def by_phone_number(stage: Stage) -> str:
    """Embodiment 1: card number by PC, PIN by phone, joined by the mobile number."""
    element = a_phone()
    await stage.world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_CARD, stage.order))
    await stage.world.client("phone").send_part(pin_part(element))
    return await stage.approved()


async def by_code(stage: Stage) -> str:
    """A merchant creates the payment; the payer reads the code in the mail and types it on both devices."""
    world, mails = stage.world, len(stage.world.inbox.mails)
    new = NewPayment(policy="card", order=stage.order, payer=Recipient(email=EMAIL))
    created = await world.client("merchant").create_payment(new)
    element = CodeElement(code=await world.mailed(r"is ([2-9A-Z]{14})\.", mails))
    binding = PaymentBinding.of(created.payment, stage.order)
    await world.client("pc").send_part(card_part(element, back_ends.VISA_CARD, None), payment=binding)
    await world.client("phone").send_part(pin_part(element), payment=binding)
    return await stage.approved()


async def told_by_webhook(stage: Stage) -> str:
    """The merchant hears of the outcome by a signed webhook, without asking."""
    world = stage.world
    created = await world.client("merchant").create_payment(NewPayment(policy="card", order=stage.order))
    element, binding = CodeElement(code=created.code or ""), PaymentBinding.of(created.payment, stage.order)
    await world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_CARD, None), payment=binding)
    await world.client("phone").send_part(pin_part(element), payment=binding)
    return f"{await stage.approved()}, told {await world.told(created.payment)}"


async def by_issued_value(stage: Stage) -> str:
    """The account system issued a value when the payer registered there; it tells the platform, the payer types it."""
    world, value = stage.world, f"QB-{stage.order.amount}-river"
    await world.client("account").issue_value(value, 3600)
    element = BackEndElement(institution=world.account.back_end.id, value=value)
    account, secret = Secret(back_ends.ACCOUNT), Secret(back_ends.ACCOUNT_SECRET)
    await world.client("pc").send_part(
        PartContent(policy="account", element=element, fields={"account": account}, order=stage.order)
    )
    await world.client("phone").send_part(PartContent(policy="account", element=element, fields={"secret": secret}))
    return await stage.approved()


async def by_dynamic_number(stage: Stage) -> str:
    """Embodiment 2: user name by PC, password by phone, joined by institution id and the number mailed today."""
    await send_login(stage, PASSWORD)
    return await stage.approved()


async def send_login(stage: Stage, password: str) -> str:
    """Send user name and password for the stored account; returns the id of the password's part."""
    world = stage.world
    number = await world.mailed(r"\b([0-9]{8})\b", 0)
    element = InstitutionElement(institution=world.account.back_end.id, number=number)
    await world.client("pc").send_part(
        PartContent(policy="login", element=element, fields={"username": Secret(USERNAME)}, order=stage.order)
    )
    receipt = await world.client("phone").send_part(
        PartContent(policy="login", element=element, fields={"password": Secret(password)})
    )
    return receipt.part


async def two_persons(stage: Stage) -> str:
    """I order, you pay: one person orders by voice, another's bank app brings the PIN, which arrives first."""
    element = a_phone()
    await stage.world.client("bank-app").send_part(pin_part(element))
    await stage.world.client("voice").send_part(card_part(element, back_ends.UNIONPAY_LONG_CARD, stage.order))
    return await stage.approved()


async def three_parts(stage: Stage) -> str:
    """Card number by PC, expiry by voice, PIN by bank app."""
    element = a_phone()
    expiry = {"expiry": Secret(back_ends.EXPIRY)}
    await stage.world.client("voice").send_part(PartContent(policy="card-3", element=element, fields=expiry))
    await stage.world.client("bank-app").send_part(pin_part(element, "card-3"))
    await stage.world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_CARD, stage.order, policy="card-3"))
    return await stage.approved()


async def shares(stage: Stage) -> str:
    """Every field split by XOR over two channels: each share alone is noise."""
    element = a_phone()
    whole = {
        "pan": Secret(back_ends.UNIONPAY_CARD),
        "expiry": Secret(back_ends.EXPIRY),
        "pin_block": pin_block_1(Secret(back_ends.PIN)),
    }
    first, second = split_shares(whole, 2, SystemRandomness())
    policy = "card-shares-2"
    await stage.world.client("pc").send_part(
        PartContent(policy=policy, element=element, share=first, order=stage.order)
    )
    await stage.world.client("phone").send_part(PartContent(policy=policy, element=element, share=second))
    return await stage.approved()


async def card_without_luhn(stage: Stage) -> str:
    """A UnionPay test card that fails the Luhn check: the platform warns and goes on."""
    element = a_phone()
    receipt = await stage.world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_NO_LUHN_CARD, stage.order))
    await stage.world.client("phone").send_part(pin_part(element))
    return f"{await stage.approved()}, warned {receipt.warnings[0] if receipt.warnings else 'nothing'}"


async def retry(stage: Stage) -> str:
    """The network swallowed an answer: the channel sends the same part again under its Idempotency-Key."""
    element = a_phone()
    content = card_part(element, back_ends.UNIONPAY_CARD, stage.order)
    first = await stage.world.client("pc").send_part(content, idempotency_key=f"retry-{stage.order.amount}")
    second = await stage.world.client("pc").send_part(content, idempotency_key=f"retry-{stage.order.amount}")
    await stage.world.client("phone").send_part(pin_part(element))
    outcome = await stage.approved()
    return outcome if first == second else f"{outcome}, but the answers differ"


async def quarantine(stage: Stage) -> str:
    """A rival card number arrives: both wait, and the payer's bank app chooses."""
    world, element = stage.world, a_phone()
    await world.client("voice").send_part(card_part(element, back_ends.UNIONPAY_LONG_CARD, stage.order))
    receipt = await world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_CARD, stage.order))
    await world.client("bank-app").send_part(pin_part(element))
    await asyncio.sleep(0.2)
    waiting = await world.client("bank-app").candidates("card", element)
    await world.client("bank-app").choose("card", element, receipt.part)
    return f"{len(waiting.candidates)} waited, {await stage.approved()}"


SCENARIOS: Final = (
    Scenario(
        "embodiment 1: phone number, UnionPay",
        (1, 2, 8, 9, 11, 12, 13, 14, 15, 16),
        "approved by UnionPay",
        by_phone_number,
    ),
    Scenario("code by e-mail, VISA wallet", (1, 2, 8, 10, 11, 14, 15), "approved by VISA wallet", by_code),
    Scenario("signed webhook to the merchant", (1, 10), "approved by UnionPay, told payment.approved", told_by_webhook),
    Scenario(
        "value issued by the back end, account",
        (1, 2, 10, 14, 15, 32, 34),
        "approved by Qianbao accounts",
        by_issued_value,
    ),
    Scenario(
        "embodiment 2: number from the e-mail", (3, 4, 5, 6, 7), "approved by Qianbao accounts", by_dynamic_number
    ),
    Scenario("two persons, PIN first", (1, 2, 9), "approved by UnionPay", two_persons),
    Scenario("three parts over three channels", (1, 2), "approved by UnionPay", three_parts),
    Scenario("XOR shares", (1,), "approved by UnionPay", shares),
    Scenario("card that fails Luhn", (11, 14), "approved by UnionPay, warned pan_luhn", card_without_luhn),
    Scenario("retry with the same key", (1,), "approved by UnionPay", retry),
    Scenario("rival card number, bank app chooses", (1, 2), "2 waited, approved by UnionPay", quarantine),
)
