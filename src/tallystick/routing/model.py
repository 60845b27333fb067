"""Back ends, issuer rules and the versioned routing table (patent claims 3, 5, 11)."""

from enum import StrEnum

from msgspec import Struct


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


class BackEnd(Struct, frozen=True, kw_only=True):
    """One back-end payment system.

    `id` is the institution id: a fixed-length random number (claim 3). `schemes` are the card or account schemes it
    serves (`unionpay`, `visa`, or an account scheme). A smaller `priority` is preferred. `currencies` empty means all.
    `issuer` marks an institution whose card PINs the vault may store. `renew_at` is local time HH:MM in `zone`.
    """

    id: str
    name: str
    connector: str
    status: Status
    schemes: frozenset[str]
    priority: int = 100
    currencies: frozenset[str] = frozenset()
    issuer: bool = False
    numbers: NumberPolicy = NumberPolicy.NONE
    renew_at: str = "04:00"
    zone: str = "UTC"


class IssuerRule(Struct, frozen=True, kw_only=True):
    """Card numbers that begin with `prefix` belong to `schemes`; more than one means a co-badged card, best first."""

    prefix: str
    schemes: tuple[str, ...]


class RoutingTable(Struct, frozen=True, kw_only=True):
    """All back ends and issuer rules under one version number that grows with every change."""

    version: int
    back_ends: tuple[BackEnd, ...]
    issuer_rules: tuple[IssuerRule, ...]


class Decision(Struct, frozen=True, kw_only=True):
    """Ranked candidates (best first), the table version they come from and the reason in words."""

    version: int
    candidates: tuple[BackEnd, ...]
    reason: tuple[str, ...]
