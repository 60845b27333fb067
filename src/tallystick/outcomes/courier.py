"""The loop that announces events and sends webhooks, apart from the sweep: a slow receiver holds up nothing else."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tallystick.delivery.books import Store
from tallystick.errors import TallystickError
from tallystick.outcomes.announce import BATCH, announce
from tallystick.outcomes.model import Webhook
from tallystick.outcomes.ports import OutcomeBooks
from tallystick.outcomes.send import Sender
from tallystick.runtime import Clock, Millis, Randomness

TICK_S: Final = 0.5  # s between rounds
IN_FLIGHT_MAX: Final = 64  # webhooks being sent at the same time
EACH_MAX: Final = 4  # of them to one endpoint
PURGE_EVERY: Final = 20  # rounds between purges
PURGE_ROWS: Final = 10_000  # rows one purge deletes at most of each kind
EVENTS_KEPT_MS: Final = 24 * 3_600_000  # ms an announced event stays in the log
DEAD_KEPT_MS: Final = 30 * 24 * 3_600_000  # ms a dead webhook can be sent again
STOP_GRACE_S: Final = 5.0  # s the sends under way may take to finish; a later start repeats the others

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Courier:
    """One process's share of the work; several nodes may run one each."""

    store: Store[OutcomeBooks]
    sender: Sender
    clock: Clock
    randomness: Randomness
    _sending: dict[asyncio.Task[None], str] = field(default_factory=dict)

    async def run(self) -> None:
        """Do rounds until cancelled; an error of one never stops the others."""
        number = 0
        while True:
            try:
                await self.round(number)
            except TallystickError as error:
                _log.warning("a round of the courier failed: %s: %s", error.code, error.detail)
            except Exception as error:  # noqa: BLE001 - one bad row must not stop the webhooks of everybody
                _log.error("a round of the courier failed: %s", type(error).__name__)
            number += 1
            await self.clock.sleep(TICK_S)

    async def round(self, number: int) -> None:
        """Announce what is new, start what is due, and now and then purge."""
        announced = BATCH
        while announced == BATCH:
            announced = await announce(self.store, self.clock, self.randomness)
        await self._start_due()
        if number % PURGE_EVERY == 0:
            await self._purge()

    async def drain(self) -> None:
        """Wait for the sends under way; cancel what is late."""
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=STOP_GRACE_S)
            for task in late:
                task.cancel()

    async def _start_due(self) -> None:
        if len(self._sending) >= IN_FLIGHT_MAX:
            return
        busy = Counter(self._sending.values())
        for webhook in await self.sender.due(EACH_MAX):
            if busy[webhook.endpoint_id] < EACH_MAX and len(self._sending) < IN_FLIGHT_MAX:
                busy[webhook.endpoint_id] += 1
                task = asyncio.create_task(self._send(webhook))
                self._sending[task] = webhook.endpoint_id
                task.add_done_callback(self._sending.pop)

    async def _send(self, webhook: Webhook) -> None:
        try:
            await self.sender.try_once(webhook)
        except TallystickError as error:
            _log.warning("webhook %s is left to the next try: %s", webhook.id, error.code)
        except Exception as error:  # noqa: BLE001 - asyncio would print the unforeseen, with whatever its text holds
            _log.error("webhook %s is left to the next try: %s", webhook.id, type(error).__name__)

    async def _purge(self) -> None:
        now = self.clock.now()

        async def work(books: OutcomeBooks) -> None:
            await books.purge_events(Millis(now - EVENTS_KEPT_MS), PURGE_ROWS)
            await books.purge_webhooks(Millis(now - DEAD_KEPT_MS), PURGE_ROWS)

        await self.store.transact(work)
