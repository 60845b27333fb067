"""Limits on how often: counted in memory before the work, kept in the store so that a restart forgets nothing much.

Each request is counted in a fixed window of its channel, its element and its network address; what is over the limit is
answered 429 with the time until the next window. The count is made before anything is looked up, so known and unknown
elements, cards and keys are answered alike. Every `service.tallies.FLUSH_EVERY_S` the counts are added to the store's,
where those of other processes come in, too; a crash forgets what was counted since.

Subjects of which anybody can make up as many as they like are counted in BUCKETS, by their digests: two may share a
bucket, and memory stays bounded whoever floods it.
"""

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from tallystick.channels import rows
from tallystick.channels.model import LimitKind, LimitRules, RateLimit, Tally
from tallystick.channels.ports import AccessKeys, LimitBook
from tallystick.errors import FieldInvalid, TooMany
from tallystick.runtime import Clock, Millis

BUCKETS: Final = 2**18  # buckets of each kind: at 10,000 made-up elements a second, one bucket gets 23 in ten minutes
COUNT_MAX: Final = 100_000_000  # events of one window
NAMED_MAX: Final = 4_096  # senders and networks whose buckets are remembered: the same ones come again and again
WINDOW_MIN_MS: Final = 1_000  # ms
WINDOW_MAX_MS: Final = 24 * 3_600_000  # ms
MINUTE_MS: Final = 60_000  # ms
UNITS_MS: Final = {"s": 1_000, "m": MINUTE_MS, "h": 60 * MINUTE_MS}  # ms

DEFAULTS: Final[Mapping[LimitKind, RateLimit]] = {
    LimitKind.CHANNEL: RateLimit(count=600_000, window=MINUTE_MS),
    LimitKind.ELEMENT: RateLimit(count=60, window=10 * MINUTE_MS),
    LimitKind.CREDENTIAL: RateLimit(count=60, window=60 * MINUTE_MS),
    LimitKind.NETWORK: RateLimit(count=1_200_000, window=MINUTE_MS),
    LimitKind.VISITOR: RateLimit(count=600, window=MINUTE_MS),
    LimitKind.ENROLMENT: RateLimit(count=30, window=MINUTE_MS),
    LimitKind.CALLER: RateLimit(count=3_000, window=MINUTE_MS),
    LimitKind.HOLDER: RateLimit(count=6_000, window=MINUTE_MS),
    LimitKind.CONTACT: RateLimit(count=10, window=60 * MINUTE_MS),
}
"""Far above what any honest sender needs; an operator lowers them: `tallystick limits set`."""

_RULE: Final = re.compile(r"([1-9]\d{0,8})/([1-9]\d{0,4})([smh])")


class _Window(NamedTuple):
    """What was counted in one window, by bucket: as the store knows it, and since."""

    ends_at: Millis
    stored: dict[bytes, int]
    fresh: dict[bytes, int]


class Limiter:
    """Count against the limits (`channels.ports.Counter`); one for a process.

    `secret` mixes subjects into buckets: without it nobody can choose two that share one.
    """

    def __init__(self, clock: Clock, secret: bytes, limits: Mapping[LimitKind, RateLimit] = DEFAULTS) -> None:
        self._clock = clock
        self._secret = secret
        self._limits = dict(limits)
        self._windows: dict[tuple[LimitKind, int], _Window] = {}
        self._bucket_named = functools.lru_cache(maxsize=NAMED_MAX)(self._bucket)
        self.refused: Counter[LimitKind] = Counter()
        """How many were refused since this process began."""

    def count(self, kind: LimitKind, subject: str | bytes) -> None:
        """Count one; raises TooMany when the limit of this window is passed, with the time until the next one.

        What is refused is not counted on: a flood makes no number grow.
        """
        limit, now = self._limits[kind], self._clock.now()
        start = now - now % limit.window
        window = self._window(kind, start, Millis(start + limit.window))
        bucket = self._bucket(subject) if isinstance(subject, bytes) else self._bucket_named(subject.encode())
        more = window.fresh.get(bucket, 0)
        if window.stored.get(bucket, 0) + more >= limit.count:
            self.refused[kind] += 1
            raise TooMany("too many requests in this time", wait_ms=start + limit.window - now)
        window.fresh[bucket] = more + 1

    def limit(self, kind: LimitKind) -> RateLimit:
        """Return the limit of a kind that holds now."""
        return self._limits[kind]

    def uncounted(self) -> list[Tally]:
        """Return what was counted and the store does not know yet, and forget windows that are over."""
        now = self._clock.now()
        for key in [key for key, window in self._windows.items() if window.ends_at <= now]:
            del self._windows[key]
        return [
            Tally(kind=kind, subject=bucket, window=Millis(start), ends_at=window.ends_at, count=count)
            for (kind, start), window in self._windows.items()
            for bucket, count in window.fresh.items()
        ]

    def merge(self, added: Tally, total: int) -> None:
        """Take the store's count for what was added to it; what was counted meanwhile still counts on top."""
        window = self._window(added.kind, added.window, added.ends_at)
        window.stored[added.subject] = total
        left = window.fresh.pop(added.subject, 0) - added.count
        if left > 0:
            window.fresh[added.subject] = left

    def _window(self, kind: LimitKind, start: int, ends_at: Millis) -> _Window:
        window = self._windows.get((kind, start))
        if window is None:
            window = self._windows[kind, start] = _Window(ends_at, {}, {})
        return window

    def apply(self, limits: Mapping[LimitKind, RateLimit]) -> None:
        """Count against other limits from now on; a kind whose window has another length now begins anew."""
        self._limits = dict(limits)

    def _bucket(self, subject: bytes) -> bytes:
        mixed = hashlib.blake2b(subject, digest_size=4, key=self._secret).digest()
        return (int.from_bytes(mixed) % BUCKETS).to_bytes(3)


async def count_try(book: LimitBook, kind: LimitKind, limit: RateLimit, subject: bytes, now: Millis) -> None:
    """Count one try with a card or account, or one code sent, in the caller's transaction; TooMany over the limit.

    The try is counted before anybody checks it. Over the limit the payment at hand ends, the card stays as it is: in
    the next window it can pay again.
    """
    window = Millis(now - now % limit.window)
    ends_at = Millis(window + limit.window)
    tally = Tally(kind=kind, subject=subject, window=window, ends_at=ends_at, count=1)
    if await book.add_tally(tally) > limit.count:
        raise TooMany("this was tried too often", wait_ms=ends_at - now)


async def present(book: LimitBook, keys: AccessKeys) -> dict[LimitKind, RateLimit]:
    """Return the limits that hold: those an operator set, and those built in; Misconfigured for an edited row."""
    rules = await book.limit_rules()
    if rules is None:
        return dict(DEFAULTS)
    rows.check(keys, rules)
    return {**DEFAULTS, **rules.limits}


async def change(
    book: LimitBook, keys: AccessKeys, kind: LimitKind, limit: RateLimit, *, author: str, at: Millis
) -> None:
    """Set one limit; Misconfigured when the row of those set before was edited."""
    limits = {**await present(book, keys), kind: limit}
    await book.put_limit_rules(rows.protect(keys, LimitRules(limits=limits, author=author, at=at)))


async def renew(book: LimitBook, keys: AccessKeys) -> bool:
    """Protect the limits under the active key when an older one does; True if that was done. Misconfigured."""
    rules = await book.limit_rules()
    if rules is None or rows.key_of(keys, rules.mac) == keys.active():
        return False
    rows.check(keys, rules)
    await book.put_limit_rules(rows.protect(keys, rules))
    return True


def read_limit(text: str) -> RateLimit:
    """Read a limit as people write it, `60/10m`; FieldInvalid for another form, or one without bound."""
    found = _RULE.fullmatch(text)
    if found is None:
        raise FieldInvalid("a limit is a number, a slash and a time: 60/10m", field="limit")
    limit = RateLimit(count=int(found[1]), window=int(found[2]) * UNITS_MS[found[3]])
    if limit.count > COUNT_MAX or not WINDOW_MIN_MS <= limit.window <= WINDOW_MAX_MS:
        raise FieldInvalid(f"a limit is at most {COUNT_MAX} in a window of a day", field="limit")
    return limit


def write_limit(limit: RateLimit) -> str:
    """Write a limit as people read it."""
    unit, length = next((u, ms) for u, ms in reversed(UNITS_MS.items()) if limit.window % ms == 0)
    return f"{limit.count}/{limit.window // length}{unit}"
