"""When dynamic numbers are renewed: each day at a set local time (patent claim 7)."""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tallystick.errors import Misconfigured
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis

ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """The time between two renewals; `id` is the local date on which it begins, `ends` is the next one's `begins`."""

    id: str
    begins: Millis
    ends: Millis


def period_at(back_end: BackEnd, now: Millis) -> Period:
    """Find the period of a back end's dynamic numbers that `now` lies in.

    Every local date has exactly one boundary, also where clocks change: a time that the spring change skips counts as
    the same instant by the old offset, a time that the autumn change repeats counts the first time it comes (PEP 495).

    Raises:
        Misconfigured: `zone` is no zone of the tz database, or `renew_at` is not HH:MM: the operator corrects it.
    """
    zone, at = _zone(back_end.zone), _time(back_end.renew_at)
    day = dt.datetime.fromtimestamp(now / 1000, zone).date()
    while _boundary(day, at, zone) > now:
        day -= ONE_DAY
    while _boundary(day + ONE_DAY, at, zone) <= now:
        day += ONE_DAY
    return Period(day.isoformat(), _boundary(day, at, zone), _boundary(day + ONE_DAY, at, zone))


def local_time(back_end: BackEnd, moment: Millis) -> str:
    """Write a moment for people, in the back end's zone; raises Misconfigured as `period_at` does."""
    local = dt.datetime.fromtimestamp(moment / 1000, _zone(back_end.zone))
    return f"{local:%Y-%m-%d %H:%M} ({back_end.zone})"


def _boundary(day: dt.date, at: dt.time, zone: ZoneInfo) -> Millis:
    return Millis(int(dt.datetime.combine(day, at, zone).timestamp()) * 1000)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        raise Misconfigured("a back end's zone is not in the tz database") from unknown


def _time(renew_at: str) -> dt.time:
    try:
        return dt.datetime.strptime(renew_at, "%H:%M").replace(tzinfo=dt.UTC).time()
    except ValueError as malformed:
        raise Misconfigured("a back end's renew_at is not HH:MM") from malformed
