"""Read a running platform's metrics where the values are: key files, certificates, the store, and counts in memory."""

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tallystick.adapters.ca_files import FileCa, RevocationList
from tallystick.adapters.connectors.registry import ConnectorRegistry
from tallystick.adapters.keys.files import FileKeyring
from tallystick.adapters.keys.opening import FileOpeningKeys
from tallystick.adapters.outside_lists import OutsideLists
from tallystick.adapters.platform_certificate import CertificateFiles
from tallystick.assembly.facts import PaymentState
from tallystick.channels.limiting import Limiter
from tallystick.channels.trust import TrustBook
from tallystick.crypto.x509 import read_certificate
from tallystick.delivery.books import Store
from tallystick.delivery.model import Node, NodeKind
from tallystick.outcomes.model import WAITING_STATES, Backlog, Ending
from tallystick.outcomes.ports import OutcomeBooks
from tallystick.outcomes.send import Sender
from tallystick.routing.model import NumberPolicy, RoutingTable
from tallystick.runtime import Clock, Millis
from tallystick.security import lifetimes
from tallystick.security.ports import KeyState, Purpose
from tallystick.vault.numbers import progress
from tallystick.wire import metrics
from tallystick.wire.metrics import Sample, samples

BATCH: Final = 1_000  # events read at a time: the store is free for others in between
NUMBERS_EVERY_MS: Final = 60_000  # ms between two counts of numbers: a million users take some tenths of a second
OWN: Final = "own"
SECOND_MS: Final = 1_000  # ms


@dataclass(frozen=True, slots=True)
class Trust:
    """Certificates and revocation lists."""

    ca: FileCa
    chains: Mapping[str, CertificateFiles]
    own_list: RevocationList
    outside_lists: OutsideLists
    book: TrustBook


@dataclass(frozen=True, slots=True)
class Watched:
    """Parts of a serving process that count in memory; `answers` are the gateway's by address and code."""

    opening: FileOpeningKeys
    connectors: ConnectorRegistry
    limiter: Limiter
    webhooks: Sender
    answers: Counter[tuple[str, ...]]


@dataclass(slots=True)
class PlatformMetrics:
    """Gather every metric of `wire.metrics` (`service.metrics.Gatherer`).

    Outcomes are counted from the log of events, so that the path pays nothing for them: those since this process began,
    and those that a scrape finds within the day that the log keeps them.
    """

    store: Store[OutcomeBooks]
    clock: Clock
    keyring: FileKeyring
    trust: Trust
    watched: Watched
    _outcomes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    _seen: int | None = None
    _numbered: tuple[Millis, list[Sample]] | None = None

    async def begin(self) -> None:
        """Count outcomes from now on."""
        self._seen = await self.store.read(lambda books: books.announced())

    async def gather(self) -> list[Sample]:
        """Read every value as it is now; raises StoreFailed when the store cannot be read."""
        now = self.clock.now()
        backlog, table, nodes = await self.store.read(_read)
        await self._count_outcomes()
        return [
            *self._keys(now),
            *self._certificates(now),
            *self._lists(now),
            *_nodes(nodes, now),
            *_waiting(backlog, now),
            *await self._numbers(table, now),
            *self._back_ends(table),
            *samples(metrics.ANSWERS, self.watched.answers),
            *samples(metrics.OUTCOMES, self._outcomes),
            *(
                Sample(metrics.WEBHOOKS, self.watched.webhooks.ended[result], (result,))
                for result in ("arrived", "failed")
            ),
            *samples(metrics.LIMITED, {(kind.value,): count for kind, count in self.watched.limiter.refused.items()}),
        ]

    async def _count_outcomes(self) -> None:
        while self._seen is not None:
            seen = self._seen
            found = await self.store.read(functools.partial(_endings, seen))
            if self._seen != seen:
                return  # another scrape counts
            self._outcomes.update((ending.state.value, ending.back_end or "") for ending in found)
            if found:
                self._seen = found[-1].seq
            if len(found) < BATCH:
                return

    async def _numbers(self, table: RoutingTable, now: Millis) -> list[Sample]:
        """Tell how far renewals are, counted at most once in `NUMBERS_EVERY_MS`: it costs more with every user."""
        if self._numbered is not None and now < self._numbered[0] + NUMBERS_EVERY_MS:
            return self._numbered[1]
        found = []
        for back_end in table.back_ends:
            if back_end.numbers is NumberPolicy.PLATFORM:
                counted = await self.store.read(functools.partial(progress, back_end=back_end, now=now))
                for state, count in (("made", counted.made), ("left", counted.left)):
                    found.append(Sample(metrics.NUMBERS, count, (back_end.id, state)))
        self._numbered = now, found
        return found

    def _keys(self, now: Millis) -> Iterator[Sample]:
        entries = self.keyring.entries
        for entry in entries:
            if entry.state is KeyState.ACTIVE and entry.activated_at is not None:
                left = lifetimes.days_left(entry.purpose, entry.activated_at, now)
                yield Sample(metrics.KEY_DAYS_LEFT, left, (entry.purpose.value, str(entry.version)))
        counted = Counter((entry.purpose, entry.state) for entry in entries)
        for purpose in Purpose:
            for state in KeyState:
                yield Sample(metrics.KEYS, counted[purpose, state], (purpose.value, state.value))
        made = [made_at for made_at, _ in self.watched.opening.lives().values()]
        if made:
            yield Sample(metrics.OPENING_KEY_AGE, _seconds(max(made), now))

    def _certificates(self, now: Millis) -> Iterator[Sample]:
        pems = {"issuing": self.trust.ca.issuer.read_bytes()}
        pems |= {name: files.chain.read_bytes() for name, files in self.trust.chains.items() if files.chain.exists()}
        ends = {name: read_certificate(pem).not_after for name, pem in pems.items()}
        for anchor, authorities in self.trust.book.outside:
            ends[f"anchor {anchor.id}"] = min(read_certificate(pem).not_after for pem in authorities.issuers)
        for name, not_after in ends.items():
            yield Sample(metrics.CERTIFICATE_DAYS_LEFT, (not_after - now) / lifetimes.DAY_MS, (name,))

    def _lists(self, now: Millis) -> Iterator[Sample]:
        for authority, ends in {OWN: (self.trust.own_list.ends_at(now),), **self.trust.outside_lists.ends()}.items():
            held = [each for each in ends if each is not None]
            yield Sample(metrics.LISTS_MISSING, len(ends) - sum(each > now for each in held), (authority,))
            if held:
                yield Sample(metrics.LIST_SECONDS_LEFT, (min(held) - now) / SECOND_MS, (authority,))

    def _back_ends(self, table: RoutingTable) -> Iterator[Sample]:
        for back_end in table.back_ends:
            yield Sample(metrics.BACK_END_STATUS, 1, (back_end.id, back_end.status.value))
        for institution, connector in sorted(self.watched.connectors.opened().items()):
            yield Sample(metrics.CIRCUIT_OPEN, int(not connector.breaker.closed), (institution,))
            yield Sample(metrics.IN_FLIGHT, connector.in_flight, (institution,))
            for result in ("answered", "failed"):
                yield Sample(metrics.REQUESTS, connector.ended[result], (institution, result))


async def _read(books: OutcomeBooks) -> tuple[Backlog, RoutingTable, list[Node]]:
    return await books.backlog(), await books.routing_table(), await books.nodes()


async def _endings(after: int, books: OutcomeBooks) -> list[Ending]:
    return await books.endings_after(after, BATCH)


def _nodes(nodes: list[Node], now: Millis) -> list[Sample]:
    counted = Counter((node.kind.value, "holds" if now < node.lease_until else "over") for node in nodes)
    kinds = [(kind.value, lease) for kind in NodeKind for lease in ("holds", "over")]
    return samples(metrics.NODES, {labels: counted[labels] for labels in kinds})


def _waiting(backlog: Backlog, now: Millis) -> Iterator[Sample]:
    for state in PaymentState:
        if state in WAITING_STATES:
            yield Sample(metrics.PAYMENTS_WAITING, backlog.payments.get(state, 0), (state.value,))
    outboxes = {"notice": backlog.notices, "urgent_notice": backlog.urgent_notices, "webhook": backlog.webhooks}
    for kind, outbox in outboxes.items():
        yield Sample(metrics.OUTBOX, outbox.waiting, (kind,))
        yield Sample(metrics.OUTBOX_AGE, 0 if outbox.since is None else _seconds(outbox.since, now), (kind,))
    yield Sample(metrics.WEBHOOKS_DEAD, backlog.dead_webhooks)


def _seconds(since: Millis, now: Millis) -> float:
    return max(now - since, 0) / SECOND_MS
