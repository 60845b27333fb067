"""Everything stored is sealed anew after a rotation, beside other work, whatever a crash cuts short."""

from collections.abc import Awaitable, Callable
from typing import Any, Never

import pytest
from merchant_world import NEW, merchant_world

from tallystick.channels import access, limiting
from tallystick.channels.model import LimitKind, RateLimit
from tallystick.errors import StoreFailed
from tallystick.limits import MERCHANT_ANSWER_KEPT_MS
from tallystick.rewrap import outdated, start_anew, step
from tallystick.runtime import Millis
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.kept import Kept, KeptRow
from tallystick.security.model import Sender
from tallystick.security.ports import Purpose
from tallystick.security.verify import sender_key
from tallystick.testing.desk import VaultDesk
from tallystick.testing.platform import memory_platform

AT, LIMIT = Millis(1_000), RateLimit(count=60, window=60_000)
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
    assert 28 == sum(each.count for each in await outdated(desk.store, desk.keyring, desk.clock.now()))
    assert [2, 4, 6, 7] == await renew_all(desk)
    assert [] == await outdated(desk.store, desk.keyring, desk.clock.now())
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
    assert [] == await outdated(desk.store, desk.keyring, desk.clock.now())


async def test_a_row_that_does_not_open_stays_is_counted_and_keeps_its_key(desk: VaultDesk) -> None:
    [row, *_] = await desk.store.read(lambda books: books.kept_rows(Kept.PAYER, "", 1))
    damaged = KeptRow(id=row.id, values=((row.values[0] or b"")[:-1] + b"?", *row.values[1:]))
    await desk.store.transact(lambda books: books.put_kept(Kept.PAYER, damaged))
    await renew_all(desk)
    assert 1 == (await desk.store.read(lambda books: books.rewrap(Kept.PAYER))).damaged
    assert {1} == {each.count for each in await outdated(desk.store, desk.keyring, desk.clock.now())}


async def test_a_second_rotation_begins_anew(desk: VaultDesk) -> None:
    await renew_all(desk)
    desk.keyring.rotate(Purpose.VAULT)
    assert [2, 4, 6, 7] == await renew_all(desk)
    assert [] == await outdated(desk.store, desk.keyring, desk.clock.now())


async def test_a_row_that_a_late_process_wrote_under_the_old_key_is_found_when_asked(desk: VaultDesk) -> None:
    [old, *_] = await desk.store.read(lambda books: books.kept_rows(Kept.PAYER, "", 1))
    await renew_all(desk)
    await desk.store.transact(lambda books: books.put_kept(Kept.PAYER, old))
    assert [] == await renew_all(desk)
    assert await outdated(desk.store, desk.keyring, desk.clock.now())
    await start_anew(desk.store, desk.keyring, Purpose.VAULT, desk.clock.now())
    await renew_all(desk)
    assert [] == await outdated(desk.store, desk.keyring, desk.clock.now())


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
    left = await outdated(memory.store, memory.keyring, memory.clock.now())
    assert [(Kept.CONNECTOR, 0)] == [(each.kind, each.version) for each in left]


async def test_an_access_key_can_be_destroyed_once_what_was_made_under_it_is_over() -> None:
    world = await merchant_world()
    memory, keys = world.memory, KeyringAccess(world.memory.keyring)
    await world.key()
    await memory.store.transact(lambda books: limiting.change(books, keys, LimitKind.CHANNEL, LIMIT, author="a", at=AT))
    memory.keyring.rotate(Purpose.ACCESS)
    now = memory.clock.now()
    left = {each.kind for each in await outdated(memory.store, memory.keyring, now)}
    assert {Kept.API_KEY, Kept.LIMITS} == left
    [old] = await memory.store.read(lambda books: books.api_keys())
    await memory.store.transact(lambda books: access.revoke(books, keys, old.id, now))
    await memory.store.transact(lambda books: limiting.renew(books, keys))
    assert [] == await outdated(memory.store, memory.keyring, now)


async def test_an_at_rest_key_is_kept_while_an_answer_to_a_merchant_may_be_asked_for_again() -> None:
    world = await merchant_world()
    memory, key = world.memory, await world.key()
    assert 201 == (await world.ask(key, "POST", "/v1/payments", NEW, idem="order-9")).status
    memory.keyring.rotate(Purpose.AT_REST)
    while await step(memory.store, memory.keyring, memory.clock) is not None:
        pass
    now = memory.clock.now()
    assert Kept.ANSWER in {each.kind for each in await outdated(memory.store, memory.keyring, now)}
    later = Millis(now + MERCHANT_ANSWER_KEPT_MS)
    assert Kept.ANSWER not in {each.kind for each in await outdated(memory.store, memory.keyring, later)}
