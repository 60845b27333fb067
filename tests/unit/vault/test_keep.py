"""Stored credentials and the one that is picked (embodiment 2)."""

import pytest
from msgspec.structs import replace

from tallystick.errors import CredentialRefused, FieldInvalid, NotFound
from tallystick.secret import Pan, Secret
from tallystick.testing.desk import ACCOUNT, BANK, WRONG, VaultDesk
from tallystick.vault.keep import store_credential
from tallystick.vault.model import CardCredential, Credential
from tallystick.vault.users import Unlocked

CARD = CardCredential(pan=Pan("4111111111111111"), expiry=Secret("3012"), pin_block=Secret("141234A1B2C3D4E5"))
ISSUER = replace(BANK, issuer=True)
OTHER = "87654321"


@pytest.fixture
def desk() -> VaultDesk:
    return VaultDesk()


@pytest.mark.parametrize("credential", [ACCOUNT, CARD, CardCredential(pan=Pan("6212345678901265"))])
async def test_the_credential_left_for_an_institution_is_picked(desk: VaultDesk, credential: Credential) -> None:
    user_id = await desk.enrol(institution=ISSUER, credential=credential)
    assert credential == await desk.pick(user_id)


async def test_a_new_credential_replaces_the_earlier_one(desk: VaultDesk) -> None:
    user_id = await desk.enrol()
    await store_credential(desk.store, desk.clock, owner=await desk.log_in(), institution=ISSUER, credential=CARD)
    assert await desk.pick(user_id) == CARD


async def test_an_element_that_belongs_to_no_user_may_carry_any_login(desk: VaultDesk) -> None:
    await desk.enrol()
    assert await desk.pick(None) == ACCOUNT


async def test_the_pin_of_a_card_is_kept_for_its_issuer_only(desk: VaultDesk) -> None:
    with pytest.raises(FieldInvalid) as refused:
        await desk.enrol(institution=BANK, credential=CARD)
    assert refused.value.field == "pin_block"


async def test_a_number_of_another_user_is_answered_like_a_wrong_password(desk: VaultDesk) -> None:
    user_id, other = await desk.enrol(), await desk.enrol("other")
    with pytest.raises(CredentialRefused) as foreign:
        await desk.pick(other)
    with pytest.raises(CredentialRefused) as wrong:
        await desk.pick(user_id, password=WRONG)
    assert str(wrong.value) == str(foreign.value)
    assert foreign.value.reason == "wrong_login"


async def test_without_a_credential_for_the_institution_nothing_is_picked(desk: VaultDesk) -> None:
    user_id = await desk.enrol()
    with pytest.raises(CredentialRefused, match="no_credential"):
        await desk.pick(user_id, institution=OTHER)


async def test_a_stored_credential_moved_to_another_institution_does_not_open(desk: VaultDesk) -> None:
    user_id = await desk.enrol()
    stored = await desk.store.transact(lambda book: book.credential(user_id, BANK.id))
    assert stored is not None
    assert b"s3cret" not in stored.sealed
    await desk.store.transact(lambda book: book.put_credential(replace(stored, institution=OTHER)))
    with pytest.raises(CredentialRefused, match="record_damaged"):
        await desk.pick(user_id, institution=OTHER)


async def test_a_stored_credential_moved_to_another_user_does_not_open(desk: VaultDesk) -> None:
    user_id, other = await desk.enrol(), await desk.enrol("other")
    stored = await desk.store.transact(lambda book: book.credential(other, BANK.id))
    assert stored is not None
    await desk.store.transact(lambda book: book.put_credential(replace(stored, user_id=user_id)))
    with pytest.raises(CredentialRefused, match="record_damaged"):
        await desk.pick(user_id)


async def test_nobody_unregistered_leaves_a_credential(desk: VaultDesk) -> None:
    stranger = Unlocked("usr_x", bytes(32))
    with pytest.raises(NotFound):
        await store_credential(desk.store, desk.clock, owner=stranger, institution=BANK, credential=ACCOUNT)
