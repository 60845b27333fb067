"""Kill the platform's process as a power cut would, start it again on the same data, and count at the bank.

Each case here is one moment that is chosen; `test_kill.py` kills at many that are not.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from live_platform import SLOW, Live, a_payment, live_platform, until

from tallystick.assembly.facts import PaymentState
from tallystick.delivery.model import IntentKind, IntentState

pytestmark = pytest.mark.e2e

DELAY_S = 0.8  # s before the bank's late answer: long enough to kill the platform while it waits
DRAIN_MARGIN_S = 0.2


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with live_platform(tmp_path, delay_s=DELAY_S) as running:
        yield running


async def judge(live: Live, acknowledged: list[int]) -> Counter[str]:
    """Show that each acknowledged payment ended once, as the bank's record says; count the states."""
    found = await live.settled()
    assert sorted(acknowledged) == sorted(found)
    states: Counter[str] = Counter()
    for amount, ((payment, intents), *more) in found.items():
        assert [] == more, "one payment became two"
        asked = live.asked(amount)
        states[payment.state] += 1
        assert len(asked) <= 1, "the bank was asked twice"
        assert payment.state in {PaymentState.APPROVED, PaymentState.REVERSED}
        assert (1 if payment.state is PaymentState.APPROVED else 0) == live.effective(amount)
        assert IntentState.SENDING not in {intent.state for intent in intents}
        (authorised,) = (intent.state for intent in intents if intent.kind is IntentKind.AUTHORISATION)
        assert IntentState(payment.state) == authorised
    return states


async def test_a_part_acknowledged_before_a_crash_joins_the_one_after_it_and_pays_once(live: Live) -> None:
    first, second = a_payment(10_000)
    receipt = await live.client("pc").send_part(first)
    await live.kill()
    await live.start()
    second_receipt = await live.client("phone").send_part(second)
    assert "approved" == await live.outcome(second_receipt.part)
    assert "approved" == await live.outcome(receipt.part, "pc")
    assert [True] == live.asked(10_000)


async def test_a_payment_that_was_at_the_bank_is_reversed_after_a_crash_and_is_never_sent_again(live: Live) -> None:
    amount = 10_000 + SLOW
    part = await live.pay(amount)
    await until(lambda: bool(live.asked(amount)))
    await live.kill()
    await live.start()
    assert "reversed" == await live.outcome(part)
    await asyncio.sleep(2 * DELAY_S)
    assert [True] == live.asked(amount)
    assert 0 == live.effective(amount)
    assert Counter(reversed=1) == await judge(live, [amount])


async def test_a_sigterm_lets_the_payment_at_a_slow_bank_finish(live: Live) -> None:
    amount = 10_000 + SLOW
    part = await live.pay(amount)
    await until(lambda: bool(live.asked(amount)))
    await live.disconnect()  # or the listener's goodbye to the clients would take as long as the bank
    began = time.monotonic()
    await live.child.stop()
    assert time.monotonic() - began > DELAY_S - DRAIN_MARGIN_S
    process = live.child._process
    assert process is not None
    assert 0 == process.returncode, live.log
    ((payment, intents),) = (await live.payments())[amount]
    assert (PaymentState.APPROVED, [IntentState.APPROVED]) == (payment.state, [intent.state for intent in intents])
    await live.start()
    assert "approved" == await live.outcome(part)
    assert [True] == live.asked(amount)
