"""That the payer holds the number of now: the dynamic number sent, or an authenticator app's code (claims 4, 7)."""

from typing import Final

from tallystick import limits
from tallystick.assembly.element import institution_element
from tallystick.crypto import totp
from tallystick.errors import CredentialRefused, FieldInvalid, NotFound
from tallystick.runtime import Clock, Millis, Randomness
from tallystick.secret import Secret
from tallystick.security.ports import Keyring, Purpose
from tallystick.vault import users
from tallystick.vault.model import User
from tallystick.vault.ports import VaultBooks, VaultStore

WRONG: Final = "wrong_number"
MISSING: Final = "number_missing"


async def require(
    store: VaultStore, keyring: Keyring, clock: Clock, *, user_id: str, institution: str, number: Secret | None
) -> None:
    """Require the number of a payer whose password was right, for a payment whose element is not the number itself.

    1. There is one: "number_missing".
    2. The try is counted, durably, before the number is compared; after `limits.PASSWORD_TRIES_MAX` in the window none
       is compared: "too_many_tries".
    3. It is the dynamic number valid now for this payer at this institution, or a code of the payer's authenticator app
       later than every one that was used: else "wrong_number". Only then are the tries forgotten.

    Raises:
        CredentialRefused: with the reasons above; "record_damaged" when the payer's record does not open.
        StoreFailed: nothing was decided.
    """
    # 1.
    if number is None:
        raise CredentialRefused(MISSING)
    counter = f"{user_id} number"

    async def count(book: VaultBooks) -> int:
        return await book.count_try(counter, clock.now(), limits.PASSWORD_TRIES_WINDOW_MS)

    # 2.
    if await store.transact(count) > limits.PASSWORD_TRIES_MAX:
        raise CredentialRefused("too_many_tries")
    shown = number

    async def compare(book: VaultBooks) -> bool:
        now, user = clock.now(), await book.user(user_id)
        right = await _is_dynamic(book, keyring, user_id, institution, shown, now)
        right = right or (user is not None and await _is_code(book, keyring, user, shown, now))
        if right:
            await book.clear_tries(counter)
        return right

    # 3.
    if not await store.transact(compare):
        raise CredentialRefused(WRONG)


async def set_up(store: VaultStore, keyring: Keyring, randomness: Randomness, *, username: str, issuer: str) -> Secret:
    """Give a payer an authenticator app's key, in the place of an earlier one; return the address for its QR code.

    Left to the caller: that who asks is this payer, or an operator who knows that.

    Raises:
        NotFound: nobody has this name.
        FieldInvalid: as `users.normal_username`.
        CredentialRefused: "record_damaged": the payer's record does not open.
    """
    name, key = users.normal_username(username), randomness.token(totp.KEY_BYTES)

    async def put(book: VaultBooks) -> None:
        user = await book.user_named(users.digest_name(keyring, name))
        if user is None:
            raise NotFound("nobody has this name")
        await book.replace_contact(user.id, users.with_app_key(keyring, user, key))

    await store.transact(put)
    return totp.provisioning_uri(key, name, issuer)


async def _is_dynamic(
    book: VaultBooks, keyring: Keyring, user_id: str, institution: str, number: Secret, now: Millis
) -> bool:
    try:
        element = institution_element(keyring.readable(Purpose.BLIND_INDEX), institution, number.reveal())
    except FieldInvalid:
        return False
    claim = await book.claim(element, now)
    return claim is not None and claim.user_id == user_id


async def _is_code(book: VaultBooks, keyring: Keyring, user: User, code: Secret, now: Millis) -> bool:
    key = users.app_key(keyring, user)
    step = totp.matching_step(key, code, now) if key is not None else None
    return step is not None and await book.use_code(user.id, step)
