"""Renewal periods, also on the two nights on which clocks change."""

import datetime as dt

import pytest
from msgspec.structs import replace

from tallystick.errors import Misconfigured
from tallystick.runtime import Millis
from tallystick.testing.desk import BANK
from tallystick.vault.periods import Period, local_time, period_at


def at(text: str) -> Millis:
    return Millis(int(dt.datetime.fromisoformat(text).timestamp()) * 1000)


def test_a_period_begins_at_the_set_local_time_and_is_named_by_its_date() -> None:
    expected = Period("2026-01-01", at("2026-01-01T04:00+01:00"), at("2026-01-02T04:00+01:00"))
    assert expected == period_at(BANK, at("2026-01-01T04:00+01:00"))
    assert expected == period_at(BANK, at("2026-01-02T03:59:59+01:00"))


def test_before_the_set_time_the_period_of_yesterday_goes_on() -> None:
    assert period_at(BANK, at("2026-01-01T03:59+01:00")).id == "2025-12-31"


def test_a_time_that_spring_skips_still_gives_that_date_one_boundary() -> None:
    skipped = replace(BANK, renew_at="02:30")
    begins = at("2026-03-29T03:30+02:00")
    assert period_at(skipped, begins) == Period("2026-03-29", begins, at("2026-03-30T02:30+02:00"))
    assert period_at(skipped, Millis(begins - 1)) == Period("2026-03-28", at("2026-03-28T02:30+01:00"), begins)


def test_a_time_that_autumn_repeats_counts_once_at_its_first_coming() -> None:
    repeated = replace(BANK, renew_at="02:30")
    first, second = at("2026-10-25T02:30+02:00"), at("2026-10-25T02:30+01:00")
    assert period_at(repeated, first) == Period("2026-10-25", first, at("2026-10-26T02:30+01:00"))
    assert period_at(repeated, second) == period_at(repeated, first)
    assert period_at(repeated, Millis(first - 1)).id == "2026-10-24"


def test_a_date_that_a_zone_skipped_makes_no_period_of_its_own() -> None:
    samoa = replace(BANK, zone="Pacific/Apia")
    after = at("2011-12-31T04:00+14:00")
    assert period_at(samoa, after).id == "2011-12-31"
    assert period_at(samoa, Millis(after - 1)).ends == after


@pytest.mark.parametrize(
    ("renew_at", "zone"), [("25:00", "UTC"), ("4", "UTC"), ("04:00", "Mars/Olympus"), ("04:00", "")]
)
def test_a_wrong_zone_or_time_is_the_operators_mistake(renew_at: str, zone: str) -> None:
    with pytest.raises(Misconfigured):
        period_at(replace(BANK, renew_at=renew_at, zone=zone), Millis(0))


def test_a_moment_is_written_in_the_zone_of_the_back_end() -> None:
    assert local_time(BANK, at("2026-07-01T10:00+00:00")) == "2026-07-01 12:00 (Europe/Berlin)"
