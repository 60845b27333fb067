"""What every store promises about PIN keys, counters and tokens."""

import pytest
from msgspec.structs import replace
from store_samples import AnyStore, at

from tallystick.channels.model import PinKey, PinScheme, PinToken
from tallystick.delivery.books import Books
from tallystick.errors import AlreadyExists

KEY = PinKey(name="app", channel_id="ch_1", scheme=PinScheme.DUKPT_AES, key_block="D0112", created_at=at(1_000))
TOKEN = PinToken(token="9000000000000002", channel_id="ch_1", issued_at=at(1_000), expires_at=at(5_000))
USE = {"channel_id": "ch_1", "part_id": "part_1", "payment_id": "pay_1", "now": at(2_000)}


async def test_a_key_comes_back_as_it_was_written_and_its_name_is_taken_once(store: AnyStore) -> None:
    other = replace(KEY, name="other", channel_id="ch_2", scheme=PinScheme.FIXED)
    await store.transact(lambda books: books.add_pin_key(KEY))
    await store.transact(lambda books: books.add_pin_key(other))
    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_pin_key(replace(KEY, channel_id="ch_2")))

    assert KEY == await store.read(lambda books: books.pin_key("app"))
    assert [KEY] == await store.read(lambda books: books.pin_keys("ch_1"))
    assert [KEY, other] == await store.read(lambda books: books.pin_keys())
    assert await store.read(lambda books: books.pin_key("none")) is None


async def test_a_retired_key_is_no_longer_among_its_channels_and_keeps_its_name(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_pin_key(KEY))

    assert await store.transact(lambda books: books.retire_pin_key("app", at(3_000)))
    assert not await store.transact(lambda books: books.retire_pin_key("app", at(4_000)))
    assert not await store.transact(lambda books: books.retire_pin_key("none", at(4_000)))
    assert [] == await store.read(lambda books: books.pin_keys("ch_1"))
    assert replace(KEY, retired_at=at(3_000)) == await store.read(lambda books: books.pin_key("app"))
    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_pin_key(KEY))


async def test_a_counter_only_goes_forward_for_each_key_and_device(store: AnyStore) -> None:
    steps = [("app", "d1", 1), ("app", "d1", 1), ("app", "d1", 5), ("app", "d1", 4), ("app", "d2", 4), ("b", "d1", 1)]
    told = [await store.transact(lambda books, step=step: books.advance_pin_counter(*step)) for step in steps]

    assert [True, False, True, False, True, True] == told


async def test_a_counter_is_taken_back_with_its_transaction(store: AnyStore) -> None:
    async def fail(books: Books) -> None:
        assert await books.advance_pin_counter("app", "d1", 7)
        raise AlreadyExists("planted")

    with pytest.raises(AlreadyExists):
        await store.transact(fail)

    assert await store.transact(lambda books: books.advance_pin_counter("app", "d1", 7))


async def test_a_token_is_used_once_by_its_own_channel_and_in_time(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_pin_token(TOKEN))
    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_pin_token(TOKEN))

    for wrong in ({"channel_id": "ch_2"}, {"now": at(5_000)}):
        use = USE | wrong
        assert not await store.transact(lambda books, use=use: books.use_pin_token(TOKEN.token, **use))
    assert not await store.transact(lambda books: books.use_pin_token("9000000000000003", **USE))
    assert await store.transact(lambda books: books.use_pin_token(TOKEN.token, **USE))
    assert not await store.transact(lambda books: books.use_pin_token(TOKEN.token, **USE))
    used = replace(TOKEN, part_id="part_1", payment_id="pay_1")
    assert used == await store.read(lambda books: books.pin_token(TOKEN.token))


async def test_a_used_token_is_bound_once(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_pin_token(TOKEN))

    assert not await store.transact(lambda books: books.bind_pin_token(TOKEN.token, b"one"))
    await store.transact(lambda books: books.use_pin_token(TOKEN.token, **USE))
    assert await store.transact(lambda books: books.bind_pin_token(TOKEN.token, b"one"))
    assert await store.transact(lambda books: books.bind_pin_token(TOKEN.token, b"one"))
    assert not await store.transact(lambda books: books.bind_pin_token(TOKEN.token, b"two"))
    assert not await store.transact(lambda books: books.bind_pin_token("9000000000000003", b"one"))


async def test_tokens_whose_time_is_over_are_purged(store: AnyStore) -> None:
    for n in range(3):
        token = replace(TOKEN, token=f"900000000000000{n}", expires_at=at(5_000 + n))
        await store.transact(lambda books, token=token: books.add_pin_token(token))

    assert 1 == await store.transact(lambda books: books.purge_pin_tokens(at(5_001), 1))
    assert 1 == await store.transact(lambda books: books.purge_pin_tokens(at(5_001), 9))
    assert await store.read(lambda books: books.pin_token("9000000000000002"))
