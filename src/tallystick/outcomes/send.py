"""Send webhooks: at least once, with the same id at every try, until the receiver takes them or a day is over.

A try is leased: its webhook is not due again before the lease is over, so that two nodes do not send at once, and a
node that dies in the middle leaves it to the next one.
"""

from collections import Counter
from typing import Final

from msgspec.structs import replace

from tallystick.crypto import webhooks
from tallystick.crypto.signing import Signer
from tallystick.delivery.books import Store
from tallystick.errors import AlreadyFinal, NotFound, Unavailable
from tallystick.outcomes import endpoints
from tallystick.outcomes.model import Endpoint, EndpointState, Webhook, WebhookState
from tallystick.outcomes.ports import OutcomeBooks, Posted, Poster
from tallystick.runtime import Clock, Millis, Randomness
from tallystick.security.ports import Keyring

SCHEDULE_S: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds from when a webhook was first due to each of its tries: ten in 24 h, as Standard Webhooks proposes."""
JITTER_PERCENT: Final = 10  # of the time between two tries: added at random, so that failures do not come back together
GAP_MIN_MS: Final = 5_000  # ms between two tries at least, however late they are
LEASE_MS: Final = 60_000  # ms one try may take before another node repeats it; longer than a poster's time-out
SUCCESSES: Final = range(200, 300)
GONE: Final = 410
BUSY: Final = frozenset({429, 503})

RECEIVER_IS_GONE: Final = "410"


class Sender:
    """Send one webhook at a time; `courier` decides how many at once."""

    def __init__(
        self,
        store: Store[OutcomeBooks],
        poster: Poster,
        keyring: Keyring,
        *,
        identity: Signer | None,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._store = store
        self._poster = poster
        self._keyring = keyring
        self._identity = identity
        self._clock = clock
        self._randomness = randomness
        self.ended: Counter[str] = Counter()
        """How many tries `arrived` and `failed` since this process began."""

    async def due(self, each: int) -> list[Webhook]:
        """List webhooks that are due, at most `each` of one endpoint."""
        now = self._clock.now()
        return await self._store.read(lambda books: books.due_webhooks(now, each))

    async def try_once(self, webhook: Webhook) -> None:
        """Send a due webhook once, and record how that ended; does nothing when another caller was first.

        1. The try is leased, durably, before it happens.
        2. Taken (2xx): deleted. 410: the endpoint is disabled, and everything that waits for it dead.
        3. Anything else: due again by the schedule, not before the receiver's own Retry-After; dead after the last.
        """
        # 1.
        leased = replace(webhook, due_at=Millis(self._clock.now() + LEASE_MS))
        endpoint = await self._store.transact(lambda books: _lease(books, webhook, leased))
        if endpoint is None:
            return
        posted, last = await self._post(endpoint, webhook)
        status = posted.status if posted is not None else 0
        self.ended["arrived" if status in SUCCESSES else "failed"] += 1
        # 2.
        if status in SUCCESSES:
            await self._store.transact(lambda books: books.drop_webhook(webhook.id))
            return
        # 3.
        failed = self._after_failure(leased, posted, last)

        async def record(books: OutcomeBooks) -> None:
            await books.change_webhook(leased, failed)
            if status == GONE:
                await endpoints.close(books, endpoint.id, RECEIVER_IS_GONE)

        await self._store.transact(record)

    async def _post(self, endpoint: Endpoint, webhook: Webhook) -> tuple[Posted | None, str]:
        now = self._clock.now()
        secrets = endpoints.secrets_of(self._keyring, endpoint, now)
        headers = webhooks.sign(webhook.id, now, webhook.body, secrets, self._identity)
        try:
            posted = await self._poster.post(endpoint.url, headers, webhook.body)
        except Unavailable as failure:
            return None, failure.detail
        return posted, str(posted.status)

    def _after_failure(self, leased: Webhook, posted: Posted | None, last: str) -> Webhook:
        tries = leased.tries + 1
        if tries >= len(SCHEDULE_S):
            return replace(leased, tries=tries, state=WebhookState.DEAD, last=last)
        asked_s = posted.retry_after if posted is not None and posted.status in BUSY else None
        due_at = next_try(leased.first_at, tries, self._clock.now(), asked_s or 0, self._randomness)
        return replace(leased, tries=tries, due_at=due_at, last=last)


def next_try(first_at: Millis, tries: int, now: Millis, asked_s: int, randomness: Randomness) -> Millis:
    """Return when a webhook that failed `tries` times is due again.

    By the schedule, with jitter; not before `GAP_MIN_MS` or the `asked_s` seconds of a Retry-After are over, but that
    not beyond the day the schedule takes.
    """
    gap_ms = (SCHEDULE_S[tries] - SCHEDULE_S[tries - 1]) * 1000
    planned = first_at + SCHEDULE_S[tries] * 1000 + randomness.below(gap_ms * JITTER_PERCENT // 100 + 1)
    asked = min(now + asked_s * 1000, first_at + SCHEDULE_S[-1] * 1000)
    return Millis(max(planned, asked, now + GAP_MIN_MS))


async def redeliver(store: Store[OutcomeBooks], webhook_id: str, now: Millis) -> Webhook:
    """Send a dead webhook again, from the first try on, under the same id.

    Raises NotFound when it arrived or was deleted, AlreadyFinal while it is still being tried or its endpoint is
    disabled.
    """

    async def work(books: OutcomeBooks) -> Webhook:
        dead = await books.webhook(webhook_id)
        if dead is None:
            raise NotFound("no webhook with this id waits or was given up")
        endpoint = await endpoints.find(books, dead.endpoint_id)
        if dead.state is not WebhookState.DEAD or endpoint.state is not EndpointState.ACTIVE:
            raise AlreadyFinal("the webhook is still being tried, or its endpoint is disabled: enable it first")
        again = replace(dead, state=WebhookState.WAITING, tries=0, first_at=now, due_at=now)
        await books.change_webhook(dead, again)
        return again

    return await store.transact(work)


async def _lease(books: OutcomeBooks, webhook: Webhook, leased: Webhook) -> Endpoint | None:
    """Win one try; returns where it goes, None when another caller was first."""
    if not await books.change_webhook(webhook, leased):
        return None
    return await endpoints.find(books, webhook.endpoint_id)
