"""Which back ends the registry takes notifications of."""

import ssl
from typing import Any

import msgspec
import pytest
from account_world import CLIENT_ID, ENCRYPTION_KEY, OURS, THEIRS

from tallystick.adapters.connectors.account import AccountConnector
from tallystick.adapters.connectors.account_settings import decode_settings
from tallystick.adapters.connectors.registry import RELOAD_MS, ConnectorRecord, ConnectorRegistry, seal_record
from tallystick.delivery.ports import Connector
from tallystick.errors import NotFound
from tallystick.routing.model import BackEnd
from tallystick.testing.connector import ScriptedConnector
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform

TELLS, MUTE, BARE, BROKEN = "10000001", "10000002", "10000003", "10000004"
SETTINGS: dict[str, Any] = {
    "base_url": "https://pay.example",
    "client_id": CLIENT_ID,
    "key_version": 1,
    "private_key": OURS.pem().decode(),
    "verify_keys": {"1": THEIRS.public().pem().decode()},
    "encryption_jwk": ENCRYPTION_KEY.public_jwk(),
    "currencies": ["CNY"],
}


async def connect(world: MemoryPlatform, institution: str, settings: dict[str, Any]) -> None:
    record = ConnectorRecord(settings=msgspec.Raw(msgspec.json.encode(settings)))
    sealed = seal_record(world.keyring, institution, record)
    await world.store.transact(lambda books: books.put_connector_settings(institution, sealed))


async def registry(world: MemoryPlatform) -> ConnectorRegistry:
    def build(back_end: BackEnd, settings: bytes) -> Connector:
        if back_end.id == MUTE:
            return ScriptedConnector()
        return AccountConnector(decode_settings(settings), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), world.clock)

    for institution in (TELLS, MUTE, BARE, BROKEN):
        await world.back_end(bank(institution))
    for institution in (TELLS, MUTE):
        await connect(world, institution, SETTINGS)
    await connect(world, BROKEN, {**SETTINGS, "currencies": []})
    return ConnectorRegistry(world.store, world.keyring, world.clock, world.node, build)


async def test_a_back_end_that_tells_outcomes_is_found_with_its_connector() -> None:
    found = await registry(await memory_platform())
    back_end, notifier = await found.notified_by(TELLS)
    assert TELLS == back_end.id
    assert isinstance(notifier, AccountConnector)
    assert (back_end, notifier) == await found.notified_by(TELLS)


@pytest.mark.parametrize("institution", [MUTE, BARE, BROKEN, "99999999", ""])
async def test_no_other_back_end_is_found(institution: str) -> None:
    found = await registry(await memory_platform())
    with pytest.raises(NotFound):
        await found.notified_by(institution)


async def test_a_back_end_whose_settings_became_unusable_is_found_no_more() -> None:
    world = await memory_platform()
    found = await registry(world)
    await found.notified_by(TELLS)
    await connect(world, TELLS, {**SETTINGS, "verify_keys": {}})
    await world.clock.advance(RELOAD_MS)
    with pytest.raises(NotFound):
        await found.notified_by(TELLS)
