"""A login whose element is not the number itself: the payer shows the number of now."""

import re
from base64 import b32decode
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace

from tallystick import limits
from tallystick.crypto import totp
from tallystick.errors import CredentialRefused, NotFound
from tallystick.routing.model import NumberPolicy
from tallystick.runtime import Millis, SystemRandomness
from tallystick.secret import Secret
from tallystick.testing.desk import ACCOUNT, BANK, WRONG, VaultDesk
from tallystick.testing.inbox import waiting_notices
from tallystick.vault import holding, keep, users
from tallystick.vault.model import Credential
from tallystick.vault.notices import open_notice
from tallystick.vault.numbers import renew

NUMBERED = replace(BANK, numbers=NumberPolicy.PLATFORM)
STEP_MS = totp.STEP_S * 1000


@pytest.fixture
def desk() -> VaultDesk:
    return VaultDesk()


async def pick(
    desk: VaultDesk, number: str | None, *, username: str = "payer", institution: str = BANK.id
) -> Credential:
    return await keep.pick(
        desk.store,
        desk.keyring,
        desk.stretcher,
        desk.clock,
        username=username,
        password=Secret("correct horse battery"),
        institution=institution,
        claimed_by=None,
        number=Secret(number) if number is not None else None,
        number_needed=True,
    )


async def refused(desk: VaultDesk, number: str | None, **changes: str) -> str:
    with pytest.raises(CredentialRefused) as refusal:
        await pick(desk, number, **changes)
    return refusal.value.reason


async def numbers_sent(desk: VaultDesk) -> list[str]:
    await renew(desk.store, desk.keyring, desk.clock, SystemRandomness(), back_end=NUMBERED, batch=10)
    notices = await waiting_notices(desk.store)
    texts = [open_notice(desk.keyring, notice).text for notice in notices]
    return sorted({found[1] for text in texts if (found := re.search(r"is (\d{8})\.", text))})


async def app_of(desk: VaultDesk, username: str = "payer") -> bytes:
    address = await holding.set_up(
        desk.store, desk.keyring, SystemRandomness(), username=username, issuer="pay.example"
    )
    return b32decode(parse_qs(urlsplit(address.reveal()).query)["secret"][0])


async def test_the_number_that_was_sent_gives_the_credential(desk: VaultDesk) -> None:
    await desk.enrol()
    (number,) = await numbers_sent(desk)
    assert ACCOUNT == await pick(desk, number)


async def test_a_stolen_password_alone_pays_nothing(desk: VaultDesk) -> None:
    await desk.enrol()
    (number,) = await numbers_sent(desk)
    wrong = f"{(int(number) + 1) % 10**8:08d}"
    assert ["number_missing", "wrong_number"] == [await refused(desk, None), await refused(desk, wrong)]


async def test_the_number_of_another_payer_or_institution_is_wrong(desk: VaultDesk) -> None:
    await desk.enrol()
    (number,) = await numbers_sent(desk)
    await desk.enrol("other")
    assert "wrong_number" == await refused(desk, number, username="other")
    assert "wrong_number" == await refused(desk, number, institution="87654321")


async def test_a_code_of_the_authenticator_app_takes_the_place_of_the_number_once(desk: VaultDesk) -> None:
    await desk.enrol()
    key = await app_of(desk)
    code = totp.code_at(key, desk.clock.now()).reveal()
    assert ACCOUNT == await pick(desk, code)
    assert "wrong_number" == await refused(desk, code)
    desk.clock.time = Millis(desk.clock.now() + STEP_MS)
    assert ACCOUNT == await pick(desk, totp.code_at(key, desk.clock.now()).reveal())
    assert "wrong_number" == await refused(desk, code)


async def test_a_new_app_ends_the_earlier_one(desk: VaultDesk) -> None:
    await desk.enrol()
    old, new = await app_of(desk), await app_of(desk)
    assert "wrong_number" == await refused(desk, totp.code_at(old, desk.clock.now()).reveal())
    assert ACCOUNT == await pick(desk, totp.code_at(new, desk.clock.now()).reveal())


async def test_an_app_leaves_the_contact_as_it_is_and_its_key_is_sealed(desk: VaultDesk) -> None:
    user_id = await desk.enrol()
    before = await desk.store.transact(lambda book: book.user(user_id))
    key = await app_of(desk)
    user = await desk.store.transact(lambda book: book.user(user_id))
    assert before is not None
    assert user is not None
    assert users.open_contact(desk.keyring, before) == users.open_contact(desk.keyring, user)
    assert key == users.app_key(desk.keyring, user)
    assert key not in user.sealed_contact


async def test_nobody_guesses_numbers_with_a_stolen_password(desk: VaultDesk) -> None:
    await desk.enrol()
    (number,) = await numbers_sent(desk)
    wrong = f"{(int(number) + 1) % 10**8:08d}"
    reasons = {await refused(desk, wrong) for _ in range(limits.PASSWORD_TRIES_MAX)}
    assert ({"wrong_number"}, "too_many_tries") == (reasons, await refused(desk, number))
    desk.clock.time = Millis(desk.clock.now() + limits.PASSWORD_TRIES_WINDOW_MS)
    assert ACCOUNT == await pick(desk, number)


async def test_the_number_is_looked_at_only_after_the_password(desk: VaultDesk) -> None:
    await desk.enrol()
    (number,) = await numbers_sent(desk)
    with pytest.raises(CredentialRefused, match="wrong_login"):
        await keep.pick(
            desk.store,
            desk.keyring,
            desk.stretcher,
            desk.clock,
            username="payer",
            password=WRONG,
            institution=BANK.id,
            claimed_by=None,
            number=Secret(number),
            number_needed=True,
        )


async def test_nobody_gets_an_app_under_a_name_that_nobody_has(desk: VaultDesk) -> None:
    with pytest.raises(NotFound):
        await app_of(desk)
