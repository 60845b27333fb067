"""Explain in words where a payment goes: the range, the brands, and the standing of every back end."""

from msgspec import Struct

from tallystick.assembly.facts import RoutingFacts
from tallystick.routing.decide import brands_of, fallback_order, obstacle
from tallystick.routing.model import BackEnd, RoutingTable, Status


class Standing(Struct, frozen=True, kw_only=True):
    """One back end: `rank` 1 is tried first; None is not tried, and `why` says why."""

    rank: int | None
    id: str
    name: str
    why: str


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a payment goes where it goes: `asked` is it in words, `candidates` are ids in the order they are tried.

    `range` is the issuer rule that matched and `source` where it comes from; `schemes` stand best first.
    """

    asked: str
    currency: str
    version: int
    range: str | None
    source: str | None
    schemes: tuple[str, ...]
    reasons: tuple[str, ...]
    candidates: tuple[str, ...]


def explain(asked: str, facts: RoutingFacts, table: RoutingTable) -> Explanation:
    """Explain the decision that `decide` makes; without candidates where it makes none."""
    brands = brands_of(facts, table)
    order = fallback_order(facts, table, brands)
    return Explanation(
        asked=asked,
        currency=facts.currency,
        version=table.version,
        range=brands.rule.words if brands.rule else None,
        source=brands.rule.source if brands.rule else None,
        schemes=brands.schemes or (),
        reasons=brands.reason,
        candidates=tuple(back_end.id for back_end in order if back_end.status is Status.ACTIVE),
    )


def standings(facts: RoutingFacts, table: RoutingTable) -> tuple[Standing, ...]:
    """Say how every back end stands: first the candidates by rank, then those away, then those that do not fit."""
    brands = brands_of(facts, table)
    schemes, order = brands.schemes or (), fallback_order(facts, table, brands)
    candidates = [back_end for back_end in order if back_end.status is Status.ACTIVE]
    away = [back_end for back_end in order if back_end.status is not Status.ACTIVE]
    unfit = [(b, found) for b in table.back_ends if (found := obstacle(b, facts, brands)) is not None]
    return (
        *(_standing(b, _merit(b, schemes), rank) for rank, b in enumerate(candidates, start=1)),
        *(_standing(b, f"is {b.status}; {_merit(b, schemes)}") for b in away),
        *(_standing(b, found) for b, found in unfit),
    )


def _standing(back_end: BackEnd, why: str, rank: int | None = None) -> Standing:
    return Standing(rank=rank, id=back_end.id, name=back_end.name, why=why)


def _merit(back_end: BackEnd, schemes: tuple[str, ...]) -> str:
    scheme = next((scheme for scheme in schemes if scheme in back_end.schemes), None)
    return f"priority {back_end.priority}" if scheme is None else f"scheme {scheme}, priority {back_end.priority}"
