"""Operators: a name is never believed, a role never exceeded, and the last one never suspended."""

import pytest

from tallystick.channels import access, operators
from tallystick.channels.access import DAY_MS, GRANTS
from tallystick.channels.model import Principal, Role, Scope
from tallystick.errors import ApiKeyRefused, Conflict, Forbidden, NotFound
from tallystick.runtime import SystemRandomness
from tallystick.secret import Secret
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.ports import Purpose
from tallystick.testing.clock import VirtualClock
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore

KEYS = KeyringAccess(MemoryKeyring())


class Staff:
    """A store, a clock and the keys of persons."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), VirtualClock()

    async def add(self, person: str, role: Role, keys: KeyringAccess = KEYS) -> Secret:
        made = access.make(
            keys,
            self.clock,
            SystemRandomness(),
            holder=person,
            role=role,
            scopes=GRANTS[role],
            live=True,
            life=DAY_MS,
        )
        await self.store.transact(lambda books: access.add(books, keys, made.key, self.clock.now()))
        return made.token

    async def prove(
        self, token: Secret | None, needs: frozenset[Scope] = operators.CHANGE, claim: str | None = None
    ) -> Principal | None:
        now = self.clock.now()
        return await self.store.read(lambda books: operators.prove(books, KEYS, token, now, claim=claim, needs=needs))

    async def suspend(self, person: str) -> None:
        now = self.clock.now()
        await self.store.transact(lambda books: operators.suspend(books, KEYS, person, now))


async def test_a_platform_that_never_had_an_operator_asks_for_none() -> None:
    staff = Staff()
    await staff.add("bookshop", Role.MERCHANT)
    assert await staff.prove(None, claim="anybody") is None


async def test_from_the_first_operator_on_a_command_wants_a_key() -> None:
    staff = Staff()
    ann = await staff.add("ann", Role.OPERATOR)
    proven = await staff.prove(ann, claim="ann")
    assert proven is not None
    assert "ann" == proven.holder
    for token in (None, Secret(""), Secret(ann.reveal()[:-1])):
        with pytest.raises(ApiKeyRefused):
            await staff.prove(token, claim="ann")


async def test_a_name_is_refused_when_it_is_not_the_key_s() -> None:
    staff = Staff()
    ann, _ = await staff.add("ann", Role.OPERATOR), await staff.add("bo", Role.APPROVER)
    with pytest.raises(Forbidden):
        await staff.prove(ann, claim="bo")


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.OPERATOR, {operators.READ, operators.CHANGE, operators.DECIDE}),
        (Role.APPROVER, {operators.READ, operators.APPROVE, operators.DECIDE}),
        (Role.AUDITOR, {operators.READ}),
    ],
)
async def test_each_role_runs_its_own_commands_only(role: Role, may: set[frozenset[Scope]]) -> None:
    staff = Staff()
    token = await staff.add("li", role)
    for needs in (operators.READ, operators.CHANGE, operators.APPROVE, operators.DECIDE):
        if needs in may:
            assert await staff.prove(token, needs) is not None
        else:
            with pytest.raises(Forbidden):
                await staff.prove(token, needs)


async def test_a_merchant_s_key_runs_no_command() -> None:
    staff = Staff()
    await staff.add("ann", Role.OPERATOR)
    with pytest.raises(ApiKeyRefused):
        await staff.prove(await staff.add("bookshop", Role.MERCHANT), operators.READ)


async def test_a_suspended_person_runs_nothing_under_any_of_their_keys() -> None:
    staff = Staff()
    await staff.add("ann", Role.OPERATOR)
    await staff.add("di", Role.APPROVER)
    keys = [await staff.add("bo", role) for role in (Role.OPERATOR, Role.APPROVER, Role.AUDITOR)]
    await staff.suspend("bo")
    for token in keys:
        with pytest.raises(ApiKeyRefused):
            await staff.prove(token, operators.READ)


async def test_the_last_operator_and_the_last_approver_are_not_suspended_and_an_unknown_one_not_found() -> None:
    staff = Staff()
    ann = await staff.add("ann", Role.OPERATOR)
    await staff.add("bo", Role.APPROVER)
    for person in ("ann", "bo"):
        with pytest.raises(Conflict):
            await staff.suspend(person)
    with pytest.raises(NotFound):
        await staff.suspend("nobody")
    assert await staff.prove(ann) is not None


async def test_when_all_keys_are_over_nothing_is_open_again() -> None:
    staff = Staff()
    ann = await staff.add("ann", Role.OPERATOR)
    await staff.clock.advance(DAY_MS)
    with pytest.raises(ApiKeyRefused):
        await staff.prove(ann)
    with pytest.raises(ApiKeyRefused):
        await staff.prove(None)


async def test_a_person_whose_old_key_is_under_a_destroyed_access_key_is_still_suspended() -> None:
    staff, ring = Staff(), MemoryKeyring()
    keys = KeyringAccess(ring)
    old, _ = await staff.add("li", Role.AUDITOR, keys), await staff.clock.advance(2 * DAY_MS)
    version = ring.active(Purpose.ACCESS).version
    ring.rotate(Purpose.ACCESS)
    ring.destroy(Purpose.ACCESS, version)
    await staff.add("li", Role.AUDITOR, keys)
    now = staff.clock.now()
    await staff.store.transact(lambda books: operators.suspend(books, keys, "li", now))
    rows = await staff.store.read(operators.registered)
    assert [now, now] == [row.revoked_at for row in rows]
    with pytest.raises(ApiKeyRefused):
        await staff.store.read(lambda books: access.authenticate(books, keys, old, now))
