"""Dynamic numbers and user names, for all that may come."""

import asyncio
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tallystick.assembly.element import institution_element
from tallystick.errors import FieldInvalid, StoreFailed
from tallystick.runtime import Millis
from tallystick.security.ports import Purpose
from tallystick.testing.desk import BANK, BreakingStore, VaultDesk
from tallystick.testing.inbox import waiting_notices
from tallystick.vault.model import Contact
from tallystick.vault.notices import open_notice
from tallystick.vault.periods import period_at
from tallystick.vault.users import normal_username

HOUR_MS = 3_600_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns")
TIMES = st.times().map(lambda time: f"{time:%H:%M}")
MOMENTS = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2040, 1, 1)).map(  # noqa: DTZ001  # UTC below
    lambda moment: Millis(int(moment.replace(tzinfo=dt.UTC).timestamp()) * 1000)
)


@given(zone=st.sampled_from(ZONES), renew_at=TIMES, now=MOMENTS)
def test_every_moment_lies_in_one_period_and_the_next_begins_where_it_ends(
    zone: str, renew_at: str, now: Millis
) -> None:
    back_end = replace(BANK, zone=zone, renew_at=renew_at)
    period = period_at(back_end, now)
    assert period.begins <= now < period.ends
    assert period == period_at(back_end, period.begins)
    assert period == period_at(back_end, Millis(period.ends - 1))
    following = period_at(back_end, period.ends)
    assert period.ends == following.begins
    assert dt.date.fromisoformat(following.id) - dt.date.fromisoformat(period.id) == dt.timedelta(days=1)
    assert 22 * HOUR_MS <= period.ends - period.begins <= 26 * HOUR_MS


@settings(max_examples=40, deadline=None)
@given(
    users=st.integers(0, 5),
    batch=st.integers(1, 3),
    crashes=st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=4),
)
def test_whatever_crashes_each_user_has_one_number_of_the_period_and_one_notice(
    users: int, batch: int, crashes: list[tuple[int, bool]]
) -> None:
    asyncio.run(_renew_through(users, batch, crashes))


async def _renew_through(users: int, batch: int, crashes: list[tuple[int, bool]]) -> None:
    desk = VaultDesk()
    enrolled = [await desk.enrol(f"u{n}", contact=Contact(email=f"u{n}@example.org")) for n in range(users)]
    whole = desk.store
    for breaks_at, late in crashes:
        desk.store = BreakingStore(whole, breaks_at, late=late)
        try:
            await desk.renew(batch=batch)
        except StoreFailed:
            continue
    desk.store = whole
    await desk.renew(batch=batch)
    owners = []
    for notice in await waiting_notices(whole):
        number = open_notice(desk.keyring, notice).text.partition(" is ")[2][:8]
        element = institution_element(desk.keyring.readable(Purpose.BLIND_INDEX), BANK.id, number)
        claim = await whole.transact(lambda book, element=element: book.claim(element, desk.clock.now()))
        assert claim is not None
        owners.append(claim.user_id)
    assert sorted(enrolled) == sorted(owners)


@given(st.text(max_size=70))
def test_a_normal_user_name_is_its_own_normal_form(username: str) -> None:
    try:
        normal = normal_username(username)
    except FieldInvalid:
        return
    assert normal == normal_username(normal)


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20))
def test_the_case_of_a_user_name_does_not_matter(username: str) -> None:
    try:
        normal = normal_username(username)
    except FieldInvalid:
        pytest.skip("too long once folded")
    assert normal == normal_username(username.casefold())
