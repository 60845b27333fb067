"""Compare two routing tables: what they say differently, and which payments would go elsewhere."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tallystick.assembly.facts import CredentialKind, RoutingFacts
from tallystick.routing.decide import brands_of, fallback_order
from tallystick.routing.issuers import IssuerRule, spans, words
from tallystick.routing.model import BackEnd, RoutingTable

OTHER: Final = "other"
"""Stands for every currency that neither table names."""
_LIVE: Final = frozenset({"id", "status"})

Route = tuple[str, ...]
"""Ids of back ends in the order in which they are tried."""


class Move(Struct, frozen=True, kw_only=True):
    """Payments that would go elsewhere: what was asked, in which currencies, and the fallback order then and now.

    `brand` is the brand the payer chose, if any. `recent` is how many of the recent payments went to the first of
    `before` in one of these currencies: at most so many would move.
    """

    asked: tuple[str, ...]
    brand: str | None
    currencies: tuple[str, ...]
    before: Route
    after: Route
    recent: int


def diff(old: RoutingTable, new: RoutingTable) -> tuple[str, ...]:
    """Say in words what `new` says otherwise than `old`; live status and the sources of rules do not count."""
    back_ends = _pairs({b.id: b for b in old.back_ends}, {b.id: b for b in new.back_ends})
    rules = _pairs({rule.span: rule for rule in old.issuer_rules}, {rule.span: rule for rule in new.issuer_rules})
    preferences = _pairs(
        {each.currency: each.schemes for each in old.preferences},
        {each.currency: each.schemes for each in new.preferences},
    )
    return (
        *(line for _, before, after in back_ends for line in _back_end_words(before, after)),
        *(line for _, before, after in rules for line in _rule_words(before, after)),
        *(line for currency, before, after in preferences for line in _preference_words(currency, before, after)),
    )


def dry_run(
    old: RoutingTable, new: RoutingTable, recent: Mapping[tuple[str, str], int] | None = None
) -> tuple[Move, ...]:
    """Say which payments would go elsewhere under `new`, as if all back ends were active.

    Complete: the issuer numbers are cut wherever either table begins another range, so that within a piece both tables
    answer alike. Each piece is asked without a brand of the payer's choice and with each one, in every currency that a
    table names and in one that none does; so are all account schemes and institutions. A payment's own list of back
    ends and their live status only thin an order out. `recent` counts recent payments by back end and currency, to tell
    how much would move; a card number is kept of none, so the count is an upper bound.
    """
    probes = list(_probes(old, new))
    moved: dict[tuple[str | None, Route, Route, tuple[str, ...]], list[str]] = defaultdict(list)
    for currency in _currencies(old, new):
        alike: dict[tuple[str | None, Route, Route], list[str]] = defaultdict(list)
        for asked, probe in probes:
            facts = replace(probe, currency=currency)
            before, after = _route(facts, old), _route(facts, new)
            if before != after:
                alike[facts.brand, before, after].extend(asked)
        for (brand, before, after), asked_all in alike.items():
            moved[brand, before, after, tuple(asked_all)].append(currency)
    return tuple(
        Move(
            asked=asked,
            brand=brand,
            currencies=tuple(currencies),
            before=before,
            after=after,
            recent=_recent(recent or {}, before, currencies, _currencies(old, new)),
        )
        for (brand, before, after, asked), currencies in moved.items()
    )


def _probes(old: RoutingTable, new: RoutingTable) -> Iterator[tuple[list[str], RoutingFacts]]:
    """Yield every question whose answer may differ, with its name in words; pieces with the same answers only once."""
    pieces: dict[tuple[Route, Route], list[tuple[int, int]]] = defaultdict(list)
    for first, last in spans([*old.index.cuts, *new.index.cuts]):
        pieces[_schemes(old.index.owner(first)), _schemes(new.index.owner(first))].append((first, last))
    for (before, after), found in pieces.items():
        asked, issuer = [f"cards {words(*piece)}" for piece in _joined(found)], f"{found[0][0]:09d}"
        # With one brand on either side a brand of the payer's is that one or ignored: both are as good as none.
        brands = {*before, *after} if max(len(before), len(after)) > 1 else set()
        for brand in (None, *sorted(brands)):
            yield asked, RoutingFacts(kind=CredentialKind.CARD, currency=OTHER, issuer=issuer, brand=brand)
    for scheme in sorted({scheme for b in (*old.back_ends, *new.back_ends) for scheme in b.schemes}):
        yield [f"accounts of {scheme}"], RoutingFacts(kind=CredentialKind.ACCOUNT, currency=OTHER, scheme=scheme)
    for institution in sorted({b.id for b in (*old.back_ends, *new.back_ends)}):
        facts = RoutingFacts(kind=CredentialKind.LOGIN, currency=OTHER, institution=institution)
        yield [f"institution {institution}"], facts


def _route(facts: RoutingFacts, table: RoutingTable) -> Route:
    return tuple(back_end.id for back_end in fallback_order(facts, table, brands_of(facts, table)))


def _currencies(old: RoutingTable, new: RoutingTable) -> list[str]:
    named = {currency for b in (*old.back_ends, *new.back_ends) for currency in b.currencies}
    return [*sorted(named | {each.currency for each in (*old.preferences, *new.preferences)}), OTHER]


def _recent(recent: Mapping[tuple[str, str], int], before: Route, wanted: Iterable[str], named: Iterable[str]) -> int:
    """Count the recent payments at the first of `before` whose currency is wanted, or is one of no name."""
    wanted, named = set(wanted), set(named)
    return sum(
        count
        for (back_end, currency), count in recent.items()
        if back_end in before[:1] and (currency if currency in named else OTHER) in wanted
    )


def _schemes(rule: IssuerRule | None) -> Route:
    return () if rule is None else rule.schemes


def _joined(found: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join spans that are neighbours."""
    first, last = found[0]
    for begins, ends in found[1:]:
        if begins != last + 1:
            yield first, last
            first = begins
        last = ends
    yield first, last


def _pairs(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> list[tuple[Any, Any, Any]]:
    """Return the entries that differ, by key."""
    keys = sorted(old.keys() | new.keys())
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def _back_end_words(before: BackEnd | None, after: BackEnd | None) -> Iterator[str]:
    if before is None or after is None:
        one = before or after
        if one is not None:
            facts = f"{one.connector}, {_word(one.schemes)}, priority {one.priority}"
            yield f"institution {one.id} ({one.name}) {_fate(after)}: {facts}"
        return
    for name in BackEnd.__struct_fields__:
        was, becomes = getattr(before, name), getattr(after, name)
        if name not in _LIVE and was != becomes:
            yield f"institution {after.id} ({after.name}): {name} {_word(was)} becomes {_word(becomes)}"


def _rule_words(before: IssuerRule | None, after: IssuerRule | None) -> Iterator[str]:
    one = before or after
    if one is None or _schemes(before) == _schemes(after):
        return
    if before is None or after is None:
        yield f"range {one.words} {_fate(after)}: {', '.join(one.schemes)}"
    else:
        yield f"range {one.words}: {', '.join(before.schemes)} becomes {', '.join(after.schemes)}"


def _preference_words(currency: str, before: Route | None, after: Route | None) -> Iterator[str]:
    yield f"orders in {currency} prefer {_word(after or ())}, not {_word(before or ())}"


def _fate(after: object) -> str:
    return "is gone" if after is None else "is new"


def _word(value: object) -> str:
    if isinstance(value, frozenset | tuple):
        return ", ".join(map(str, sorted(value) if isinstance(value, frozenset) else value)) or "none"
    return str(value)
