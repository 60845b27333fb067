"""What every store promises about invitations and certificate requests."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.channels.model import Enrolment, EnrolmentState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryStore

EnrolmentStore = SqliteStore | MemoryStore


def enrolment(enrolment_id: str = "enr_1", **fields: Any) -> Enrolment:
    usual = {"uri": "tallystick:channel:ch_1", "digest": b"digest", "created_at": 1_000, "expires_at": 5_000}
    return Enrolment(**{"id": enrolment_id, **usual} | fields)


async def add(store: EnrolmentStore, *rows: Enrolment) -> None:
    for row in rows:
        await store.transact(lambda books, row=row: books.add_enrolment(row))


async def test_an_invitation_comes_back_as_it_was_written(store: EnrolmentStore) -> None:
    issued = enrolment(
        "enr_2",
        uri="tallystick:institution:12345678",
        hosts=("bank.example", "127.0.0.1"),
        state=EnrolmentState.ISSUED,
        wrong=3,
        csr=b"csr",
        key="c0ffee",
        chain=b"chain",
    )
    await add(store, enrolment(), issued)
    assert enrolment() == await store.read(lambda books: books.enrolment("enr_1"))
    assert [enrolment(), issued] == await store.read(lambda books: books.enrolments())
    assert await store.read(lambda books: books.enrolment("enr_none")) is None


async def test_an_id_is_taken_once(store: EnrolmentStore) -> None:
    await add(store, enrolment())
    with pytest.raises(AlreadyExists):
        await add(store, enrolment(digest=b"other"))
    assert [enrolment()] == await store.read(lambda books: books.enrolments())


async def test_of_many_that_use_an_invitation_at_once_one_wins(store: EnrolmentStore) -> None:
    await add(store, enrolment())
    used = [enrolment(state=EnrolmentState.PENDING, csr=f"csr {n}".encode(), expires_at=9_000) for n in range(8)]
    won = await asyncio.gather(
        *(
            store.transact(lambda books, row=row: books.replace_enrolment(row, expected=EnrolmentState.INVITED))
            for row in used
        )
    )
    assert 1 == won.count(True)
    assert used[won.index(True)] == await store.read(lambda books: books.enrolment("enr_1"))


async def test_a_wrong_token_is_counted(store: EnrolmentStore) -> None:
    await add(store, enrolment())
    moved = replace(enrolment(), wrong=1)
    assert await store.transact(lambda books: books.replace_enrolment(moved, expected=EnrolmentState.INVITED))
    assert moved == await store.read(lambda books: books.enrolment("enr_1"))


async def test_an_invitation_goes_when_its_time_is_over(store: EnrolmentStore) -> None:
    await add(store, enrolment("enr_1"), enrolment("enr_2", expires_at=5_001))
    assert 1 == await store.transact(lambda books: books.purge_enrolments(Millis(5_000)))
    assert ["enr_2"] == [each.id for each in await store.read(lambda books: books.enrolments())]
