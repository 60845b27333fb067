"""Ranges of leading card digits and the schemes they belong to; the narrowest range wins (ISO/IEC 7812-1)."""

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from msgspec import Struct

from tallystick import limits

NUMBERS: Final = 10**limits.ISSUER_DIGITS  # issuer numbers there are: all that routing can tell apart


class IssuerRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Card numbers whose leading digits lie from `low` to `high` belong to `schemes`.

    `low` and `high` have equal length, 1 to `limits.ISSUER_DIGITS` digits; a prefix is a range with `low` = `high`.
    More than one scheme means a co-badged card, best first. `source` says where the range comes from.
    """

    low: str
    high: str
    schemes: tuple[str, ...]
    source: str = ""

    @property
    def span(self) -> tuple[int, int]:
        """Return the first and last issuer number of the range."""
        return span(self.low, self.high)

    @property
    def words(self) -> str:
        """Return the range as people write it: `62`, or `8100-8171`."""
        return self.low if self.low == self.high else f"{self.low}-{self.high}"


class IssuerIndex:
    """Issuer rules cut into pieces that do not overlap, each owned by the narrowest rule over it or by none.

    Rules may lie inside each other and overlap; of two that are equally wide the lower one wins. What is found does not
    depend on their order.
    """

    def __init__(self, rules: Iterable[IssuerRule]) -> None:
        self._starts: list[int] = []
        self._owners: list[IssuerRule | None] = []
        for start, owner in _pieces(rules):
            if not self._owners or owner is not self._owners[-1]:
                self._starts.append(start)
                self._owners.append(owner)

    @property
    def cuts(self) -> list[int]:
        """Return the issuer numbers at which another piece begins, from 0 on."""
        return self._starts

    def owner(self, number: int) -> IssuerRule | None:
        """Return the rule that an issuer number belongs to."""
        return self._owners[bisect_right(self._starts, number) - 1]

    def owners(self, digits: str) -> tuple[IssuerRule | None, ...]:
        """Return the owners of all card numbers that begin with these digits; nine digits have exactly one."""
        first, last = span(digits, digits)
        return tuple(self._owners[bisect_right(self._starts, first) - 1 : bisect_right(self._starts, last)])


def span(low: str, high: str) -> tuple[int, int]:
    """Return the first and last issuer number that begin with the digits from `low` to `high`."""
    return int(low.ljust(limits.ISSUER_DIGITS, "0")), int(high.ljust(limits.ISSUER_DIGITS, "9"))


def words(first: int, last: int) -> str:
    """Write a span with as few digits as say the same: 620000000 to 629999999 is `62`."""
    low, high = f"{first:0{limits.ISSUER_DIGITS}d}", f"{last:0{limits.ISSUER_DIGITS}d}"
    while len(low) > 1 and low[-1] == "0" and high[-1] == "9":
        low, high = low[:-1], high[:-1]
    return low if low == high else f"{low}-{high}"


def spans(cuts: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Return the spans between neighbouring cuts, up to the last issuer number."""
    for first, following in pairwise([*sorted(set(cuts)), NUMBERS]):
        yield first, following - 1


def _pieces(rules: Iterable[IssuerRule]) -> Iterator[tuple[int, IssuerRule | None]]:
    """Sweep over the numbers; the narrowest rule that has begun and not ended owns what follows."""
    waiting = sorted(((*rule.span, rule) for rule in rules), key=lambda each: (each[:2], each[2].schemes), reverse=True)
    edges = {0, *(first for first, _, _ in waiting), *(last + 1 for _, last, _ in waiting)}
    begun: list[tuple[int, int, int, int, IssuerRule]] = []
    for edge in sorted(edges - {NUMBERS}):
        while waiting and waiting[-1][0] == edge:
            first, last, rule = waiting.pop()
            heapq.heappush(begun, (last - first, first, -len(waiting), last, rule))
        while begun and begun[0][3] < edge:
            heapq.heappop(begun)
        yield edge, begun[0][4] if begun else None
