"""Dynamic numbers: renewal on schedule, numbers of the back end, values of the back end."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tallystick import limits
from tallystick.assembly.element import backend_element, institution_element
from tallystick.assembly.model import Claim, Element
from tallystick.errors import AlreadyExists, FieldInvalid, Forbidden, NotFound, StoreFailed, Unavailable
from tallystick.routing.model import BackEnd, NumberPolicy
from tallystick.runtime import Millis, SystemRandomness
from tallystick.security.ports import Purpose
from tallystick.testing.desk import BANK, CONTACT, BreakingStore, VaultDesk
from tallystick.testing.inbox import waiting_notices
from tallystick.vault.model import Contact, Medium, Notice, Numbering
from tallystick.vault.notices import open_notice
from tallystick.vault.numbers import Renewal, issue_value, progress, renew, set_by_back_end
from tallystick.vault.periods import period_at

BY_MAIL = Contact(email="payer@example.org")
DAY_MS = 86_400_000
OWN_NUMBERS = replace(BANK, numbers=NumberPolicy.BACK_END)


class Digits(SystemRandomness):
    """Draw the given numbers first, then random ones."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)

    def below(self, bound: int) -> int:
        return self._numbers.pop(0) if self._numbers else super().below(bound)


@pytest.fixture
def desk() -> VaultDesk:
    return VaultDesk()


async def claim_of(desk: VaultDesk, number: str, now: int) -> Claim | None:
    element = institution_element(desk.keyring.readable(Purpose.BLIND_INDEX), BANK.id, number)
    return await desk.store.transact(lambda book: book.claim(element, Millis(now)))


async def outbox(desk: VaultDesk) -> list[Notice]:
    return await waiting_notices(desk.store)


async def told(desk: VaultDesk) -> list[tuple[Medium, str, str]]:
    """Take all notices out of the outbox: medium, address, number."""
    messages = []
    for notice in await outbox(desk):
        message = open_notice(desk.keyring, notice)
        number = re.search(r"is (\d{8})\.", message.text)
        assert number is not None
        messages.append((notice.medium, message.address, number[1]))
        await desk.store.transact(lambda book, done=notice.id: book.drop_notice(done))
    return messages


async def draw(desk: VaultDesk, *numbers: int) -> Renewal:
    return await renew(desk.store, desk.keyring, desk.clock, Digits(*numbers), back_end=BANK, batch=9)


def backend_value(desk: VaultDesk) -> Element:
    return backend_element(desk.keyring.readable(Purpose.BLIND_INDEX), BANK.id, "member-4711-xyz")


async def test_each_enrolled_user_gets_one_number_by_every_way_the_contact_names(desk: VaultDesk) -> None:
    both, by_mail = await desk.enrol("both"), await desk.enrol("mail", contact=Contact(email="mail@example.org"))
    made = await desk.renew(batch=1)
    messages = await told(desk)
    assert made == Renewal(made=2, unreachable=0)
    assert {(medium, address) for medium, address, _ in messages} == {
        (Medium.SMS, CONTACT.phone),
        (Medium.EMAIL, CONTACT.email),
        (Medium.EMAIL, "mail@example.org"),
    }
    owners = {address: await claim_of(desk, number, desk.clock.now()) for _, address, number in messages}
    assert owners[CONTACT.phone] == owners[CONTACT.email] == Claim(institution=BANK.id, user_id=both)
    assert owners["mail@example.org"] == Claim(institution=BANK.id, user_id=by_mail)


async def test_a_second_renewal_in_the_period_changes_nothing(desk: VaultDesk) -> None:
    await desk.enrol()
    assert (await desk.renew()).made == 1
    assert (await desk.renew()).made == 0
    assert len(await told(desk)) == 2


async def test_one_call_makes_about_as_many_as_it_may_and_says_that_there_are_more(desk: VaultDesk) -> None:
    for n in range(3):
        await desk.enrol(f"user{n}")
    told: list[int] = []

    async def some() -> Renewal:
        return await renew(
            desk.store,
            desk.keyring,
            desk.clock,
            desk.randomness,
            back_end=BANK,
            batch=1,
            most=2,
            tell=told.append,
        )

    assert await some() == Renewal(made=2, unreachable=0, more=True)
    assert await some() == Renewal(made=1, unreachable=0)
    assert [1, 1, 1, 0] == told


async def test_between_two_batches_the_store_is_free_for_as_long_as_one_took(desk: VaultDesk) -> None:
    for n in range(3):
        await desk.enrol(f"user{n}")
    whole, began = desk.store, desk.clock.now()

    class Slow:
        async def transact(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
            result = await whole.transact(work)
            desk.clock.pass_by(40)
            return result

    desk.store = Slow()
    await desk.renew(batch=2)
    assert 2 * 40 + 40 == desk.clock.now() - began


async def test_progress_counts_who_has_a_number_of_the_period_and_who_waits(desk: VaultDesk) -> None:
    async def counted(back_end: BackEnd = BANK) -> Numbering:
        now = desk.clock.now()
        return await desk.store.transact(lambda book: progress(book, back_end=back_end, now=now))

    await desk.enrol("one")
    await desk.renew()
    await desk.enrol("two")
    assert Numbering(made=1, left=1) == await counted()
    desk.clock.time = period_at(BANK, desk.clock.now()).ends
    assert Numbering(made=0, left=2) == await counted()
    assert Numbering(made=0, left=0) == await counted(OWN_NUMBERS)


async def test_a_first_number_goes_out_before_those_of_a_renewal(desk: VaultDesk) -> None:
    await desk.enrol("old", contact=BY_MAIL)
    await desk.renew()
    assert [True] == [notice.urgent for notice in await outbox(desk)]
    await told(desk)
    desk.clock.pass_by(DAY_MS)
    await desk.renew()
    assert [False] == [notice.urgent for notice in await outbox(desk)]


async def test_a_clock_that_goes_back_a_day_makes_no_second_number(desk: VaultDesk) -> None:
    await desk.enrol()
    await desk.renew()
    desk.clock.pass_by(-DAY_MS)
    assert (await desk.renew()).made == 0


async def test_whoever_enrols_during_the_period_gets_a_number_at_the_next_call(desk: VaultDesk) -> None:
    await desk.renew()
    await desk.enrol("late")
    assert (await desk.renew()).made == 1


async def test_the_earlier_number_ends_after_the_overlap_and_the_new_one_after_the_period(desk: VaultDesk) -> None:
    user_id = await desk.enrol(contact=BY_MAIL)
    await desk.renew()
    ((_, _, first),) = await told(desk)
    next_day = period_at(BANK, desk.clock.now()).ends
    # A late renewal, so that the overlap counts from the renewal and not from the boundary.
    late = Millis(next_day + 60_000)
    desk.clock.time = late
    await desk.renew()
    ((_, _, second),) = await told(desk)
    end_of_first = next_day + limits.NUMBER_OVERLAP_MS
    end_of_second = period_at(BANK, late).ends + limits.NUMBER_OVERLAP_MS
    owner = Claim(institution=BANK.id, user_id=user_id)
    assert [owner, None] == [await claim_of(desk, first, at) for at in (end_of_first - 1, end_of_first)]
    assert [owner, None] == [await claim_of(desk, second, at) for at in (end_of_second - 1, end_of_second)]


async def test_a_number_in_use_at_the_institution_is_drawn_again(desk: VaultDesk) -> None:
    await desk.enrol("one", contact=Contact(email="one@example.org"))
    await desk.enrol("two", contact=Contact(email="two@example.org"))
    await draw(desk, 7, 7, 7, 8)
    assert sorted(number for _, _, number in await told(desk)) == ["00000007", "00000008"]


async def test_when_no_free_number_is_drawn_the_batch_waits_and_nothing_of_it_stays(desk: VaultDesk) -> None:
    await desk.enrol("one")
    await desk.enrol("two")
    with pytest.raises(Unavailable):
        await draw(desk, *[7] * 30)
    assert await told(desk) == []
    assert (await draw(desk, 7, 8)).made == 2


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("breaks_at", range(3))
async def test_a_crash_midway_loses_no_number_and_doubles_none(desk: VaultDesk, breaks_at: int, *, late: bool) -> None:
    users = [await desk.enrol(f"user{n}", contact=Contact(email=f"user{n}@example.org")) for n in range(4)]
    whole, desk.store = desk.store, BreakingStore(desk.store, breaks_at, late=late)
    with pytest.raises(StoreFailed):
        await desk.renew(batch=2)
    desk.store = whole
    await desk.renew(batch=2)
    messages = await told(desk)
    owners = [await claim_of(desk, number, desk.clock.now()) for _, _, number in messages]
    assert sorted(users) == sorted(owner.user_id for owner in owners)


async def test_a_damaged_contact_holds_nobody_up(desk: VaultDesk) -> None:
    user_id = await desk.enrol("one", contact=Contact(email="one@example.org"))
    user = await desk.store.transact(lambda book: book.user(user_id))
    stored = await desk.store.transact(lambda book: book.credential(user_id, BANK.id))
    assert user is not None
    assert stored is not None
    # The sealed contact of one user does not open under the id of another.
    lost = replace(user, id="usr_lost", name_digest=b"lost")
    await desk.store.transact(lambda book: book.add_user(lost))
    await desk.store.transact(lambda book: book.put_credential(replace(stored, user_id="usr_lost")))
    assert await desk.renew() == Renewal(made=2, unreachable=1)
    assert len(await told(desk)) == 1


async def test_a_notice_names_institution_number_and_validity_and_never_a_card(desk: VaultDesk) -> None:
    await desk.enrol("payer", contact=Contact(phone="+4915112345678"))
    await desk.renew()
    (notice,) = await outbox(desk)
    text = open_notice(desk.keyring, notice).text
    assert "Example Bank" in text
    assert "12345678" in text
    assert "2026-01-02 04:00 (Europe/Berlin)" in text
    assert re.search(r"(\d[ -]?){12,}", text) is None
    assert len(text) <= 2 * 153  # two linked messages of the GSM alphabet


@pytest.mark.parametrize("policy", [NumberPolicy.NONE, NumberPolicy.BACK_END])
async def test_only_numbers_of_the_platform_are_renewed(desk: VaultDesk, policy: NumberPolicy) -> None:
    await desk.enrol()
    assert (await desk.renew(replace(BANK, numbers=policy))).made == 0


@pytest.mark.parametrize(("tell", "notices"), [(True, 1), (False, 0)])
async def test_a_back_end_may_choose_the_number_itself(desk: VaultDesk, notices: int, *, tell: bool) -> None:
    user_id = await desk.enrol(contact=BY_MAIL)
    for number in ("11112222", "33334444"):
        await set_by_back_end(
            desk.store,
            desk.keyring,
            desk.randomness,
            back_end=OWN_NUMBERS,
            user_id=user_id,
            number=number,
            now=desk.clock.now(),
            tell=tell,
        )
    owner = Claim(institution=BANK.id, user_id=user_id)
    assert await claim_of(desk, "33334444", desk.clock.now() + limits.NUMBER_OVERLAP_MS) == owner
    assert await claim_of(desk, "11112222", desk.clock.now() + limits.NUMBER_OVERLAP_MS) is None
    assert len(await told(desk)) == 2 * notices


async def test_a_back_end_sets_no_number_that_is_in_use_or_for_nobody_or_against_the_policy(desk: VaultDesk) -> None:
    one, two = await desk.enrol("one"), await desk.enrol("two")

    async def set_number(back_end: BackEnd, user_id: str, number: str) -> None:
        await set_by_back_end(
            desk.store,
            desk.keyring,
            desk.randomness,
            back_end=back_end,
            user_id=user_id,
            number=number,
            now=desk.clock.now(),
            tell=False,
        )

    await set_number(OWN_NUMBERS, one, "11112222")
    with pytest.raises(AlreadyExists):
        await set_number(OWN_NUMBERS, two, "11112222")
    with pytest.raises(NotFound):
        await set_number(OWN_NUMBERS, "usr_nobody", "33334444")
    with pytest.raises(Forbidden):
        await set_number(BANK, two, "33334444")
    with pytest.raises(FieldInvalid):
        await set_number(OWN_NUMBERS, two, "333")


async def test_a_value_of_the_back_end_stands_for_its_payer_until_it_ends(desk: VaultDesk) -> None:
    element = backend_value(desk)
    until = Millis(desk.clock.now() + 1000)
    await issue_value(desk.store, element=element, user_id="usr_one", now=desk.clock.now(), valid_until=until)
    found = [await desk.store.transact(lambda book, at=at: book.claim(element, at)) for at in (desk.clock.now(), until)]
    assert found == [Claim(institution=BANK.id, user_id="usr_one"), None]


async def test_a_value_of_the_back_end_that_is_over_or_no_value_is_refused(desk: VaultDesk) -> None:
    value = backend_value(desk)
    number = institution_element(desk.keyring.readable(Purpose.BLIND_INDEX), BANK.id, "12345678")
    for element, until in ((value, desk.clock.now()), (number, Millis(desk.clock.now() + 1))):
        with pytest.raises(FieldInvalid):
            await issue_value(desk.store, element=element, user_id=None, now=desk.clock.now(), valid_until=until)


async def test_a_renewal_leaves_values_of_the_back_end_alone(desk: VaultDesk) -> None:
    user_id = await desk.enrol()
    element = backend_value(desk)
    later = Millis(desk.clock.now() + 1_000_000_000)
    await issue_value(desk.store, element=element, user_id=user_id, now=desk.clock.now(), valid_until=later)
    await desk.renew()
    assert await desk.store.transact(lambda book: book.claim(element, Millis(later - 1))) is not None
