"""Bring every unknown outcome to its end: after a crash, after a time-out, whenever something is due.

Every function is bounded and safe to repeat, in one process or in many: compare-and-set decides who counts.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from tallystick.assembly.facts import PaymentState
from tallystick.delivery import deliver, resolve
from tallystick.delivery.books import Books
from tallystick.delivery.model import Intent, IntentState, Recovery
from tallystick.delivery.ports import Connector
from tallystick.errors import NotSent
from tallystick.path import Platform, settle_doubt
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis
from tallystick.security.ports import Purpose

BATCH: Final = 200  # payments one call touches at most
UNSEEN: Final = frozenset({Recovery.INQUIRY})  # what is planned while nobody knows what the connector can do
LOST_AFTER_MS: Final = 180_000  # ms after which no send can still be under way, however slow its back end is

_log = logging.getLogger(__name__)


async def give_up_lost(platform: Platform) -> int:
    """Make authorisations UNKNOWN that nobody sends any more and that may have been sent; returns how many.

    Their node is dead (`delivery.nodes`), or the store failed just when the answer came. What another node is sending
    now is left to it.
    """
    unknown = deliver.Outcome(state=IntentState.UNKNOWN)

    async def lost(books: Books) -> list[Intent]:
        return await books.lost_intents(Millis(platform.clock.now() - LOST_AFTER_MS), BATCH)

    async def work(books: Books) -> int:
        found = await lost(books)
        for intent in found:
            await deliver.settle(books, intent, unknown, platform.clock.now())
        return len(found)

    given_up = 0
    while await platform.store.read(lost):
        given_up += await platform.store.transact(work)
    return given_up


async def take_up(platform: Platform) -> int:
    """Plan and start the inquiry or reversal of every UNKNOWN payment that has none; returns how many there were."""
    unknown = await platform.store.read(lambda books: books.payments_in(PaymentState.UNKNOWN, BATCH))
    await _each(platform, ((payment.id, payment.back_end or "", None) for payment in unknown))
    return len(unknown)


async def pursue_due(platform: Platform) -> int:
    """Send the inquiries and reversals that are due; returns how many there were."""
    due = await platform.store.read(lambda books: books.due_intents(platform.clock.now(), BATCH))
    await _each(platform, ((intent.payment_id, intent.back_end, intent) for intent in due))
    return len(due)


async def _each(platform: Platform, doubts: Iterable[tuple[str, str, Intent | None]]) -> None:
    """Work on doubts (payment, back end, what is due) side by side: one that hangs keeps no other one waiting."""
    listed = list(doubts)
    works = [_settle(platform, payment_id, where, due) for payment_id, where, due in listed]
    for (payment_id, _, _), ending in zip(listed, await asyncio.gather(*works, return_exceptions=True), strict=True):
        if isinstance(ending, Exception):
            _log.warning("payment %s stays in doubt: %s", payment_id, type(ending).__name__)


async def _settle(platform: Platform, payment_id: str, where: str, due: Intent | None) -> None:
    connector = await _connector(platform, payment_id, where)
    recovery = connector.recovery if connector is not None else UNSEEN

    async def case(books: Books) -> resolve.Case | None:
        if due is not None:
            return await resolve.case_of(books, due)
        at, blind_key = platform.clock.now(), platform.keyring.key(Purpose.BLIND_INDEX)
        return await resolve.plan(books, payment_id, recovery, at=at, blind_key=blind_key)

    await settle_doubt(platform, connector, await platform.store.transact(case))


async def _connector(platform: Platform, payment_id: str, where: str) -> Connector | None:
    """Find the connector; None when it cannot be had now: its settings are gone or unfit, or its kind is."""
    try:
        back_end = await platform.store.read(lambda books: _back_end(books, payment_id, where))
        return await platform.connectors.connector(back_end)
    except Exception as error:  # noqa: BLE001 - one that cannot be had must neither hold up others nor wait for ever
        _log.warning("payment %s finds no connector to %s: %s", payment_id, where, type(error).__name__)
        return None


async def _back_end(books: Books, payment_id: str, where: str) -> BackEnd:
    """Find a back end, also one that left the routing table since; raises NotSent when no table has it."""
    present = await books.routing_table()
    earlier = [await books.routing_table_at(intent.table_version) for intent in await books.intents(payment_id)]
    for table in (present, *earlier):
        for back_end in table.back_ends if table is not None else ():
            if back_end.id == where:
                return back_end
    raise NotSent("no version of the routing table has this back end")
