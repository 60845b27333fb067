"""What every store promises about links to payers' pages, and how it forgets sign-ups made there."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from store_samples import AnyStore, payment

from tallystick.channels.model import Capability, CapabilityState, PageKind
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.vault.model import SignUp


def capability(capability_id: str = "cap_1", **fields: Any) -> Capability:
    usual = {"payment_id": "pay_1", "kind": PageKind.PC, "sealed_key": b"key", "issued_at": 1_000, "expires_at": 5_000}
    return Capability(**{"id": capability_id, **usual} | fields)


def started(capability_id: str = "cap_1", **fields: Any) -> Capability:
    session = {"session": f"ses of {capability_id}", "session_key": b"mac", "device": b"d", "network": b"n"}
    usual = {"state": CapabilityState.STARTED, "started_at": 2_000, "until": 9_000}
    return capability(capability_id, **session | usual | fields)


async def add(store: AnyStore, *rows: Capability) -> None:
    for payment_id in sorted({row.payment_id for row in rows}):
        await store.transact(lambda books, name=payment_id: books.add_payment(payment(name)))
    for row in rows:
        await store.transact(lambda books, row=row: books.add_capability(row))


async def test_a_link_comes_back_as_it_was_written(store: AnyStore) -> None:
    await add(store, capability(), started("cap_2", kind=PageKind.PHONE), capability("cap_3", payment_id="pay_2"))
    assert capability() == await store.read(lambda books: books.capability("cap_1"))
    assert started("cap_2", kind=PageKind.PHONE) == await store.read(lambda books: books.page_session("ses of cap_2"))
    of_one = await store.read(lambda books: books.capabilities_of("pay_1"))
    assert ["cap_1", "cap_2"] == [each.id for each in of_one]
    assert await store.read(lambda books: books.capability("cap_none")) is None
    assert await store.read(lambda books: books.page_session("ses_none")) is None


async def test_the_id_of_a_link_is_taken_once(store: AnyStore) -> None:
    await add(store, capability())
    with pytest.raises(AlreadyExists):
        await store.transact(lambda books: books.add_capability(capability(sealed_key=b"other")))
    assert capability() == await store.read(lambda books: books.capability("cap_1"))


async def test_of_many_that_use_a_link_at_once_one_wins(store: AnyStore) -> None:
    await add(store, capability())
    used = [started(session=f"ses_{n}") for n in range(8)]
    won = await asyncio.gather(
        *(
            store.transact(lambda books, row=row: books.replace_capability(row, expected=CapabilityState.ISSUED))
            for row in used
        )
    )
    assert 1 == won.count(True)
    assert used[won.index(True)] == await store.read(lambda books: books.capability("cap_1"))


async def test_a_link_goes_when_it_and_its_session_are_over(store: AnyStore) -> None:
    rows = (capability("cap_1"), capability("cap_2", expires_at=5_001), started("cap_3"), started("cap_4", until=4_000))
    await add(store, *rows)
    assert 2 == await store.transact(lambda books: books.purge_capabilities(Millis(5_000), 9))
    left = await store.read(lambda books: books.capabilities_of("pay_1"))
    assert ["cap_2", "cap_3"] == [each.id for each in left]


async def test_a_purge_takes_links_that_are_over_up_to_its_limit_and_counts_none_that_is_not(store: AnyStore) -> None:
    over = [capability(f"cap_{number}", expires_at=4_000 + number) for number in range(5)]
    await add(store, started("cap_open", expires_at=3_000), *over)

    async def purge() -> int:
        return await store.transact(lambda books: books.purge_capabilities(Millis(5_000), 2))

    assert [2, 2, 1, 0] == [await purge() for _ in range(4)]
    assert ["cap_open"] == [each.id for each in await store.read(lambda books: books.capabilities_of("pay_1"))]


async def test_a_purge_takes_sign_ups_that_are_over_up_to_its_limit(store: AnyStore) -> None:
    for number in range(4):
        waiting = SignUp(id=f"su_{number}", epoch="ep_1", sealed=b"s", expires_at=Millis(4_998 + number))
        await store.transact(lambda books, waiting=waiting: books.add_sign_up(waiting))
    gone = [await store.transact(lambda books: books.purge_sign_ups(Millis(5_000), 2)) for _ in range(3)]
    assert [2, 1, 0] == gone
    assert (await store.read(lambda books: books.sign_up("su_3"))) is not None


async def test_a_changed_link_keeps_what_it_was_issued_for(store: AnyStore) -> None:
    await add(store, capability())
    moved = replace(started(), payment_id="pay_1", kind=PageKind.PC)
    assert await store.transact(lambda books: books.replace_capability(moved, expected=CapabilityState.ISSUED))
    assert not await store.transact(lambda books: books.replace_capability(moved, expected=CapabilityState.ISSUED))
    assert moved == await store.read(lambda books: books.capability("cap_1"))
