"""What every store promises about outside authorities and denied certificates."""

import pytest

from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.channels.model import Anchor
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryStore

AnchorStore = SqliteStore | MemoryStore
PLAIN = Anchor(id="anc_1", uri="tallystick:channel:ch_1", bundle=b"pem", created_at=Millis(1_000))
MAPPED = Anchor(
    id="anc_2",
    uri="tallystick:institution:40718253",
    bundle=b"other",
    lists=("https://bank.example/list.crl", "/srv/list.pem"),
    fingerprint="ab" * 32,
    subject="CN=bank",
    created_at=Millis(2_000),
)


async def test_anchors_come_back_as_they_were_written_oldest_first(store: AnchorStore) -> None:
    for each in (PLAIN, MAPPED):
        await store.transact(lambda books, each=each: books.add_anchor(each))
    assert [PLAIN, MAPPED] == await store.read(lambda books: books.anchors())


async def test_an_anchors_id_is_taken_once(store: AnchorStore) -> None:
    await store.transact(lambda books: books.add_anchor(PLAIN))
    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_anchor(PLAIN))


async def test_an_anchor_is_removed_once(store: AnchorStore) -> None:
    await store.transact(lambda books: books.add_anchor(PLAIN))
    assert await store.transact(lambda books: books.remove_anchor("anc_1"))
    assert not await store.transact(lambda books: books.remove_anchor("anc_1"))
    assert [] == await store.read(lambda books: books.anchors())


async def test_a_certificate_is_denied_from_the_first_time_on_until_it_is_undenied(store: AnchorStore) -> None:
    for at in (1_000, 2_000):
        await store.transact(lambda books, at=at: books.deny("ab", Millis(at)))
    assert {"ab": 1_000} == await store.read(lambda books: books.denied())
    assert await store.transact(lambda books: books.undeny("ab"))
    assert not await store.transact(lambda books: books.undeny("ab"))
    assert {} == await store.read(lambda books: books.denied())
