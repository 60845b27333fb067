"""What every store promises about issued elements."""

import pytest
from msgspec.structs import replace
from store_samples import AnyStore, at, element

from tallystick.assembly.facts import ElementKind
from tallystick.assembly.model import Claim, Element
from tallystick.errors import AlreadyExists

CODE = element(b"code", ElementKind.CODE)
NUMBER = element(b"number", ElementKind.INSTITUTION, "12345678")
MINE = Claim(institution="12345678", user_id="usr_1")
YOURS = Claim(institution="12345678", user_id="usr_2")


async def issue(store: AnyStore, issued: Element, claim: Claim, valid_from: int, valid_until: int) -> None:
    await store.transact(
        lambda books: books.issue_claim(issued, claim, valid_from=at(valid_from), valid_until=at(valid_until))
    )


async def claimed(store: AnyStore, issued: Element, now: int) -> Claim | None:
    return await store.transact(lambda books: books.claim(issued, at(now)))


async def test_an_element_stands_for_its_claim_from_its_first_until_just_before_its_last_moment(
    store: AnyStore,
) -> None:
    await issue(store, CODE, Claim(payment_id="pay_1"), 1_000, 2_000)

    expected = [None, Claim(payment_id="pay_1"), Claim(payment_id="pay_1"), None]
    assert expected == [await claimed(store, CODE, now) for now in (999, 1_000, 1_999, 2_000)]


async def test_elements_differ_in_kind_digest_and_institution(store: AnyStore) -> None:
    await issue(store, NUMBER, MINE, 0, 1_000)

    assert await claimed(store, NUMBER, 500) == MINE
    assert await claimed(store, element(b"number", ElementKind.BACKEND, "12345678"), 500) is None
    assert await claimed(store, element(b"number", ElementKind.INSTITUTION, "87654321"), 500) is None
    assert await claimed(store, element(b"number", ElementKind.INSTITUTION), 500) is None
    assert await claimed(store, element(b"other", ElementKind.INSTITUTION, "12345678"), 500) is None
    await issue(store, element(b"number", ElementKind.INSTITUTION, "87654321"), YOURS, 0, 1_000)
    assert await claimed(store, NUMBER, 500) == MINE


@pytest.mark.parametrize(("valid_from", "valid_until"), [(500, 1_500), (1_999, 3_000), (1_200, 1_300), (0, 9_000)])
async def test_an_element_is_never_valid_for_two_things_at_once(
    store: AnyStore, valid_from: int, valid_until: int
) -> None:
    await issue(store, NUMBER, MINE, 1_000, 2_000)

    with pytest.raises(AlreadyExists):
        await issue(store, NUMBER, YOURS, valid_from, valid_until)
    with pytest.raises(AlreadyExists):
        await issue(store, NUMBER, Claim(institution="12345678"), valid_from, valid_until)
    assert await claimed(store, NUMBER, 1_500) == MINE


async def test_an_element_may_stand_for_another_thing_right_before_and_after(store: AnyStore) -> None:
    await issue(store, NUMBER, MINE, 1_000, 2_000)
    await issue(store, NUMBER, YOURS, 2_000, 3_000)
    await issue(store, NUMBER, YOURS, 500, 1_000)

    assert [YOURS, MINE, YOURS] == [await claimed(store, NUMBER, now) for now in (999, 1_000, 2_000)]


async def test_an_element_may_be_issued_again_for_the_same_thing_and_is_valid_longer(store: AnyStore) -> None:
    await issue(store, NUMBER, MINE, 1_000, 2_000)
    await issue(store, NUMBER, MINE, 1_500, 3_000)

    assert [MINE, MINE, MINE] == [await claimed(store, NUMBER, now) for now in (1_000, 1_700, 2_999)]


async def test_shortening_ends_the_longer_claims_of_one_user_at_one_institution(store: AnyStore) -> None:
    elsewhere = element(b"elsewhere", ElementKind.INSTITUTION, "87654321")
    brief, other = element(b"brief", ElementKind.INSTITUTION, "12345678"), element(b"other", ElementKind.INSTITUTION)
    await issue(store, NUMBER, MINE, 0, 9_000)
    await issue(store, brief, MINE, 0, 1_000)
    await issue(store, elsewhere, Claim(institution="87654321", user_id="usr_1"), 0, 9_000)
    await issue(store, other, YOURS, 0, 9_000)

    await store.transact(lambda books: books.shorten_claims("usr_1", "12345678", at(2_000)))

    assert [MINE, None] == [await claimed(store, NUMBER, now) for now in (1_999, 2_000)]
    assert [MINE, None] == [await claimed(store, brief, now) for now in (999, 1_000)]
    assert await claimed(store, elsewhere, 8_999) is not None
    assert await claimed(store, other, 8_999) == YOURS
    await issue(store, NUMBER, YOURS, 2_000, 9_000)


async def test_a_purge_takes_ended_claims_up_to_its_limit_and_a_second_one_nothing(store: AnyStore) -> None:
    await issue(store, NUMBER, MINE, 0, 3_000)
    for i in range(3):
        await issue(store, element(bytes([i]), ElementKind.CODE), Claim(payment_id="pay_1"), 0, 1_000 + i)
    await issue(store, element(bytes([0]), ElementKind.CODE), Claim(payment_id="pay_2"), 1_000, 9_000)

    purges = [await store.transact(lambda books: books.purge_claims(at(1_002), 10)) for _ in range(2)]
    assert purges == [2, 0]
    assert [1, 1, 0] == [await store.transact(lambda books: books.purge_claims(at(3_001), 1)) for _ in range(3)]
    assert await claimed(store, element(bytes([0]), ElementKind.CODE), 8_999) == Claim(payment_id="pay_2")


async def test_an_element_is_found_by_the_digest_of_any_key_and_free_under_none_that_is_taken(store: AnyStore) -> None:
    rotated = replace(NUMBER, digest=b"number under the next key", others=(b"unused", NUMBER.digest))
    await issue(store, NUMBER, MINE, 0, 1_000)

    assert MINE == await claimed(store, rotated, 500)
    with pytest.raises(AlreadyExists):
        await issue(store, rotated, YOURS, 500, 1_500)
    await issue(store, rotated, YOURS, 1_000, 2_000)
    assert await claimed(store, NUMBER, 1_500) is None
    assert YOURS == await claimed(store, replace(rotated, others=()), 1_500)
