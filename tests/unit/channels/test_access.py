"""API keys: one answer for whatever is wrong, two keys while one is rotated, and no more than a role may have."""

import contextlib
import zlib
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from tallystick.channels import access, rows
from tallystick.channels.access import CURRENT_MAX, DAY_MS, GRANTS, LIFE_MAX_MS, OVERLAP_MAX_MS, USE_GRAIN_MS, NewKey
from tallystick.channels.model import Principal, Role, Scope
from tallystick.channels.ports import AccessKeys
from tallystick.crypto import kdf
from tallystick.errors import AlreadyExists, ApiKeyRefused, Conflict, FieldInvalid, Forbidden, Misconfigured, NotFound
from tallystick.runtime import Millis, SystemRandomness
from tallystick.secret import Secret
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.ports import Purpose
from tallystick.testing.clock import VirtualClock
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore

KEYS = KeyringAccess(MemoryKeyring())
RANDOM = SystemRandomness()
REFUSED = "this request carries no API key that opens anything"


class Shop:
    """A store with a clock, and keys made in it."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), VirtualClock()

    async def add(self, *, keys: AccessKeys = KEYS, **fields: Any) -> NewKey:
        usual = {"holder": "bookshop", "role": Role.MERCHANT, "scopes": frozenset({Scope.ORDER}), "live": True}
        made = access.make(keys, self.clock, RANDOM, **{**usual, "life": DAY_MS} | fields)
        await self.store.transact(lambda books: access.add(books, keys, made.key, self.clock.now()))
        return made

    async def rotate(self, made: NewKey, **fields: Any) -> NewKey:
        asked = {"life": DAY_MS, "overlap": 3_600_000} | fields
        return await self.store.transact(
            lambda books: access.rotate(books, KEYS, self.clock, RANDOM, made.key.id, **asked)
        )

    async def opens(self, token: Secret, *, keys: AccessKeys = KEYS) -> Principal:
        return await self.store.read(lambda books: access.authenticate(books, keys, token, self.clock.now()))

    async def refuses(self, token: str) -> None:
        with pytest.raises(ApiKeyRefused) as refusal:
            await self.opens(Secret(token))
        assert REFUSED == str(refusal.value)


async def test_a_key_speaks_for_its_holder_with_its_scopes_and_is_not_in_the_store() -> None:
    shop = Shop()
    made = await shop.add()
    principal = await shop.opens(made.token)
    assert ("bookshop", frozenset({Scope.ORDER}), True) == (principal.holder, principal.scopes, principal.live)
    access.require(principal, Scope.ORDER)
    with pytest.raises(Forbidden):
        access.require(principal, Scope.REFUND)
    secret = made.token.reveal().split("_")[3]
    assert 64 == len(secret)
    assert secret not in repr(await shop.store.read(lambda books: books.api_keys()))


async def test_secret_scanners_know_a_key_by_prefix_and_checksum() -> None:
    shop = Shop()
    live, trial = await shop.add(), await shop.add(live=False)
    for made, prefix in ((live, "tsk_live_"), (trial, "tsk_test_")):
        body, _, checksum = made.token.reveal().rpartition("_")
        assert body.startswith(prefix)
        assert f"{zlib.crc32(body.encode()):08x}" == checksum


def spoilt(token: str) -> list[str]:
    """Return what is almost the key, each wrong in one place."""
    prefix, mode, key_id, secret, checksum = token.split("_")

    def made(mode: str = mode, key_id: str = key_id, secret: str = secret) -> str:
        body = f"{prefix}_{mode}_{key_id}_{secret}"
        return f"{body}_{zlib.crc32(body.encode()):08x}"

    flipped = ("1" if secret[0] == "0" else "0") + secret[1:]
    return [
        "",
        "tsk_live_",
        token + " ",
        token.upper(),
        token.removesuffix(checksum) + "00000000",
        made(secret=flipped),
        made(secret=secret[:-1] + ("1" if secret[-1] == "0" else "0")),
        made(key_id="0" * 32),
        made(mode="test"),
        "x" * 100_000,
    ]


async def test_whatever_is_wrong_with_a_key_there_is_one_answer() -> None:
    shop = Shop()
    made = await shop.add()
    for token in spoilt(made.token.reveal()):
        await shop.refuses(token)
    await shop.opens(made.token)


async def test_every_refusal_does_the_work_of_an_acceptance(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    made = await shop.add()
    calls: Counter[str] = Counter()
    real = kdf.digest

    def counted(key: bytes, *parts: str) -> bytes:
        calls["digest"] += 1
        return real(key, *parts)

    monkeypatch.setattr("tallystick.crypto.kdf.digest", counted)
    await shop.opens(made.token)
    work = calls.total()
    assert work > 0
    for token in spoilt(made.token.reveal()):
        calls.clear()
        await shop.refuses(token)
        assert work == calls.total()


async def test_a_key_is_over_at_its_end_and_useless_once_revoked() -> None:
    shop = Shop()
    made, other = await shop.add(), await shop.add()
    now = shop.clock.now()
    await shop.store.transact(lambda books: access.revoke(books, KEYS, other.key.id, now))
    await shop.refuses(other.token.reveal())
    await shop.clock.advance(DAY_MS - 1)
    await shop.opens(made.token)
    await shop.clock.advance(1)
    await shop.refuses(made.token.reveal())


async def test_while_a_key_is_rotated_both_open_and_then_the_new_one_alone() -> None:
    shop = Shop()
    old = await shop.add()
    new = await shop.rotate(old)
    assert (await shop.opens(old.token)).holder == (await shop.opens(new.token)).holder
    await shop.clock.advance(3_600_000)
    await shop.refuses(old.token.reveal())
    assert old.key.scopes == (await shop.opens(new.token)).scopes


async def test_an_overlap_never_lengthens_the_life_of_the_old_key() -> None:
    shop = Shop()
    old = await shop.add(life=60_000)
    await shop.rotate(old)
    await shop.clock.advance(60_000)
    await shop.refuses(old.token.reveal())


async def test_rotation_at_once_leaves_the_old_key_useless() -> None:
    shop = Shop()
    old = await shop.add()
    await shop.rotate(old, overlap=0)
    await shop.refuses(old.token.reveal())


async def test_a_holder_has_two_current_keys_of_a_mode_at_most() -> None:
    shop = Shop()
    first = await shop.add()
    second = await shop.rotate(first)
    with pytest.raises(Conflict):
        await shop.add()
    with pytest.raises(Conflict):
        await shop.rotate(second)
    await shop.opens(second.token)
    await shop.add(live=False)
    await shop.add(holder="teashop")
    assert 2 == CURRENT_MAX


async def test_what_is_over_is_not_rotated_and_an_unknown_key_is_not_found() -> None:
    shop = Shop()
    made = await shop.add()
    now = shop.clock.now()
    revoked = await shop.store.transact(lambda books: access.revoke(books, KEYS, made.key.id, now))
    assert revoked == await shop.store.transact(lambda books: access.revoke(books, KEYS, made.key.id, Millis(now + 1)))
    with pytest.raises(Conflict):
        await shop.rotate(made)
    with pytest.raises(NotFound):
        await shop.store.transact(lambda books: access.revoke(books, KEYS, "key_none", now))


@pytest.mark.parametrize(
    "fields",
    [
        {"holder": ""},
        {"holder": "Book shop"},
        {"holder": "x" * 65},
        {"scopes": frozenset()},
        {"scopes": frozenset({Scope.ADMIN})},
        {"role": Role.AUDITOR, "scopes": frozenset({Scope.ORDER})},
        {"role": Role.APPROVER, "scopes": frozenset({Scope.ADMIN})},
        {"life": 0},
        {"life": LIFE_MAX_MS + 1},
    ],
)
async def test_a_key_with_too_much_or_too_little_is_refused(fields: dict[str, Any]) -> None:
    shop = Shop()
    with pytest.raises(FieldInvalid):
        await shop.add(**fields)
    assert [] == await shop.store.read(lambda books: books.api_keys())


async def test_an_overlap_is_bounded() -> None:
    shop = Shop()
    made = await shop.add()
    for overlap in (-1, OVERLAP_MAX_MS + 1):
        with pytest.raises(FieldInvalid):
            await shop.rotate(made, overlap=overlap)


def test_no_role_both_changes_and_approves_and_only_merchants_order() -> None:
    assert set(Role) == set(GRANTS)
    assert [] == [role for role, scopes in GRANTS.items() if {Scope.ADMIN, Scope.APPROVE} <= scopes]
    assert [Role.MERCHANT] == [role for role, scopes in GRANTS.items() if Scope.ORDER in scopes]


@pytest.mark.parametrize(
    "edit",
    [
        {"scopes": frozenset({Scope.ORDER, Scope.REFUND})},
        {"role": Role.OPERATOR},
        {"holder": "teashop"},
        {"expires_at": Millis(2**50)},
        {"live": False},
        {"mac": b""},
        {"digest": bytes(32)},
    ],
)
async def test_a_row_that_was_edited_in_the_database_opens_nothing(edit: dict[str, Any]) -> None:
    shop = Shop()
    made = await shop.add()
    await shop.store.transact(lambda books: books.put_api_key(replace(made.key, **edit)))
    await shop.refuses(made.token.reveal())
    with pytest.raises(Misconfigured):
        await shop.rotate(made)


async def test_a_row_moved_to_another_id_opens_nothing() -> None:
    shop = Shop()
    rich, poor = await shop.add(scopes=frozenset({Scope.REFUND})), await shop.add(holder="teashop")
    await shop.store.transact(lambda books: books.put_api_key(replace(rich.key, id=poor.key.id)))
    await shop.refuses(poor.token.reveal())
    rows.check(KEYS, rich.key)


async def test_the_last_use_is_noted_by_the_hour() -> None:
    shop = Shop()
    made = await shop.add()
    await shop.clock.advance(USE_GRAIN_MS + 123_456)
    now = shop.clock.now()
    await shop.store.transact(lambda books: access.note_use(books, made.key.id, now))
    uses = await shop.store.read(lambda books: books.key_uses())
    assert {made.key.id: now - now % USE_GRAIN_MS} == uses


async def test_a_key_outlives_a_rotation_of_the_platform_s_key_and_dies_with_the_old_one() -> None:
    shop, ring = Shop(), MemoryKeyring()
    keys = KeyringAccess(ring)
    made = await shop.add(keys=keys)
    ring.rotate(Purpose.ACCESS)
    principal = await shop.opens(made.token, keys=keys)
    assert "bookshop" == principal.holder
    ring.destroy(Purpose.ACCESS, 1)
    with pytest.raises(ApiKeyRefused):
        await shop.opens(made.token, keys=keys)


async def test_a_key_opens_nothing_before_it_is_added_and_is_added_once_as_it_was_made() -> None:
    shop = Shop()
    made = access.make(
        KEYS,
        shop.clock,
        RANDOM,
        holder="bookshop",
        role=Role.MERCHANT,
        scopes=frozenset({Scope.ORDER}),
        live=True,
        life=DAY_MS,
    )
    await shop.refuses(made.token.reveal())
    wider = replace(made.key, scopes=frozenset({Scope.REFUND}))
    for key, error in ((wider, Misconfigured), (made.key, None), (made.key, AlreadyExists)):
        with pytest.raises(error) if error is not None else contextlib.nullcontext():
            await shop.store.transact(lambda books, key=key: access.add(books, KEYS, key, shop.clock.now()))
    assert frozenset({Scope.ORDER}) == (await shop.opens(made.token)).scopes
