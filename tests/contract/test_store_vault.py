"""What every store promises about users, tries, credentials, dynamic numbers and notices."""

import asyncio

import pytest
from store_samples import AnyStore, at, credential, notice, user

from tallystick.errors import AlreadyExists, StoreFailed
from tallystick.vault.model import Due, Medium, Notice, Numbering, User

WINDOW_MS = 1_000
BANK, OTHER_BANK = "12345678", "87654321"
MONDAY, TUESDAY = "2026-01-05", "2026-01-06"


async def add_users(store: AnyStore, *user_ids: str) -> None:
    for user_id in user_ids:
        await store.transact(lambda books, user_id=user_id: books.add_user(user(user_id)))


async def count(store: AnyStore, now: int, user_id: str = "usr_1") -> int:
    return await store.transact(lambda books: books.count_try(user_id, at(now), WINDOW_MS))


async def enrol(store: AnyStore, *user_ids: str, institution: str = BANK) -> None:
    for user_id in user_ids:
        row = credential(user_id, institution)
        await store.transact(lambda books, row=row: books.put_credential(row))


async def due(
    store: AnyStore, period: str, after: Due | None = None, limit: int = 10, institution: str = BANK
) -> list[Due]:
    return await store.transact(lambda books: books.due_numbers(institution, period, after, limit))


async def note_number(store: AnyStore, user_id: str, period: str, institution: str = BANK) -> bool:
    return await store.transact(lambda books: books.note_number(institution, user_id, period))


async def due_notices(store: AnyStore, now: int, limit: int = 10, medium: Medium = Medium.SMS) -> list[Notice]:
    return await store.transact(lambda books: books.due_notices(medium, at(now), limit))


async def test_a_user_is_found_by_id_and_by_name(store: AnyStore) -> None:
    row = user("usr_1", name_digest=b"\x00name", verifier=b"\xff")
    await store.transact(lambda books: books.add_user(row))

    assert await store.transact(lambda books: books.user("usr_1")) == row
    assert await store.transact(lambda books: books.user_named((b"absent", b"\x00name"))) == row
    assert await store.transact(lambda books: books.user("usr_2")) is None
    assert await store.transact(lambda books: books.user_named((b"name",))) is None


@pytest.mark.parametrize("second", [user("usr_2", name_digest=b"usr_1"), user("usr_1", name_digest=b"other")])
async def test_a_user_needs_a_name_and_an_id_of_its_own(store: AnyStore, second: User) -> None:
    await add_users(store, "usr_1")

    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_user(second))
    assert await store.transact(lambda books: books.user("usr_1")) == user("usr_1")


async def test_tries_are_counted_from_the_first_one_until_the_window_ends(store: AnyStore) -> None:
    assert [1, 2, 3, 1, 2] == [await count(store, now) for now in (5_000, 5_500, 5_999, 6_000, 6_999)]
    assert await count(store, 6_999, "usr_2") == 1


async def test_a_clock_that_goes_back_takes_no_try_away(store: AnyStore) -> None:
    assert [1, 2, 3] == [await count(store, now) for now in (5_000, 4_000, 5_001)]


async def test_tries_at_once_are_each_counted(store: AnyStore) -> None:
    assert sorted(await asyncio.gather(*(count(store, 5_000) for _ in range(20)))) == list(range(1, 21))


async def test_a_right_password_forgets_the_tries_of_that_user_only(store: AnyStore) -> None:
    for user_id in ("usr_1", "usr_1", "usr_2"):
        await count(store, 5_000, user_id)
    await store.transact(lambda books: books.clear_tries("usr_1"))
    await store.transact(lambda books: books.clear_tries("usr_none"))

    assert await count(store, 5_001, "usr_1") == 1
    assert await count(store, 5_001, "usr_2") == 2


async def test_a_credential_is_stored_for_each_institution_and_replaced(store: AnyStore) -> None:
    await add_users(store, "usr_1", "usr_2")
    first, second = credential(sealed=b"first"), credential(sealed=b"second", created_at=2_000)
    other = credential(institution="87654321", sealed=b"other")
    for row in (first, other, second):
        await store.transact(lambda books, row=row: books.put_credential(row))

    assert await store.transact(lambda books: books.credential("usr_1", "12345678")) == second
    assert await store.transact(lambda books: books.credential("usr_1", "87654321")) == other
    assert await store.transact(lambda books: books.credential("usr_2", "12345678")) is None


async def test_a_credential_of_nobody_is_refused(store: AnyStore) -> None:
    with pytest.raises(StoreFailed):
        await store.transact(lambda books: books.put_credential(credential("usr_none")))


async def test_users_whose_number_is_due_are_listed_until_it_is_noted(store: AnyStore) -> None:
    await add_users(store, "usr_1", "usr_2", "usr_3", "usr_4")
    await enrol(store, "usr_1", "usr_2", "usr_3")
    await enrol(store, "usr_4", institution=OTHER_BANK)

    assert [Due("usr_1", ""), Due("usr_2", "")] == await due(store, MONDAY, limit=2)
    assert await note_number(store, "usr_2", MONDAY) is True
    assert await note_number(store, "usr_2", MONDAY) is False
    assert [Due("usr_1", ""), Due("usr_3", "")] == await due(store, MONDAY)
    assert [Due("usr_1", ""), Due("usr_3", ""), Due("usr_2", MONDAY)] == await due(store, TUESDAY)
    assert [Due("usr_4", "")] == await due(store, MONDAY, institution=OTHER_BANK)


async def test_the_list_of_the_due_goes_on_from_behind_where_it_was(store: AnyStore) -> None:
    await add_users(store, "usr_1", "usr_2", "usr_3")
    await enrol(store, "usr_1", "usr_2", "usr_3")
    await note_number(store, "usr_1", MONDAY)

    first = await due(store, TUESDAY, limit=2)
    assert [Due("usr_2", ""), Due("usr_3", "")] == first
    assert [Due("usr_1", MONDAY)] == await due(store, TUESDAY, first[-1])
    assert [] == await due(store, TUESDAY, Due("usr_1", MONDAY))


async def test_numbers_never_go_back_to_an_earlier_period(store: AnyStore) -> None:
    await add_users(store, "usr_1")
    await enrol(store, "usr_1")
    assert await note_number(store, "usr_1", TUESDAY) is True

    assert await note_number(store, "usr_1", MONDAY) is False
    assert [] == await due(store, MONDAY)


async def test_a_credential_that_is_replaced_makes_no_number_due(store: AnyStore) -> None:
    await add_users(store, "usr_1")
    await enrol(store, "usr_1")
    await note_number(store, "usr_1", MONDAY)
    await enrol(store, "usr_1")

    assert [] == await due(store, MONDAY)


async def test_nobody_has_a_number_at_an_institution_without_a_credential(store: AnyStore) -> None:
    await add_users(store, "usr_1")

    assert await note_number(store, "usr_1", MONDAY) is False
    assert [] == await due(store, MONDAY)


async def test_numbers_made_and_due_are_counted_by_institution(store: AnyStore) -> None:
    await add_users(store, "usr_1", "usr_2", "usr_3", "usr_4")
    await enrol(store, "usr_1", "usr_2", "usr_3")
    await enrol(store, "usr_4", institution=OTHER_BANK)
    await note_number(store, "usr_1", MONDAY)
    await note_number(store, "usr_2", TUESDAY)

    for period, made, left in (("", 3, 0), (MONDAY, 2, 1), (TUESDAY, 1, 2)):
        found = await store.read(lambda books, period=period: books.count_numbers(BANK, period))
        assert Numbering(made=made, left=left) == found


async def test_of_twenty_that_note_a_number_at_once_exactly_one_wins(store: AnyStore) -> None:
    await add_users(store, "usr_1")
    await enrol(store, "usr_1")
    outcomes = await asyncio.gather(*(note_number(store, "usr_1", MONDAY) for _ in range(20)))
    assert outcomes.count(True) == 1


async def test_a_step_of_an_app_is_used_once_and_an_earlier_one_never_after_it(store: AnyStore) -> None:
    async def use(user_id: str, step: int) -> bool:
        return await store.transact(lambda books: books.use_code(user_id, step))

    assert [True, False, False, True] == [await use("usr_1", step) for step in (100, 100, 99, 101)]
    assert await use("usr_2", 99) is True


async def test_due_notices_of_a_medium_come_longest_due_first_and_leave_when_dropped(store: AnyStore) -> None:
    rows = [notice("ntc_b", due_at=1_500), notice("ntc_a", due_at=1_000, attempts=3)]
    mail = notice("ntc_mail", due_at=1_000, medium=Medium.EMAIL)
    for row in (*rows, mail, notice("ntc_later", due_at=2_001)):
        await store.transact(lambda books, row=row: books.add_notice(row))

    assert await due_notices(store, 2_000) == [rows[1], rows[0]]
    assert await due_notices(store, 2_000, 1) == [rows[1]]
    assert await due_notices(store, 2_000, medium=Medium.EMAIL) == [mail]
    await store.transact(lambda books: books.drop_notice("ntc_a"))
    await store.transact(lambda books: books.drop_notice("ntc_a"))
    assert await due_notices(store, 2_000) == [rows[0]]


async def test_urgent_notices_come_before_all_that_are_not(store: AnyStore) -> None:
    rows = [notice("ntc_old", due_at=1), notice("ntc_code", due_at=1_500, urgent=True)]
    for row in (*rows, notice("ntc_later", due_at=2_001, urgent=True)):
        await store.transact(lambda books, row=row: books.add_notice(row))

    assert await due_notices(store, 2_000) == [rows[1], rows[0]]
    assert await due_notices(store, 2_000, 1) == [rows[1]]


async def test_a_delayed_notice_counts_the_attempt_and_waits(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_notice(notice()))
    await store.transact(lambda books: books.delay_notice("ntc_1", at(3_000)))
    await store.transact(lambda books: books.delay_notice("ntc_none", at(3_000)))

    assert await due_notices(store, 2_999) == []
    assert await due_notices(store, 3_000) == [notice(due_at=3_000, attempts=1)]


async def test_held_notices_wait_without_counting_an_attempt(store: AnyStore) -> None:
    for name in ("ntc_1", "ntc_2"):
        await store.transact(lambda books, name=name: books.add_notice(notice(name)))
    await store.transact(lambda books: books.hold_notices(["ntc_1", "ntc_none"], at(3_000)))

    assert await due_notices(store, 2_999) == [notice("ntc_2")]
    assert await due_notices(store, 3_000) == [notice("ntc_2"), notice("ntc_1", due_at=3_000)]


async def test_bookings_of_a_provider_follow_each_other_and_never_begin_in_the_past(store: AnyStore) -> None:
    async def book(now: int, length: int, medium: Medium = Medium.SMS) -> int:
        return await store.transact(lambda books: books.book_pace(medium, at(now), length))

    assert 0 == await store.read(lambda books: books.paced_until(Medium.SMS))
    assert [1_000, 1_500, 1_600, 5_000] == [
        await book(*each) for each in ((1_000, 500), (900, 100), (1_000, 1), (5_000, 7))
    ]
    assert 5_007 == await store.read(lambda books: books.paced_until(Medium.SMS))
    assert 1_000 == await book(1_000, 1, Medium.EMAIL)


async def test_a_notice_id_is_never_used_twice(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_notice(notice()))

    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_notice(notice(sealed=b"other")))
