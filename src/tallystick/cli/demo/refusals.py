"""Scenarios in which something is wrong: what must be refused, and what a failing back end must not break."""

import asyncio
import secrets
import time
from collections.abc import Awaitable
from typing import Final

from tallystick.cli import administer
from tallystick.cli.demo import back_ends
from tallystick.cli.demo.model import Scenario, Stage
from tallystick.cli.demo.payments import a_phone, by_phone_number, card_part, pin_part, send_login
from tallystick.cli.demo.world import World
from tallystick.crypto.httpsig import sign_request
from tallystick.crypto.x509 import read_certificate
from tallystick.routing.model import Status
from tallystick.sdk.errors import PlatformProblem
from tallystick.sdk.keys import HeldKeys
from tallystick.sdk.requests import Request, seal_request
from tallystick.security.verify import COVERED_WITH_BODY
from tallystick.wire.part import CodeElement, PartContent
from tallystick.wire.payment import NewPayment

HOUR_S: Final = 3600


async def same_channel(stage: Stage) -> str:
    """One channel sends both parts."""
    element = a_phone()
    await stage.world.client("voice").send_part(card_part(element, back_ends.UNIONPAY_CARD, stage.order))
    code = await _code_of(stage.world.client("voice").send_part(pin_part(element)))
    return await stage.untouched(code)


async def replay(stage: Stage) -> str:
    """Somebody sends a recorded message again, byte by byte."""
    request = await _sealed(stage.world, "pc", card_part(a_phone(), back_ends.UNIONPAY_CARD, stage.order))
    await _post(stage.world, "pc", request)
    return await stage.untouched(await _post(stage.world, "pc", request))


async def tampered(stage: Stage) -> str:
    """Somebody between changes one byte of the body."""
    request = await _sealed(stage.world, "pc", card_part(a_phone(), back_ends.UNIONPAY_CARD, stage.order))
    body = request.body.replace(b'"v":1', b'"v":2')
    changed = Request(request.method, request.target, request.headers, body, request.nonce)
    return await stage.untouched(await _post(stage.world, "pc", changed))


async def other_channels_envelope(stage: Stage) -> str:
    """A channel forwards an envelope that was sealed for another channel, under its own good signature."""
    world = stage.world
    content = card_part(a_phone(), back_ends.UNIONPAY_CARD, stage.order)
    created, nonce = int(time.time()), secrets.token_urlsafe(18)
    stolen = await _sealed(world, "pc", content, created=created, nonce=nonce)
    return await stage.untouched(await _post(world, "voice", _resigned(world, "voice", stolen, created)))


async def stale(stage: Stage) -> str:
    """The channel's clock is an hour late."""
    content = card_part(a_phone(), back_ends.UNIONPAY_CARD, stage.order)
    request = await _sealed(stage.world, "pc", content, created=int(time.time()) - HOUR_S)
    return await stage.untouched(await _post(stage.world, "pc", request))


async def expired(stage: Stage) -> str:
    """The second part comes after the payment's time."""
    world = stage.world
    new = NewPayment(policy="card", order=stage.order, expires_in=1)
    created = await world.client("merchant").create_payment(new)
    element = CodeElement(code=created.code or "")
    await world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_CARD, None))
    await asyncio.sleep(1.2)
    return await stage.untouched(await _code_of(world.client("phone").send_part(pin_part(element))))


async def wrong_password(stage: Stage) -> str:
    """Embodiment 2 with a wrong password: the parts join, the vault stays closed."""
    part = await send_login(stage, "not-the-password")
    return await stage.untouched(await stage.final("phone", part))


async def unknown_issuer(stage: Stage) -> str:
    """No back end serves cards that begin with 99."""
    element = a_phone()
    await stage.world.client("pc").send_part(card_part(element, "9999990000000004", stage.order))
    receipt = await stage.world.client("phone").send_part(pin_part(element))
    return await stage.untouched(await stage.final("phone", receipt.part))


async def wrong_pin(stage: Stage) -> str:
    """The back end itself finds the PIN wrong."""
    element = a_phone()
    await stage.world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_CARD, stage.order))
    await stage.world.client("phone").send_part(pin_part(element, pin="000000"))
    return await stage.approved()


async def revoked(stage: Stage) -> str:
    """The channel's certificate was revoked a second ago."""
    world = stage.world
    serial = read_certificate(world.profiles["merchant"].certificate.read_bytes()).serial
    world.desk.ca.revoke(serial, world.desk.clock.now())
    await asyncio.sleep(1.2)
    content = card_part(a_phone(), back_ends.UNIONPAY_CARD, stage.order)
    return await stage.untouched(await _code_of(world.client("merchant").send_part(content)))


async def falls_to_next(stage: Stage) -> str:
    """UnionPay's first link is dead: the platform proves that nothing was sent and takes the standby."""
    await stage.world.unionpay.child.kill()
    try:
        return await by_phone_number(stage)
    finally:
        await stage.world.unionpay.restart()


async def stays_deliverable(stage: Stage) -> str:
    """The only back end is dead: the payment waits, and is delivered once when the back end is back."""
    world, element = stage.world, a_phone()
    await world.visa.child.kill()
    await world.client("pc").send_part(card_part(element, back_ends.VISA_CARD, stage.order))
    await world.client("phone").send_part(pin_part(element))
    waiting = await stage.untouched("waits")
    await world.visa.restart()
    await administer.set_status(world.desk, world.visa.back_end.id, Status.ACTIVE)
    return f"{waiting}; back: {await stage.approved()}"


async def _sealed(
    world: World,
    channel: str,
    content: PartContent,
    *,
    created: int | None = None,
    nonce: str | None = None,
) -> Request:
    profile = world.profiles[channel]
    async with world.raw(channel) as http:
        listed = await http.get("/.well-known/tallystick-keys")
    held, now = HeldKeys(profile.identity, profile.suite), world.desk.clock.now()
    held.take(listed.content, now)
    return seal_request(
        profile.credentials,
        held.newest(now),
        "/v1/parts",
        content,
        created=created or int(time.time()),
        nonce=nonce or secrets.token_urlsafe(18),
        idempotency_key=secrets.token_urlsafe(18),
    )


def _resigned(world: World, channel: str, request: Request, created: int) -> Request:
    """Sign a message of somebody else as one's own."""
    credentials = world.profiles[channel].credentials
    headers = {name: request.headers[name] for name in ("content-type", "idempotency-key")}
    signature = sign_request(
        credentials.key,
        keyid=credentials.sender,
        method=request.method,
        target=request.target,
        body=request.body,
        headers=headers,
        covered=COVERED_WITH_BODY,
        created=created,
        nonce=request.nonce,
    )
    return Request(request.method, request.target, {**headers, **signature}, request.body, request.nonce)


async def _post(world: World, channel: str, request: Request) -> str:
    async with world.raw(channel) as http:
        answer = await http.post(request.target, headers=dict(request.headers), content=request.body)
    document = answer.json()
    return str(document.get("code", document.get("status")))


async def _code_of(sending: Awaitable[object]) -> str:
    try:
        await sending
    except PlatformProblem as problem:
        return problem.code
    return "accepted"


SCENARIOS: Final = (
    Scenario("same channel twice", (1,), "same_channel, nothing delivered", same_channel),
    Scenario("replayed message", (13, 34), "replayed, nothing delivered", replay),
    Scenario("tampered body", (13, 34), "content_digest_mismatch, nothing delivered", tampered),
    Scenario("another channel's envelope", (13, 34), "envelope_unopenable, nothing delivered", other_channels_envelope),
    Scenario("clock an hour late", (13, 34), "message_stale, nothing delivered", stale),
    Scenario("part after expiry", (1,), "already_final, nothing delivered", expired),
    Scenario("wrong password", (6,), "refused, nothing delivered", wrong_password),
    Scenario("unknown issuer", (11,), "refused, nothing delivered", unknown_issuer),
    Scenario("wrong PIN", (8, 14), "declined 55 by UnionPay", wrong_pin),
    Scenario("back end down, next candidate", (3, 5), "approved by UnionPay standby", falls_to_next),
    Scenario(
        "only back end down, delivered later",
        (3, 5),
        "waits, nothing delivered; back: approved by VISA wallet",
        stays_deliverable,
    ),
    Scenario("revoked certificate", (33,), "certificate_revoked, nothing delivered", revoked),
)
