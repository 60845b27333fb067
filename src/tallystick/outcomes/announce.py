"""Turn events into webhooks: once for each event, endpoint and subject, in one transaction with the mark that says so.

Told are the owner of a created payment, and each channel that sent a part, of which it learns exactly what
`overview.part_status` tells it. That holds for silence too: a part that does not count (a rival, a loser) is told that
it expired, when its time is over, like one whose payment never came to be.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from tallystick import limits
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import PartFacts, Payment
from tallystick.channels.model import ChannelState
from tallystick.delivery.books import Store
from tallystick.outcomes.model import Endpoint, EndpointState, Event, Webhook, counts, shown_to_senders
from tallystick.outcomes.ports import OutcomeBooks
from tallystick.runtime import Clock, Millis, Randomness, new_id
from tallystick.wire.outcome import OutcomeData, OutcomeMessage, rfc3339

BATCH: Final = 200  # events of one transaction: bounds how long the store is held


class Told(NamedTuple):
    """What is told to one endpoint on account of one event, and since when it is true."""

    seq: int
    endpoint_id: str
    subject: str
    type: str
    data: OutcomeData
    at: Millis


Listeners = Mapping[str, Sequence[Endpoint]]
"""The endpoints that get webhooks now, by channel."""


async def announce(store: Store[OutcomeBooks], clock: Clock, randomness: Randomness) -> int:
    """Announce the next events, at most `BATCH`; returns how many there were."""

    async def work(books: OutcomeBooks) -> int:
        now = clock.now()
        events = await books.events_after(await books.announced(), BATCH)
        if not events:
            return 0
        listeners = await _listeners(books)
        for event in events if listeners else ():
            for told in await _told(books, event, listeners):
                await books.add_webhook(_webhook(told, new_id("evt", randomness), now))
        await books.note_announced(events[-1].seq)
        return len(events)

    if not await store.read(_has_news):
        return 0
    return await store.transact(work)


async def _has_news(books: OutcomeBooks) -> bool:
    return bool(await books.events_after(await books.announced(), 1))


async def _listeners(books: OutcomeBooks) -> Listeners:
    found: dict[str, list[Endpoint]] = {}
    for endpoint in await books.endpoints():
        channel = await books.channel(endpoint.channel_id)
        active = channel is not None and channel.state is ChannelState.ACTIVE
        if active and endpoint.state is EndpointState.ACTIVE:
            found.setdefault(endpoint.channel_id, []).append(endpoint)
    return found


async def _told(books: OutcomeBooks, event: Event, listeners: Listeners) -> Sequence[Told]:
    payment = await books.payment(event.payment_id)
    if payment is None:
        return ()
    told = [_to_owner(event, payment, endpoint) for endpoint in listeners.get(payment.owner or "", ())]
    for part in await books.part_facts(payment.id):
        for endpoint in listeners.get(part.channel_id, ()):
            told += _to_sender(event, part, endpoint)
    return told


def _to_owner(event: Event, payment: Payment, endpoint: Endpoint) -> Told:
    code = payment.response_code if payment.state is event.state else None
    data = OutcomeData(payment=payment.id, state=event.state, response_code=code)
    return Told(event.seq, endpoint.id, payment.id, f"payment.{event.state}", data, event.at)


def _to_sender(event: Event, part: PartFacts, endpoint: Endpoint) -> Iterator[Told]:
    status, at = shown_to_senders(event.state), event.at
    if counts(part):
        if status is not event.state:
            return  # it was told when the payment entered the state that is shown in the place of this one
    elif event.first:
        status, at = PaymentState.EXPIRED, Millis(part.received_at + limits.SECRET_LIFE_MS)
    else:
        return
    yield Told(event.seq, endpoint.id, part.id, f"part.{status}", OutcomeData(part=part.id, status=status), at)


def _webhook(told: Told, webhook_id: str, now: Millis) -> Webhook:
    """Write a webhook; its id is its own, for by a common one two channels could tell that their parts met."""
    message = OutcomeMessage(type=told.type, id=webhook_id, timestamp=rfc3339(told.at), data=told.data)
    first_at = max(told.at, now)
    return Webhook(
        id=webhook_id,
        seq=told.seq,
        endpoint_id=told.endpoint_id,
        subject=told.subject,
        type=told.type,
        body=msgspec.json.encode(message),
        first_at=first_at,
        due_at=first_at,
    )
