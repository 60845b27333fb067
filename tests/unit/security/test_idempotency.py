"""A nonce is used once; a key means one content; the comparison dies with the epoch."""

import pytest

from tallystick import limits
from tallystick.errors import EnvelopeUnopenable, IdempotencyMismatch, Replayed
from tallystick.runtime import Millis
from tallystick.security.idempotency import answer_once
from tallystick.security.verify import Verified
from tallystick.testing.platform import MemoryPlatform, memory_platform


@pytest.fixture
async def world() -> MemoryPlatform:
    return await memory_platform()


async def ask(world: MemoryPlatform, content: bytes, *, nonce: str, key: str = "key", sender: str = "pc") -> bytes:
    verified = Verified(sender=sender, nonce=nonce, created=0, idempotency_key=key)

    async def act() -> bytes:
        return world.randomness.token(8)  # an act that never gives the same twice

    return await world.store.transact(
        lambda books: answer_once(books, world.epochs, verified, content, world.clock.now(), act)
    )


async def test_a_retry_with_a_fresh_nonce_gets_the_first_answer(world: MemoryPlatform) -> None:
    assert await ask(world, b"pay", nonce="1") == await ask(world, b"pay", nonce="2")


async def test_another_key_or_sender_is_another_act(world: MemoryPlatform) -> None:
    first = await ask(world, b"pay", nonce="1")
    assert first != await ask(world, b"pay", nonce="2", key="other")
    assert first != await ask(world, b"pay", nonce="1", sender="phone")


async def test_a_used_nonce_is_refused_also_with_the_right_content(world: MemoryPlatform) -> None:
    await ask(world, b"pay", nonce="1")
    with pytest.raises(Replayed):
        await ask(world, b"pay", nonce="1")


async def test_a_refused_retry_leaves_the_kept_answer_as_it_was(world: MemoryPlatform) -> None:
    first = await ask(world, b"pay", nonce="1")
    with pytest.raises(IdempotencyMismatch):
        await ask(world, b"pay more", nonce="2")
    assert first == await ask(world, b"pay", nonce="3")


async def test_a_retry_is_still_compared_when_the_epoch_has_changed(world: MemoryPlatform) -> None:
    first = await ask(world, b"pay", nonce="1")
    await world.clock.advance(limits.EPOCH_MS)
    assert first == await ask(world, b"pay", nonce="2")


async def test_what_can_no_longer_be_compared_is_refused(world: MemoryPlatform) -> None:
    await ask(world, b"pay", nonce="1")
    world.epochs.destroy_before(Millis(world.clock.now() + limits.EPOCH_KEPT_MS + limits.EPOCH_MS))
    with pytest.raises(IdempotencyMismatch):
        await ask(world, b"pay", nonce="2")


async def test_the_kept_answer_holds_neither_the_content_nor_its_plain_digest(world: MemoryPlatform) -> None:
    await ask(world, b"pay 6212142600000000043", nonce="1")
    stored = await world.store.transact(lambda books: books.stored_answer("pc", "key"))
    assert stored is not None
    await ask(world, b"pay 6212142600000000043", nonce="2", key="other")
    other = await world.store.transact(lambda books: books.stored_answer("pc", "other"))
    assert b"6212142600000000043" not in stored.fingerprint
    assert other is not None
    assert other.fingerprint == stored.fingerprint


async def test_the_kept_answer_is_sealed_for_its_sender_and_key(world: MemoryPlatform) -> None:
    answer = await ask(world, b"pay", nonce="1")
    stored = await world.store.transact(lambda books: books.stored_answer("pc", "key"))
    assert stored is not None
    assert answer not in stored.body
    moved = world.clock.now() + limits.EPOCH_KEPT_MS
    await world.store.transact(lambda books: books.keep_answer("phone", "key", stored, Millis(moved)))
    with pytest.raises(EnvelopeUnopenable):
        await ask(world, b"pay", nonce="2", sender="phone")
