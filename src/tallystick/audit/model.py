"""What the audit chain is made of: actions, entries, links and checkpoints."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tallystick.runtime import Millis

HASH_BYTES: Final = 32  # bytes of SHA-256

Detail = str | int | bool | tuple[str, ...]
"""A non-secret fact of an entry: never a value a payer typed, nor a function of one."""


class Action(StrEnum):
    """What an entry says was done; docs/reference/audit.md draws this table.

    One operation on one subject leaves one entry. Where it does several of these, the entry is named for the one that
    stands last here, and lists the others under `with`.
    """

    ELEMENT_ISSUED = "element.issued"
    PARTS_ERASED = "parts.erased"
    PAYMENT_MOVED = "payment.moved"
    PAGE_ISSUED = "page.issued"
    PAGE_MOVED = "page.moved"
    PAYMENT_OPENED = "payment.opened"
    PAYMENT_JOINED = "payment.joined"
    PAYMENT_CANCELLED = "payment.cancelled"
    PAYMENT_EXPIRED = "payment.expired"
    PART_ACCEPTED = "part.accepted"
    DELIVERY_PLANNED = "delivery.planned"
    DELIVERY_SENT = "delivery.sent"
    DELIVERY_SETTLED = "delivery.settled"
    REFUND_ASKED = "refund.asked"
    PULL_MOVED = "pull.moved"

    PASSWORD_TRIED = "password.tried"  # noqa: S105 - the name of an act
    PASSWORD_RIGHT = "password.right"  # noqa: S105 - the name of an act
    NUMBER_MADE = "number.made"
    USER_INVITED = "user.invited"
    USER_ADDED = "user.added"
    USER_CHANGED = "user.changed"
    CREDENTIAL_STORED = "credential.stored"

    CHANNEL_ADDED = "channel.added"
    CHANNEL_CHANGED = "channel.changed"
    API_KEY_SET = "api-key.set"
    PIN_KEY_ADDED = "pin-key.added"
    PIN_KEY_RETIRED = "pin-key.retired"
    ENROLMENT_INVITED = "enrolment.invited"
    ENROLMENT_MOVED = "enrolment.moved"
    ANCHOR_ADDED = "anchor.added"
    ANCHOR_REMOVED = "anchor.removed"
    CERTIFICATE_DENIED = "certificate.denied"
    CERTIFICATE_UNDENIED = "certificate.undenied"
    CERTIFICATE_ISSUED = "certificate.issued"
    CERTIFICATE_REVOKED = "certificate.revoked"
    INSTITUTION_STATUS = "institution.status"
    CONNECTOR_SET = "connector.set"
    ROUTES_CHANGED = "routes.changed"
    ROUTES_PROPOSED = "routes.proposed"
    ROUTES_DECIDED = "routes.decided"
    WEBHOOK_REVIVED = "webhook.revived"
    WEBHOOKS_BURIED = "webhooks.buried"
    PROPOSAL_MADE = "proposal.made"
    PROPOSAL_MOVED = "proposal.moved"
    LIMITS_SET = "limits.set"
    REWRAPPED = "keys.rewrapped"
    KEYS_CHANGED = "keys.changed"
    KEY_CEREMONY = "keys.ceremony"
    PAYMENT_READ = "payment.read"
    AUDIT_READ = "audit.read"
    ENDPOINT_SET = "endpoint.set"


class Noted(Struct, frozen=True, kw_only=True):
    """One thing done inside a work; `subject` separates entries of a work that touches several payments or payers."""

    action: Action
    subject: str | None = None
    others: tuple[str, ...] = ()
    outcome: str = "done"
    details: Mapping[str, Detail] = {}


class Entry(Struct, frozen=True, array_like=True):
    """One entry of the chain, in the order in which it is encoded and hashed.

    `actor` is "system", or a kind and a name: `channel:ch_…`, `merchant:live:…`, `operator:alice`. `seq` counts from 1
    without a gap. `subjects` are ids, the one mainly concerned first.
    """

    seq: int
    at: Millis
    actor: str
    action: str
    outcome: str
    subjects: tuple[str, ...]
    details: dict[str, Detail]


class Link(Struct, frozen=True, kw_only=True):
    """An entry as stored: the very bytes that were hashed, and the hash over the one before and these."""

    seq: int
    body: bytes
    hash: bytes


class Head(Struct, frozen=True):
    """How far the chain goes: the sequence number and hash of its last link."""

    seq: int
    hash: bytes


class Checkpoint(Struct, frozen=True, kw_only=True):
    """The platform's signed word that the chain had this head at this time."""

    seq: int
    hash: bytes
    at: Millis
    signature: bytes


START: Final = Head(0, bytes(HASH_BYTES))
"""The head of a chain without entries."""
