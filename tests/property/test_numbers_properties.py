"""Dynamic numbers and user names, for all that may come."""

import asyncio
import contextlib
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tallystick import limits
from tallystick.assembly.element import institution_element
from tallystick.errors import FieldInvalid, StoreFailed
from tallystick.runtime import Millis
from tallystick.security.ports import Purpose
from tallystick.testing.desk import BANK, BreakingStore, VaultDesk
from tallystick.testing.inbox import waiting_notices
from tallystick.vault import numbers
from tallystick.vault.model import Contact
from tallystick.vault.notices import open_notice
from tallystick.vault.periods import period_at
from tallystick.vault.users import normal_username

AHEAD = "Pacific/Kiritimati"
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
    asyncio.run(Nights().renew_through(users, batch, crashes))


@settings(max_examples=30, deadline=None)
@given(
    nights=st.lists(
        st.tuples(
            st.integers(0, 3),  # users who enrol
            st.integers(1, 3),  # processes that renew at once
            st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_night_after_night_each_user_has_exactly_one_number_and_the_one_before_for_its_overlap(
    nights: list[tuple[int, int, list[tuple[int, bool]]]],
) -> None:
    asyncio.run(Nights().go_by(nights))


async def _nothing(*_: object) -> str:
    return "00000000"


@pytest.mark.parametrize("planted", ["_end_earlier", "_issue_free"])
def test_the_law_catches_a_number_that_stays_and_one_that_is_told_and_not_issued(
    planted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, planted, _nothing)
    with pytest.raises(AssertionError):
        asyncio.run(Nights().go_by([(1, 1, []), (0, 1, [])]))


class Nights:
    """A vault whose numbers are renewed night after night, and every number that its users were told.

    The second night comes early: the institution moves to where it is the next day already.
    """

    def __init__(self) -> None:
        self.desk = VaultDesk()
        self.bank = replace(BANK, renew_at="00:00")
        self.users: list[str] = []
        self.told: dict[str, list[str]] = {}

    async def renew_through(self, users: int, batch: int, crashes: list[tuple[int, bool]]) -> None:
        await self.enrol(users)
        for breaks_at, late in crashes:
            await self.crash(breaks_at, batch, late=late)
        await self.desk.renew(self.bank, batch)
        await self.judge(period=1)

    async def go_by(self, nights: list[tuple[int, int, list[tuple[int, bool]]]]) -> None:
        for night, (users, processes, crashes) in enumerate(nights, 1):
            await self.enrol(users)
            for breaks_at, late in crashes:
                await self.crash(breaks_at, batch=1, late=late)
            await asyncio.gather(*(self.desk.renew(self.bank, batch=2) for _ in range(processes)))
            await self.judge(period=night)
            if self.bank.zone == AHEAD:
                self.desk.clock.time = period_at(self.bank, self.desk.clock.now()).ends
            self.bank = replace(self.bank, zone=AHEAD)

    async def enrol(self, users: int) -> None:
        for _ in range(users):
            name = f"u{len(self.users)}"
            self.users.append(await self.desk.enrol(name, contact=Contact(email=f"{name}@example.org")))

    async def crash(self, breaks_at: int, batch: int, *, late: bool) -> None:
        whole, self.desk.store = self.desk.store, BreakingStore(self.desk.store, breaks_at, late=late)
        with contextlib.suppress(StoreFailed):
            await self.desk.renew(self.bank, batch)
        self.desk.store = whole

    async def judge(self, period: int) -> None:
        """Assert the law: now a user's last number and the one before it are valid, after the overlap only the last."""
        desk = self.desk
        for notice in await waiting_notices(desk.store):
            number = open_notice(desk.keyring, notice).text.partition(" is ")[2][:8]
            owner = await self.owner(number, desk.clock.now())
            assert owner is not None, "told, and not valid"
            self.told.setdefault(owner, []).append(number)
            await desk.store.transact(lambda book, done=notice.id: book.drop_notice(done))
        assert set(self.users) == set(self.told)
        for user, told in self.told.items():
            assert len(told) <= period, "two numbers in one period"
            now, later = desk.clock.now(), Millis(desk.clock.now() + limits.NUMBER_OVERLAP_MS)
            assert [number for number in told if await self.owner(number, now) == user] == told[-2:]
            assert [number for number in told if await self.owner(number, later) == user] == told[-1:]

    async def owner(self, number: str, now: Millis) -> str | None:
        element = institution_element(self.desk.keyring.readable(Purpose.BLIND_INDEX), BANK.id, number)
        claim = await self.desk.store.transact(lambda book: book.claim(element, now))
        return claim.user_id if claim is not None else None


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
