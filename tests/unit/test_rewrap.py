"""Everything stored is sealed anew after a rotation, beside other work, whatever a crash cuts short."""

from collections.abc import Awaitable, Callable
from typing import Any, Never

import pytest

from tallystick.errors import StoreFailed
from tallystick.rewrap import outdated, start_anew, step
from tallystick.security.kept import Kept, KeptRow
from tallystick.security.model import Sender
from tallystick.security.ports import Purpose
from tallystick.security.verify import sender_key
from tallystick.testing.desk import VaultDesk
from tallystick.testing.platform import memory_platform

BOTH = (Purpose.VAULT, Purpose.BLIND_INDEX)


@pytest.fixture
async def desk() -> VaultDesk:
    """Make a vault with seven users whose keys were rotated."""
    made = VaultDesk()
    for number in range(7):
        await made.register(f"payer-{number}")
    for purpose in BOTH:
        made.keyring.rotate(purpose)
    return made


async def renew_all(desk: VaultDesk, batch: int = 2) -> list[int]:
    """Do every step; return how many rows were looked at after each."""
    looked = []
    while (done := await step(desk.store, desk.keyring, desk.clock, batch)) is not None:
        looked.append(done.looked)
    return looked


async def test_without_a_rotation_nothing_is_looked_at() -> None:
    desk = VaultDesk()
    await desk.register()
    assert await step(desk.store, desk.keyring, desk.clock) is None


async def test_every_user_logs_in_once_the_old_keys_are_destroyed(desk: VaultDesk) -> None:
    before = [await desk.log_in(f"payer-{number}") for number in range(7)]
    assert 28 == sum(each.count for each in await outdated(desk.store, desk.keyring))
    assert [2, 4, 6, 7] == await renew_all(desk)
    assert [] == await outdated(desk.store, desk.keyring)
    for purpose in BOTH:
        desk.keyring.destroy(purpose, 1)
    assert before == [await desk.log_in(f"payer-{number}") for number in range(7)]


async def test_a_crash_between_batches_or_in_one_loses_nothing(desk: VaultDesk) -> None:
    await step(desk.store, desk.keyring, desk.clock, 2)

    class Crashing:
        """Fail when the batch was written but is not durable yet."""

        read = desk.store.read

        async def transact(self, work: Callable[[Any], Awaitable[object]]) -> object:
            async def cut_short(books: Any) -> Never:
                await work(books)
                raise StoreFailed("the disk is full")

            return await desk.store.transact(cut_short)

    with pytest.raises(StoreFailed):
        await step(Crashing(), desk.keyring, desk.clock, 2)
    assert [4, 6, 7] == await renew_all(desk)
    assert [] == await outdated(desk.store, desk.keyring)


async def test_a_row_that_does_not_open_stays_is_counted_and_keeps_its_key(desk: VaultDesk) -> None:
    [row, *_] = await desk.store.read(lambda books: books.kept_rows(Kept.PAYER, "", 1))
    damaged = KeptRow(id=row.id, values=((row.values[0] or b"")[:-1] + b"?", *row.values[1:]))
    await desk.store.transact(lambda books: books.put_kept(Kept.PAYER, damaged))
    await renew_all(desk)
    assert 1 == (await desk.store.read(lambda books: books.rewrap(Kept.PAYER))).damaged
    assert {1} == {each.count for each in await outdated(desk.store, desk.keyring)}


async def test_a_second_rotation_begins_anew(desk: VaultDesk) -> None:
    await renew_all(desk)
    desk.keyring.rotate(Purpose.VAULT)
    assert [2, 4, 6, 7] == await renew_all(desk)
    assert [] == await outdated(desk.store, desk.keyring)


async def test_a_row_that_a_late_process_wrote_under_the_old_key_is_found_when_asked(desk: VaultDesk) -> None:
    [old, *_] = await desk.store.read(lambda books: books.kept_rows(Kept.PAYER, "", 1))
    await renew_all(desk)
    await desk.store.transact(lambda books: books.put_kept(Kept.PAYER, old))
    assert [] == await renew_all(desk)
    assert await outdated(desk.store, desk.keyring)
    await start_anew(desk.store, desk.keyring, Purpose.VAULT)
    await renew_all(desk)
    assert [] == await outdated(desk.store, desk.keyring)


async def test_channels_and_connectors_follow_the_at_rest_key() -> None:
    memory = await memory_platform()
    member = await memory.channel("ch_pc")
    await memory.store.transact(lambda books: books.put_connector_settings("10000001", b"of another form"))
    memory.keyring.rotate(Purpose.AT_REST)
    while await step(memory.store, memory.keyring, memory.clock) is not None:
        pass
    memory.keyring.destroy(Purpose.AT_REST, 1)
    channel = await memory.store.read(lambda books: books.channel("ch_pc"))
    assert channel is not None
    sender = Sender(id=channel.id, algorithm=channel.algorithm, sealed_key=channel.sealed_key)
    sender_key(memory.keyring, sender).verify(b"data", member.key.sign(b"data"))
    left = await outdated(memory.store, memory.keyring)
    assert [(Kept.CONNECTOR, 0)] == [(each.kind, each.version) for each in left]
