"""Registration and passwords."""

from typing import NoReturn

import pytest
from msgspec.structs import replace

from tallystick import limits
from tallystick.crypto.versioned import VersionedKey, digest
from tallystick.errors import AlreadyExists, CredentialRefused, FieldInvalid, StoreFailed, Unavailable
from tallystick.secret import Secret
from tallystick.security.kept import KeptRow
from tallystick.security.ports import Purpose
from tallystick.testing.desk import CONTACT, PASSWORD, WRONG, BreakingStore, MemoryKeyring, VaultDesk
from tallystick.testing.memory_store import MemoryStore
from tallystick.vault.model import Contact, User
from tallystick.vault.users import normal_contact, normal_username, open_contact, renew


@pytest.fixture
def desk() -> VaultDesk:
    return VaultDesk()


async def find(desk: VaultDesk, name: str = "payer") -> User:
    name_digest = digest(desk.keyring.active(Purpose.BLIND_INDEX), "username", name)
    user = await desk.store.transact(lambda book: book.user_named((name_digest,)))
    assert user is not None
    return user


async def test_the_right_password_unlocks_the_same_record_key_each_time(desk: VaultDesk) -> None:
    user_id = await desk.register()
    first, second = [await desk.log_in() for _ in range(2)]
    assert user_id == first.user_id
    assert len(first.record_key) == 32
    assert first == second


async def test_one_name_written_in_another_way_is_the_same_user(desk: VaultDesk) -> None:
    user_id = await desk.register("Straße")
    assert (await desk.log_in("STRASSE")).user_id == user_id
    with pytest.raises(AlreadyExists):
        await desk.register("strasse")


async def test_a_wrong_password_and_an_unknown_name_get_one_answer_for_one_cost(desk: VaultDesk) -> None:
    await desk.register()
    answers = []
    for username in ("payer", "nobody", "", "x" * 999, "a\x00b"):
        before = desk.stretcher.runs
        with pytest.raises(CredentialRefused) as refused:
            await desk.log_in(username, WRONG)
        answers.append((refused.value.reason, str(refused.value), desk.stretcher.runs - before))
    assert {("wrong_login", answers[0][1], 1)} == set(answers)


async def test_after_the_last_try_even_the_right_password_is_not_checked(desk: VaultDesk) -> None:
    await desk.register()
    for _ in range(limits.PASSWORD_TRIES_MAX):
        with pytest.raises(CredentialRefused, match="wrong_login"):
            await desk.log_in(password=WRONG)
    with pytest.raises(CredentialRefused, match="too_many_tries"):
        await desk.log_in()
    desk.clock.pass_by(limits.PASSWORD_TRIES_WINDOW_MS)
    await desk.log_in()


async def test_a_right_password_forgets_the_wrong_ones(desk: VaultDesk) -> None:
    await desk.register()
    for _ in range(3):
        for _ in range(limits.PASSWORD_TRIES_MAX - 1):
            with pytest.raises(CredentialRefused, match="wrong_login"):
                await desk.log_in(password=WRONG)
        await desk.log_in()


async def test_nothing_is_checked_while_the_try_cannot_be_counted(desk: VaultDesk) -> None:
    await desk.register()
    before = desk.stretcher.runs
    desk.store = BreakingStore(desk.store, 0, late=False)
    with pytest.raises(StoreFailed):
        await desk.log_in()
    assert before == desk.stretcher.runs


async def test_too_many_logins_at_a_time_cost_no_payer_a_try(desk: VaultDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> NoReturn:
        raise Unavailable("too many passwords wait to be checked")

    await desk.register()
    with monkeypatch.context() as busy:
        busy.setattr(desk.stretcher, "place", full)
        for _ in range(limits.PASSWORD_TRIES_MAX + 1):
            with pytest.raises(Unavailable):
                await desk.log_in()
    await desk.log_in()


async def test_a_crash_after_counting_leaves_the_try_counted(desk: VaultDesk) -> None:
    await desk.register()
    whole = desk.store
    for _ in range(limits.PASSWORD_TRIES_MAX):
        desk.store = BreakingStore(whole, 0, late=True)
        with pytest.raises(StoreFailed):
            await desk.log_in()
    desk.store = whole
    with pytest.raises(CredentialRefused, match="too_many_tries"):
        await desk.log_in()


async def test_the_password_without_the_vault_key_opens_nothing(desk: VaultDesk) -> None:
    class StolenIndex(MemoryKeyring):
        def version(self, purpose: Purpose, version: int) -> VersionedKey:
            return MemoryKeyring("other").version(purpose, version)

    await desk.register()
    desk.keyring = StolenIndex()
    with pytest.raises(CredentialRefused, match="record_damaged"):
        await desk.log_in()


async def test_a_stored_user_holds_neither_the_verifier_nor_the_record_key_nor_the_contact_in_clear(
    desk: VaultDesk,
) -> None:
    await desk.register()
    unlocked = await desk.log_in()
    user = await find(desk)
    stored = b"".join((user.verifier, user.wrapped_key, user.sealed_contact, user.salt, user.name_digest))
    stretched = await desk.stretcher.stretch(PASSWORD, user.salt, user.kdf)
    for clear in (unlocked.record_key, stretched.verifier, stretched.wrapping_key, b"example.org", b"4915112"):
        assert clear not in stored
    assert "record_key" not in repr(unlocked)


async def test_the_contact_opens_with_the_vault_key(desk: VaultDesk) -> None:
    await desk.register()
    assert open_contact(desk.keyring, await find(desk)) == CONTACT


@pytest.mark.parametrize("length", [limits.PASSWORD_MIN - 1, limits.PASSWORD_MAX + 1])
async def test_a_password_out_of_bounds_is_refused(desk: VaultDesk, length: int) -> None:
    with pytest.raises(FieldInvalid) as refused:
        await desk.register(password=Secret("x" * length))
    assert refused.value.field == "password"


@pytest.mark.parametrize("username", ["", "x" * (limits.USERNAME_MAX + 1), "two words", "tab\t", "null\0", "\u200b"])
def test_a_name_out_of_bounds_is_refused(username: str) -> None:
    with pytest.raises(FieldInvalid):
        normal_username(username)


@pytest.mark.parametrize(
    "contact",
    [
        Contact(),
        Contact(phone="0151 1234567"),
        Contact(email="no-address"),
        Contact(email="a@b, c@example.org"),
        Contact(email="a@example.org\nBcc: b@example.org"),
        Contact(email="x" * 250 + "@example.org"),
    ],
)
def test_a_contact_that_names_nobody_or_two_is_refused(contact: Contact) -> None:
    with pytest.raises(FieldInvalid):
        normal_contact(contact)


async def test_a_user_is_found_and_logs_in_after_both_keys_were_rotated(desk: VaultDesk) -> None:
    user_id = await desk.register()
    before = await desk.log_in()
    for purpose in (Purpose.VAULT, Purpose.BLIND_INDEX):
        desk.keyring.rotate(purpose)
    assert before == await desk.log_in()
    with pytest.raises(AlreadyExists):
        await desk.register()
    assert user_id == before.user_id


async def test_a_renewed_record_needs_no_older_key_and_no_password(desk: VaultDesk) -> None:
    await desk.register()
    before, user = await desk.log_in(), await find(desk)
    for purpose in (Purpose.VAULT, Purpose.BLIND_INDEX):
        desk.keyring.rotate(purpose)
    old = KeptRow(id=user.id, values=(user.verifier, user.wrapped_key, user.sealed_contact, user.name_digest))
    verifier, wrapped_key, contact, name_digest = (value or b"" for value in renew(desk.keyring, old).values)
    renewed = replace(user, verifier=verifier, wrapped_key=wrapped_key, sealed_contact=contact, name_digest=name_digest)
    for purpose in (Purpose.VAULT, Purpose.BLIND_INDEX):
        desk.keyring.destroy(purpose, 1)
    desk.store = MemoryStore()
    await desk.store.transact(lambda book: book.add_user(renewed))
    assert before == await desk.log_in()
    assert CONTACT == open_contact(desk.keyring, renewed)
