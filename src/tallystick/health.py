"""Keep ACTIVE and DOWN true by echoes, with hysteresis: a back end that flaps does not take payments.

Only these two words are the health check's. SUSPENDED and DRAINING are the operator's, and stay.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from tallystick.delivery.books import Books, Store
from tallystick.delivery.ports import Connectors
from tallystick.routing.model import BackEnd, Status
from tallystick.runtime import Clock, Millis

DOWN_AFTER: Final = 2  # failures in a row after which a back end is DOWN
UP_AFTER: Final = 3  # successes in a row after which it is ACTIVE again, if it has rested
REST_MS: Final = 10_000  # ms a back end that went DOWN rests at least; doubled for each earlier time within FLAPS_MS
REST_MAX_MS: Final = 300_000  # ms it rests at most
FLAPS_MS: Final = 3_600_000  # ms within which going DOWN again is flapping

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Pulse:
    """What is known of one back end: the word that follows from it, and the word that the table has."""

    word: Status
    told: Status
    failures: int = 0
    successes: int = 0
    downs: list[Millis] = field(default_factory=list)
    rests_until: int = 0

    def fail(self, now: Millis) -> None:
        """Count a failure."""
        self.failures, self.successes = self.failures + 1, 0
        if self.word is Status.ACTIVE and self.failures >= DOWN_AFTER:
            self.go_down(now)

    def succeed(self, now: Millis) -> None:
        """Count a success."""
        self.failures, self.successes = 0, self.successes + 1
        rests = now < self.rests_until <= now + REST_MAX_MS  # a longer rest is none: the clock was set back
        if self.word is Status.DOWN and self.successes >= UP_AFTER and not rests:
            self.word = Status.ACTIVE

    def go_down(self, now: Millis) -> None:
        """Begin a rest, longer for each time that it went DOWN within the last hour."""
        self.downs = [*(at for at in self.downs if now - at < FLAPS_MS), now]
        self.rests_until = now + min(REST_MS << (len(self.downs) - 1), REST_MAX_MS)
        self.word = Status.DOWN


@dataclass(slots=True)
class Health:
    """The pulses of all back ends, as this process feels them; a restart begins anew with what the table says."""

    store: Store[Books]
    connectors: Connectors
    clock: Clock
    pulses: dict[str, Pulse] = field(default_factory=dict)

    def report(self, institution: str, *, ok: bool) -> None:
        """Take note of how a request ended; `watch` writes the word that follows.

        `ok` when the back end answered, whatever it answered; not for what says nothing about its health (Unfit).
        """
        pulse = self.pulses.get(institution)
        if pulse is None:
            return
        if ok:
            pulse.succeed(self.clock.now())
        else:
            pulse.fail(self.clock.now())

    async def watch(self, *, tells: bool = True) -> None:
        """Echo to every back end that should answer, side by side, and write what has changed if this one `tells`."""
        table = await self.store.read(lambda books: books.routing_table())
        watched = [b for b in table.back_ends if b.status in {Status.ACTIVE, Status.DOWN}]
        self.pulses = {b.id: self._pulse(b) for b in watched}
        await asyncio.gather(*(self._echo(back_end) for back_end in watched))
        for back_end in watched if tells else ():
            await self._write(back_end)

    def _pulse(self, back_end: BackEnd) -> Pulse:
        """Return what is known of a back end; nothing, when somebody else has had a word on it since."""
        pulse = self.pulses.get(back_end.id)
        if pulse is not None and pulse.told is back_end.status:
            return pulse
        begun = Pulse(word=back_end.status, told=back_end.status)
        if back_end.status is Status.DOWN:
            begun.rests_until = self.clock.now() + REST_MS
        return begun

    async def _echo(self, back_end: BackEnd) -> None:
        try:
            connector = await self.connectors.connector(back_end)
            await connector.echo()
        except Exception as error:  # noqa: BLE001 - whatever keeps an echo from a back end keeps payments from it, too
            _log.info("back end %s does not answer an echo: %s", back_end.id, type(error).__name__)
            self.report(back_end.id, ok=False)
        else:
            self.report(back_end.id, ok=True)

    async def _write(self, back_end: BackEnd) -> None:
        """Write a word that is new, unless the operator has said another one meanwhile."""
        pulse = self.pulses[back_end.id]
        if pulse.word is pulse.told:
            return

        async def work(books: Books) -> bool:
            table = await books.routing_table()
            same = any(b.id == back_end.id and b.status is pulse.told for b in table.back_ends)
            if same:
                await books.put_status(back_end.id, pulse.word)
            return same

        if await self.store.transact(work):
            pulse.told = pulse.word
            _log.warning("back end %s is now %s", back_end.id, pulse.word)
