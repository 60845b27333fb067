"""The JSON of webhooks: thin, so that a body that leaks tells little; the rest is read over the gateway."""

import datetime as dt

from msgspec import Struct


class OutcomeData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to what: `payment` and `state` for its owner, `part` and `status` for the channel that sent it."""

    payment: str | None = None
    state: str | None = None
    response_code: str | None = None
    part: str | None = None
    status: str | None = None


class OutcomeMessage(Struct, frozen=True, kw_only=True):
    """A webhook's body: `type` is `payment.<state>` or `part.<status>`, `id` is also the header webhook-id.

    `timestamp` says when it happened, in RFC 3339; when it was sent is the header's matter.
    """

    type: str
    id: str
    timestamp: str
    data: OutcomeData


def rfc3339(at: int) -> str:
    """Write a time in ms since 1970 as RFC 3339 in UTC, such as 2027-01-15T08:00:00.000Z."""
    return dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
