"""Events, webhook endpoints and webhooks."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from tallystick.assembly.facts import DOUBTFUL_STATES, PaymentState
from tallystick.assembly.model import PartFacts
from tallystick.runtime import Millis
from tallystick.secret import Secret

WRONG_LOGIN: Final = "wrong_login"
LOGIN_REASONS: Final = frozenset({"too_many_tries", "number_missing", "wrong_number", "no_credential"})
"""Reasons that tell more of a user than that the login was wrong."""


class Event(Struct, frozen=True, kw_only=True):
    """A payment changed to a state that those who wait are told; `seq` orders all events of a store, without ties.

    `first` says that no earlier event tells of this payment.
    """

    seq: int
    payment_id: str
    state: PaymentState
    at: Millis
    first: bool


class EndpointState(StrEnum):
    """Whether an endpoint gets webhooks."""

    ACTIVE = "active"
    DISABLED = "disabled"


class SigningSecret(Struct, frozen=True, kw_only=True):
    """A secret that an endpoint's webhooks are signed with: `whsec_…`, until `until` once a newer one was made."""

    secret: Secret
    created_at: Millis
    until: Millis | None = None


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a channel gets webhooks: `sealed` holds its secrets, `reason` says why it is disabled."""

    id: str
    channel_id: str
    url: str
    sealed: bytes
    created_at: Millis
    state: EndpointState = EndpointState.ACTIVE
    reason: str | None = None


class WebhookState(StrEnum):
    """WAITING for its next try, or DEAD: given up, kept for a person to send again. One that arrived is deleted."""

    WAITING = "waiting"
    DEAD = "dead"


class Webhook(Struct, frozen=True, kw_only=True):
    """One message to one endpoint about one `subject` (a payment or a part), on account of event `seq`.

    `id` is the same at every try. `first_at` is when the first try was due, `due_at` when the next one is: a try under
    way moves it to the end of its lease. `tries` counts those that failed, `last` says how the last of them did.
    """

    id: str
    seq: int
    endpoint_id: str
    subject: str
    type: str
    body: bytes
    first_at: Millis
    due_at: Millis
    state: WebhookState = WebhookState.WAITING
    tries: int = 0
    last: str | None = None


def counts(part: PartFacts) -> bool:
    """Tell whether a part is one of its payment; a rival and one that lost learn nothing of it, not even that it is."""
    return bool(part.fields) and not part.rival


def shown_to_senders(state: PaymentState) -> PaymentState:
    """Return the state that a part's sender is told; that somebody looks into an unknown outcome is left out."""
    return PaymentState.UNKNOWN if state is PaymentState.INQUIRY else state


def told_reason(reason: str | None) -> str | None:
    """Return the reason that a payment's owner is told: not whether a name, a password or a number was the wrong one.

    An owner may have sent the parts itself. What tells more is the operator's.
    """
    return WRONG_LOGIN if reason in LOGIN_REASONS else reason


class Ending(Struct, frozen=True):
    """What of an event is counted: its `seq`, and the payment's state then and back end now."""

    seq: int
    state: PaymentState
    back_end: str | None


class Outbox(Struct, frozen=True):
    """How many messages of one kind wait, and since when the oldest does."""

    waiting: int
    since: Millis | None


class Backlog(Struct, frozen=True, kw_only=True):
    """What waits in a store: payments that are joined and not final, by state, and messages to be sent.

    `urgent_notices` are those of the notices that somebody waits for, such as codes.
    """

    payments: dict[PaymentState, int]
    notices: Outbox
    urgent_notices: Outbox
    webhooks: Outbox
    dead_webhooks: int


WAITING_STATES = DOUBTFUL_STATES | {PaymentState.JOINED, PaymentState.DELIVERING}
"""States of a payment that is joined and not final."""
