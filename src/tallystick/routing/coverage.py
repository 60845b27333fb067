"""Report what a new set of issuer rules does: ranges that lie across each other, and numbers that lose their scheme."""

from collections import defaultdict

from msgspec import Struct

from tallystick.routing.issuers import IssuerIndex, IssuerRule, spans, words


class Coverage(Struct, frozen=True, kw_only=True):
    """How issuer rules lie: nested ones refine each other, of overlapping ones the narrower counts.

    `overlaps` are pairs of ranges of other schemes that lie across each other; the narrower one has the numbers of
    both. `gaps` are numbers that had a scheme before and would lose it, with that scheme.
    """

    rules: int
    nested: int
    overlaps: tuple[str, ...]
    gaps: tuple[str, ...]


def coverage(rules: tuple[IssuerRule, ...], before: tuple[IssuerRule, ...]) -> Coverage:
    """Compare a set of issuer rules with itself and with the set that it replaces."""
    nested, overlaps = _crossings(rules)
    return Coverage(rules=len(rules), nested=nested, overlaps=overlaps, gaps=_gaps(rules, before))


def _crossings(rules: tuple[IssuerRule, ...]) -> tuple[int, tuple[str, ...]]:
    """Count the ranges inside another one, and name the pairs that overlap otherwise and differ in their schemes."""
    nested, overlaps = 0, []
    open_rules: list[IssuerRule] = []
    for rule in sorted(rules, key=lambda rule: (rule.span[0], -rule.span[1])):
        first, last = rule.span
        open_rules = [other for other in open_rules if other.span[1] >= first]
        nested += any(last <= other.span[1] for other in open_rules)
        overlaps += [
            f"{other.words} ({', '.join(other.schemes)}) and {rule.words} ({', '.join(rule.schemes)})"
            for other in open_rules
            if other.span[1] < last and other.schemes != rule.schemes
        ]
        open_rules.append(rule)
    return nested, tuple(overlaps)


def _gaps(rules: tuple[IssuerRule, ...], before: tuple[IssuerRule, ...]) -> tuple[str, ...]:
    """Name the numbers that lose a scheme, neighbouring pieces of one scheme together."""
    new, old = IssuerIndex(rules), IssuerIndex(before)
    lost: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for first, last in spans([*new.cuts, *old.cuts]):
        had, has = old.owner(first), new.owner(first)
        for scheme in had.schemes if had is not None else ():
            if has is None or scheme not in has.schemes:
                known = lost[scheme]
                if known and known[-1][1] + 1 == first:
                    known[-1] = (known[-1][0], last)
                else:
                    known.append((first, last))
    return tuple(f"{words(*piece)} loses {scheme}" for scheme, pieces in sorted(lost.items()) for piece in pieces)
