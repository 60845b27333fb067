"""What every store promises about API keys and proposals."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.channels.model import ApiKey, Approval, Proposal, ProposalKind, Role, Scope
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryStore

AccessStore = SqliteStore | MemoryStore


def key(key_id: str = "key_1", **fields: Any) -> ApiKey:
    usual = {"holder": "bookshop", "role": Role.MERCHANT, "scopes": frozenset({Scope.ORDER, Scope.READ}), "live": True}
    times = {"created_at": 1_000, "expires_at": 5_000}
    return ApiKey(**{"id": key_id, "digest": b"digest", "mac": b"mac", **usual, **times} | fields)


async def put(store: AccessStore, *rows: ApiKey) -> None:
    for row in rows:
        await store.transact(lambda books, row=row: books.put_api_key(row))


async def test_a_key_comes_back_as_it_was_written_and_keys_are_listed_oldest_first(store: AccessStore) -> None:
    other = key("key_0", holder="li", role=Role.AUDITOR, scopes=frozenset(), live=False, revoked_at=Millis(3_000))
    await put(store, key(), other)
    assert key() == await store.read(lambda books: books.api_key("key_1"))
    assert [key(), other] == await store.read(lambda books: books.api_keys())
    assert await store.read(lambda books: books.api_key("key_none")) is None


async def test_a_key_is_replaced_in_its_place(store: AccessStore) -> None:
    await put(store, key(), key("key_2"))
    changed = replace(key(), expires_at=Millis(2_000), revoked_at=Millis(1_500), mac=b"other")
    await put(store, changed)
    assert [changed, key("key_2")] == await store.read(lambda books: books.api_keys())


async def test_the_last_use_of_a_key_never_goes_back_and_outlives_its_replacement(store: AccessStore) -> None:
    await put(store, key())
    for at in (2_000, 3_000, 1_000):
        await store.transact(lambda books, at=at: books.note_key_use("key_1", Millis(at)))
    await store.transact(lambda books: books.note_key_use("key_none", Millis(2_000)))
    await put(store, replace(key(), mac=b"other"))
    assert {"key_1": Millis(3_000)} == await store.read(lambda books: books.key_uses())


def proposal(proposal_id: str = "prop_1", **fields: Any) -> Proposal:
    usual = {"kind": ProposalKind.CA, "action": "revoke", "subject": {"serial": "3f"}, "base": "valid"}
    who = {"author": "ann", "note": "lost", "at": 1_000, "required": 2, "mac": b"mac"}
    return Proposal(**{"id": proposal_id, **usual, **who} | fields)


async def test_a_proposal_comes_back_as_it_was_written_and_the_newest_stands_first(store: AccessStore) -> None:
    other = proposal("prop_0", approvals=(Approval(by="bo", at=Millis(2_000)),), decided_by="bo")
    for row in (proposal(), other):
        await store.transact(lambda books, row=row: books.add_proposal(row))
    assert proposal() == await store.read(lambda books: books.proposal("prop_1"))
    assert [other, proposal()] == await store.read(lambda books: books.proposals(9))
    assert [other] == await store.read(lambda books: books.proposals(1))
    assert await store.read(lambda books: books.proposal("prop_none")) is None
    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_proposal(proposal(note="other")))


async def test_of_many_that_change_a_proposal_at_once_one_wins(store: AccessStore) -> None:
    await store.transact(lambda books: books.add_proposal(proposal()))
    changed = [proposal(decided_by=f"p{n}", mac=f"mac {n}".encode()) for n in range(8)]
    won = await asyncio.gather(
        *(store.transact(lambda books, row=row: books.replace_proposal(row, was=proposal())) for row in changed)
    )
    assert 1 == won.count(True)
    assert changed[won.index(True)] == await store.read(lambda books: books.proposal("prop_1"))
