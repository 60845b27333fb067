"""Back ends, preferences, the versioned routing table and its changes (patent claims 3, 5, 11)."""

from enum import StrEnum
from functools import cached_property
from typing import Final

from msgspec import Struct

from tallystick.routing.issuers import IssuerIndex, IssuerRule
from tallystick.runtime import Millis


class Status(StrEnum):
    """The operator's and the health check's word on a back end; only ACTIVE ones get new payments."""

    ACTIVE = "active"
    DRAINING = "draining"
    SUSPENDED = "suspended"
    DOWN = "down"


class NumberPolicy(StrEnum):
    """Who makes the dynamic numbers of a back end (patent claim 4)."""

    NONE = "none"
    PLATFORM = "platform"
    BACK_END = "back_end"


class BackEnd(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One back-end payment system.

    `id` is the institution id: a fixed-length random number (claim 3). `schemes` are the card or account schemes it
    serves (`unionpay`, `visa`, or an account scheme). A smaller `priority` is preferred. `currencies` empty means all.
    `sandbox` marks one that moves no money: it gets the payments of test mode, and no other one does.
    `issuer` marks an institution whose card PINs the vault may store. `renew_at` is local time HH:MM in `zone`.
    `in_flight_max` bounds the requests it has at a time, `per_second_max` those that start in a second (0: no bound);
    after `failures_max` failed ones in a row its circuit opens.
    `status` is live state: it belongs to no version of the table, and a back end begins SUSPENDED.
    """

    id: str
    name: str
    connector: str
    status: Status = Status.SUSPENDED
    schemes: frozenset[str]
    priority: int = 100
    currencies: frozenset[str] = frozenset()
    sandbox: bool = False
    issuer: bool = False
    numbers: NumberPolicy = NumberPolicy.NONE
    renew_at: str = "04:00"
    zone: str = "UTC"
    in_flight_max: int = 256
    per_second_max: int = 0
    failures_max: int = 5


class Preference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A co-badged card goes by `schemes`, best first, when the order is in `currency`; other schemes come after."""

    currency: str
    schemes: tuple[str, ...]


USUAL_PREFERENCES: Final = (Preference(currency="CNY", schemes=("unionpay",)),)
"""Inside mainland China a co-badged card goes to UnionPay."""


class RoutingTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """All back ends, issuer rules and preferences under one version number that grows with every change."""

    version: int
    back_ends: tuple[BackEnd, ...]
    issuer_rules: tuple[IssuerRule, ...]
    preferences: tuple[Preference, ...] = USUAL_PREFERENCES

    @cached_property
    def index(self) -> IssuerIndex:
        """Return the issuer rules in the form they are looked up in, made once for a table."""
        return IssuerIndex(self.issuer_rules)


class Decision(Struct, frozen=True, kw_only=True):
    """Ranked candidates (best first), the table version they come from and the reason in words."""

    version: int
    candidates: tuple[BackEnd, ...]
    reason: tuple[str, ...]


class RouteVersion(Struct, frozen=True, kw_only=True):
    """Who made a version of the routing table, when and why; equal tables have equal digests.

    `approver` is the second operator; None where none was asked for.
    """

    version: int
    at: Millis
    author: str
    approver: str | None = None
    note: str
    digest: str


class ChangeState(StrEnum):
    """What became of a proposed change; STALE: another change was made before this one was approved."""

    PROPOSED = "proposed"
    APPLIED = "applied"
    REJECTED = "rejected"
    STALE = "stale"


class RouteChange(Struct, frozen=True, kw_only=True):
    """A whole new routing table that `author` proposes in the place of version `base`.

    `decided_by` is who approved or rejected it.
    """

    id: str
    base: int
    at: Millis
    author: str
    note: str
    digest: str
    state: ChangeState = ChangeState.PROPOSED
    decided_by: str | None = None
    decided_at: Millis | None = None
