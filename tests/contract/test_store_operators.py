"""What every store promises about channels, replay and connector settings."""

import pytest
from store_samples import AnyStore, at, channel

from tallystick.channels.model import ChannelKind, ChannelState
from tallystick.errors import AlreadyExists, NotFound, Replayed
from tallystick.security.model import StoredAnswer


async def test_channels_come_back_whole_and_listed_by_name(store: AnyStore) -> None:
    rows = [
        channel("ch_b", name="Beta", kind=ChannelKind.VOICE, state=ChannelState.SUSPENDED, proves_payer=False),
        channel("ch_a", name="Gamma", fields=frozenset()),
        channel("ch_c", name="Alpha", algorithm="ed25519", sealed_key=b"\x00"),
    ]
    for row in rows:
        await store.transact(lambda books, row=row: books.add_channel(row))

    assert await store.transact(lambda books: books.channels()) == [rows[2], rows[0], rows[1]]
    for _ in range(2):
        assert await store.transact(lambda books: books.channel("ch_b")) == rows[0]
    assert await store.transact(lambda books: books.channel("ch_none")) is None


@pytest.mark.parametrize("second", [channel("ch_pc", name="Other"), channel("ch_other", name="Channel ch_pc")])
async def test_a_channel_needs_an_id_and_a_name_of_its_own(store: AnyStore, second: object) -> None:
    await store.transact(lambda books: books.add_channel(channel()))

    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_channel(second))
    assert await store.transact(lambda books: books.channels()) == [channel()]


async def test_a_replaced_channel_is_read_at_once(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_channel(channel()))
    assert await store.transact(lambda books: books.channel("ch_pc")) == channel()
    changed = channel(name="New", state=ChannelState.SUSPENDED, fields=frozenset({"pin"}), proves_payer=False)
    await store.transact(lambda books: books.replace_channel(changed))

    assert await store.transact(lambda books: books.channel("ch_pc")) == changed


async def test_a_channel_that_was_never_registered_is_not_replaced_nor_given_anothers_name(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_channel(channel("ch_1")))
    await store.transact(lambda books: books.add_channel(channel("ch_2")))

    with pytest.raises(NotFound):
        await store.transact(lambda books: books.replace_channel(channel("ch_3")))
    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.replace_channel(channel("ch_2", name="Channel ch_1")))
    assert await store.transact(lambda books: books.channels()) == [channel("ch_1"), channel("ch_2")]


async def test_a_nonce_is_used_once_by_each_sender(store: AnyStore) -> None:
    await store.transact(lambda books: books.remember_nonce("ch_1", "nonce", at(1_000)))
    await store.transact(lambda books: books.remember_nonce("ch_2", "nonce", at(1_000)))
    await store.transact(lambda books: books.remember_nonce("ch_1", "other", at(1_000)))

    with pytest.raises(Replayed):
        await store.transact(lambda books: books.remember_nonce("ch_1", "nonce", at(2_000)))


async def test_an_answer_is_kept_for_its_sender_and_never_changed(store: AnyStore) -> None:
    answer = StoredAnswer(fingerprint=b"print", body=b'{"part":"part_1"}')
    other = StoredAnswer(fingerprint=b"other", body=b"")
    await store.transact(lambda books: books.keep_answer("ch_1", "key", answer, at(1_000)))
    await store.transact(lambda books: books.keep_answer("ch_2", "key", other, at(1_000)))

    assert await store.transact(lambda books: books.stored_answer("ch_1", "key")) == answer
    assert await store.transact(lambda books: books.stored_answer("ch_2", "key")) == other
    assert await store.transact(lambda books: books.stored_answer("ch_1", "none")) is None
    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.keep_answer("ch_1", "key", other, at(1_000)))
    assert await store.transact(lambda books: books.stored_answer("ch_1", "key")) == answer


async def test_a_purge_takes_nonces_and_answers_whose_time_is_over_up_to_its_limit(store: AnyStore) -> None:
    for i in range(4):
        answer = StoredAnswer(fingerprint=b"", body=b"")
        await store.transact(lambda books, i=i: books.remember_nonce("ch", str(i), at(1_000 + i)))
        await store.transact(lambda books, i=i, answer=answer: books.keep_answer("ch", str(i), answer, at(1_000 + i)))

    assert await store.transact(lambda books: books.purge_replay(at(999), 10)) == 0
    assert await store.transact(lambda books: books.purge_replay(at(1_002), 2)) == 4
    assert await store.transact(lambda books: books.purge_replay(at(1_002), 2)) == 2
    assert await store.transact(lambda books: books.purge_replay(at(1_002), 2)) == 0
    assert await store.transact(lambda books: books.stored_answer("ch", "2")) is None
    assert await store.transact(lambda books: books.stored_answer("ch", "3")) is not None
    await store.transact(lambda books: books.remember_nonce("ch", "2", at(9_000)))
    with pytest.raises(Replayed):
        await store.transact(lambda books: books.remember_nonce("ch", "3", at(9_000)))


async def test_connector_settings_are_stored_and_replaced(store: AnyStore) -> None:
    assert await store.transact(lambda books: books.connector_settings("12345678")) is None
    for sealed in (b"first", b"second"):
        await store.transact(lambda books, sealed=sealed: books.put_connector_settings("12345678", sealed))
        for _ in range(2):
            assert await store.transact(lambda books: books.connector_settings("12345678")) == sealed
    assert await store.transact(lambda books: books.connector_settings("87654321")) is None
