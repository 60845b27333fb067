"""What an idle platform still has in its memory of payments that are over, as who owns its process would see."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from live_platform import EXPIRY, Live, a_payment, live_platform, memory
from msgspec.structs import replace

from tallystick.secret import Secret

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="this system shows no memory as a file"),
]

BATCH = 6  # payments, each by a card of its own
IDLE_S = 2.0


def card(number: int) -> str:
    """Make a card number of the bank's range that no memory has by accident."""
    return f"62509473{number * 7_919 % 10**8:08d}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    async with live_platform(tmp_path_factory.mktemp("memory")) as running:
        yield running


async def pay(live: Live, number: int) -> None:
    first, second = a_payment(7_000 + number)
    first = replace(first, fields={"pan": Secret(card(number)), "expiry": Secret(EXPIRY)})
    await live.client("pc").send_part(first)
    part = (await live.client("phone").send_part(second)).part
    assert "declined" == await live.outcome(part)


def left(live: Live, numbers: range) -> int:
    """Count the cards of which the number is still somewhere in the memory."""
    assert live.child._process is not None
    seen = memory(live.child._process.pid)
    return sum(card(number).encode() in seen for number in numbers)


async def test_an_idle_platform_holds_no_card_number_but_of_its_newest_payments(live: Live) -> None:
    """Python erases no string, it only uses its place again: this shows how soon that was, not that it must be."""
    for number in range(BATCH):
        await pay(live, number)
    await asyncio.sleep(IDLE_S)
    just_paid = left(live, range(BATCH))
    for number in range(BATCH, 3 * BATCH):
        await pay(live, number)
    await asyncio.sleep(IDLE_S)
    later = left(live, range(BATCH))

    sys.stdout.write(f"card numbers in memory: {just_paid} of {BATCH}, {2 * BATCH} payments later {later}\n")
    assert just_paid < BATCH
    assert later <= 1


async def test_the_look_into_the_memory_sees_what_is_there(live: Live) -> None:
    assert live.child._process is not None
    seen = memory(live.child._process.pid)
    assert live.bank.id.encode() in seen
    assert card(10**6).encode() not in seen
