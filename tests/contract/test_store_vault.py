"""What every store promises about users, tries, credentials, dynamic numbers and notices."""

import asyncio

import pytest
from store_samples import AnyStore, at, credential, notice, user

from tallystick.errors import AlreadyExists, StoreFailed
from tallystick.vault.model import Medium, User

WINDOW_MS = 1_000


async def add_users(store: AnyStore, *user_ids: str) -> None:
    for user_id in user_ids:
        await store.transact(lambda books, user_id=user_id: books.add_user(user(user_id)))


async def count(store: AnyStore, now: int, user_id: str = "usr_1") -> int:
    return await store.transact(lambda books: books.count_try(user_id, at(now), WINDOW_MS))


async def without_number(store: AnyStore, period: str, limit: int = 10, institution: str = "12345678") -> list[str]:
    return await store.transact(lambda books: books.enrolled_without_number(institution, period, limit))


async def note_number(store: AnyStore, user_id: str, period: str, institution: str = "12345678") -> bool:
    return await store.transact(lambda books: books.note_number(institution, user_id, period))


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


async def test_users_without_a_number_of_the_period_are_listed_until_it_is_noted(store: AnyStore) -> None:
    await add_users(store, "usr_1", "usr_2", "usr_3", "usr_4")
    for user_id in ("usr_1", "usr_2", "usr_3"):
        await store.transact(lambda books, user_id=user_id: books.put_credential(credential(user_id)))
    await store.transact(lambda books: books.put_credential(credential("usr_4", "87654321")))

    assert len(await without_number(store, "mon", limit=2)) == 2
    assert await note_number(store, "usr_2", "mon") is True
    assert await note_number(store, "usr_2", "mon") is False
    assert sorted(await without_number(store, "mon")) == ["usr_1", "usr_3"]
    assert sorted(await without_number(store, "tue")) == ["usr_1", "usr_2", "usr_3"]
    assert await without_number(store, "mon", institution="87654321") == ["usr_4"]


async def test_the_period_before_the_present_one_is_still_remembered(store: AnyStore) -> None:
    await add_users(store, "usr_1")
    await store.transact(lambda books: books.put_credential(credential()))
    for period in ("mon", "tue", "wed"):
        assert await note_number(store, "usr_1", period) is True

    assert [False, False] == [await note_number(store, "usr_1", period) for period in ("tue", "wed")]
    assert [[], []] == [await without_number(store, period) for period in ("tue", "wed")]


async def test_of_twenty_that_note_a_number_at_once_exactly_one_wins(store: AnyStore) -> None:
    outcomes = await asyncio.gather(*(note_number(store, "usr_1", "mon") for _ in range(20)))
    assert outcomes.count(True) == 1


async def test_due_notices_come_longest_due_first_and_leave_when_dropped(store: AnyStore) -> None:
    rows = [notice("ntc_b", due_at=1_500), notice("ntc_a", due_at=1_000, medium=Medium.EMAIL, attempts=3)]
    for row in (*rows, notice("ntc_later", due_at=2_001)):
        await store.transact(lambda books, row=row: books.add_notice(row))

    assert await store.transact(lambda books: books.due_notices(at(2_000), 10)) == [rows[1], rows[0]]
    assert await store.transact(lambda books: books.due_notices(at(2_000), 1)) == [rows[1]]
    await store.transact(lambda books: books.drop_notice("ntc_a"))
    await store.transact(lambda books: books.drop_notice("ntc_a"))
    assert await store.transact(lambda books: books.due_notices(at(2_000), 10)) == [rows[0]]


async def test_a_delayed_notice_counts_the_attempt_and_waits(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_notice(notice()))
    await store.transact(lambda books: books.delay_notice("ntc_1", at(3_000)))
    await store.transact(lambda books: books.delay_notice("ntc_none", at(3_000)))

    assert await store.transact(lambda books: books.due_notices(at(2_999), 10)) == []
    assert await store.transact(lambda books: books.due_notices(at(3_000), 10)) == [notice(due_at=3_000, attempts=1)]


async def test_a_notice_id_is_never_used_twice(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_notice(notice()))

    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_notice(notice(sealed=b"other")))
