"""Bearers: the key comes in one header, is proven each time, and its use is noted seldom."""

from typing import Any

import pytest

from tallystick.channels import access
from tallystick.channels.access import DAY_MS, USE_GRAIN_MS, NewKey
from tallystick.channels.model import Role, Scope
from tallystick.errors import ApiKeyRefused, Forbidden
from tallystick.runtime import SystemRandomness
from tallystick.security.access_keys import KeyringAccess
from tallystick.service.bearer import Bearers
from tallystick.testing.platform import MemoryPlatform, memory_platform


@pytest.fixture
async def world() -> MemoryPlatform:
    return await memory_platform()


def bearers(world: MemoryPlatform) -> Bearers:
    return Bearers(world.store, world.platform.keyring, world.platform.clock)


async def key(world: MemoryPlatform) -> NewKey:
    keys, clock = KeyringAccess(world.platform.keyring), world.platform.clock
    made = access.make(
        keys,
        clock,
        SystemRandomness(),
        holder="bookshop",
        role=Role.MERCHANT,
        scopes=frozenset({Scope.READ}),
        live=True,
        life=DAY_MS,
    )
    await world.store.transact(lambda books: access.add(books, keys, made.key, clock.now()))
    return made


async def test_a_bearer_is_known_by_the_authorization_header(world: MemoryPlatform) -> None:
    token = (await key(world)).token.reveal()
    for value in (f"Bearer {token}", f"bearer  {token}", f"BEARER {token} "):
        assert "bookshop" == (await bearers(world).principal(value, Scope.READ)).holder


async def test_no_other_header_value_and_no_other_scope_is_let_in(world: MemoryPlatform) -> None:
    token = (await key(world)).token.reveal()
    for value in (None, "", token, f"Basic {token}", "Bearer", f"Bearer {token},{token}"):
        with pytest.raises(ApiKeyRefused):
            await bearers(world).principal(value, Scope.READ)
    with pytest.raises(Forbidden):
        await bearers(world).principal(f"Bearer {token}", Scope.ORDER)


async def test_a_revoked_key_is_refused_from_its_next_request_on(world: MemoryPlatform) -> None:
    made, door = await key(world), bearers(world)
    value = f"Bearer {made.token.reveal()}"
    await door.principal(value, Scope.READ)
    keys, now = KeyringAccess(world.platform.keyring), world.platform.clock.now()
    await world.store.transact(lambda books: access.revoke(books, keys, made.key.id, now))
    with pytest.raises(ApiKeyRefused):
        await door.principal(value, Scope.READ)


async def test_the_use_is_written_once_an_hour(world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    made, door = await key(world), bearers(world)
    written = []
    real = world.store.transact

    async def counted(work: Any) -> Any:
        written.append(work)
        return await real(work)

    monkeypatch.setattr(world.store, "transact", counted)
    for _ in range(3):
        await door.principal(f"Bearer {made.token.reveal()}", Scope.READ)
    assert 1 == len(written)
    await world.clock.advance(USE_GRAIN_MS)
    await door.principal(f"Bearer {made.token.reveal()}", Scope.READ)
    assert 2 == len(written)
