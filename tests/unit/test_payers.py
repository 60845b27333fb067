"""What payers' pages ask of the platform."""

import pytest

from tallystick import limits
from tallystick.assembly.facts import ElementKind
from tallystick.assembly.model import Element, Payment
from tallystick.channels import capability as links
from tallystick.channels.model import PageKind
from tallystick.payers import issue, session_until
from tallystick.runtime import Millis
from tallystick.testing.platform import memory_platform

NOW = Millis(1_000)


def payment(expires_at: int) -> Payment:
    return Payment(
        id="pay_1",
        policy="account",
        element=Element(kind=ElementKind.CODE, digest=b"d"),
        claimed=True,
        opened_at=Millis(0),
        expires_at=Millis(expires_at),
        updated_at=Millis(0),
    )


@pytest.mark.parametrize(
    ("kind", "lives", "waits"),
    [
        (PageKind.PC, limits.ORDER_LIFE_MS, limits.ORDER_LIFE_MS),
        (PageKind.PHONE, limits.ORDER_LIFE_MS, NOW + limits.LINK_LIFE_MS),
        (PageKind.PHONE, 60_000, 60_000),
    ],
)
async def test_a_pc_link_waits_with_its_payment_and_a_phone_link_for_minutes(
    kind: PageKind, lives: int, waits: int
) -> None:
    world, order = await memory_platform(), payment(lives)
    await world.store.transact(lambda books: books.add_payment(order))
    secret = await world.store.transact(lambda books: issue(world.platform, books, order, kind, NOW))
    name = links.named_by_secret(secret).name
    found = await world.store.read(lambda books: books.capability(name))
    assert found is not None
    assert (kind, waits) == (found.kind, found.expires_at)
    assert order.expires_at < session_until(order)
