"""Threats to the payers' pages, one test each, named after the threat (docs/threat-model.md)."""

import pytest
from threat_world import Scene, make_scene

from tallystick.channels import capability as links
from tallystick.channels.capability import Started
from tallystick.channels.model import PageKind
from tallystick.errors import LinkRefused
from tallystick.payers import match_number
from tallystick.runtime import Millis
from tallystick.secret import Secret
from tallystick.security.ports import Purpose
from tallystick.security.sealing import Sealing

MINUTE = 60_000
PAYER, THIEF = b"the payer's phone", b"the thief's phone"
NONCE, THIEF_NONCE = "0" * 32, "f" * 32


class Pages:
    """Links to the phone page of one payment, and who opens them."""

    def __init__(self, scene: Scene, payment: str) -> None:
        self.world, self.payment = scene.world, payment
        self.at_rest = Sealing(scene.world.keyring, Purpose.AT_REST)

    async def issue(self) -> Secret:
        secret, now = links.new_secret(self.world.randomness), self.world.clock.now()
        await self.world.store.transact(
            lambda books: links.issue(
                books,
                self.at_rest,
                [secret],
                payment_id=self.payment,
                kind=PageKind.PHONE,
                now=now,
                until=Millis(now + 5 * MINUTE),
            )
        )
        return secret

    async def open(self, secret: Secret, device: bytes, nonce: str) -> Started:
        name, now = links.named_by_secret(secret).name, self.world.clock.now()
        row = await self.world.store.read(lambda books: books.capability(name))
        assert row is not None
        return await self.world.store.transact(
            lambda books: links.start(
                books, self.at_rest, row, nonce, device=device, network=b"net", now=now, until=Millis(now + MINUTE)
            )
        )

    async def check(self, session: str, device: bytes) -> None:
        found = await self.world.store.read(lambda books: books.page_session(session))
        links.check_session(found, device, self.world.clock.now())


@pytest.fixture
async def pages() -> Pages:
    scene = await make_scene()
    return Pages(scene, (await scene.create()).payment)


async def test_fixation_of_a_session_puts_nobody_else_into_it(pages: Pages) -> None:
    secret = await pages.issue()
    fixed = await pages.open(secret, THIEF, THIEF_NONCE)
    session = fixed.capability.session or ""
    # The payer, sent the thief's link or even the thief's session, is not let in and so types nothing into it.
    for nonce in (NONCE, THIEF_NONCE):
        with pytest.raises(LinkRefused):
            await pages.open(secret, PAYER, nonce)
    with pytest.raises(LinkRefused):
        await pages.check(session, PAYER)
    # The payer asks for a new code: the thief's session ends with it.
    await pages.open(await pages.issue(), PAYER, NONCE)
    with pytest.raises(LinkRefused):
        await pages.check(session, THIEF)


async def test_fixation_shows_in_the_number_that_both_screens_have(pages: Pages) -> None:
    numbers = set()
    for n in range(20):
        started = await pages.open(await pages.issue(), THIEF if n % 2 else PAYER, f"{n:032x}")
        numbers.add(match_number(started.capability.session or ""))
    assert 10 < len(numbers)
    assert all(10 <= number <= 99 for number in numbers)


async def test_qr_phishing_by_a_photographed_or_pasted_code_opens_nothing(pages: Pages) -> None:
    photographed = await pages.issue()
    await pages.open(photographed, PAYER, NONCE)
    with pytest.raises(LinkRefused):
        await pages.open(photographed, THIEF, THIEF_NONCE)
    replaced = await pages.issue()
    await pages.issue()
    with pytest.raises(LinkRefused):
        await pages.open(replaced, THIEF, THIEF_NONCE)
    old = await pages.issue()
    await pages.world.clock.advance(5 * MINUTE)
    with pytest.raises(LinkRefused):
        await pages.open(old, THIEF, THIEF_NONCE)
