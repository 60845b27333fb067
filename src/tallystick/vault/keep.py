"""Credentials that payers leave with the platform, and the one that is picked for a back end (embodiment 2)."""

import msgspec

from tallystick.crypto import box
from tallystick.crypto.binding import bind
from tallystick.errors import CredentialRefused, FieldInvalid, NotFound
from tallystick.routing.model import BackEnd
from tallystick.runtime import Clock
from tallystick.secret import Pan, Secret
from tallystick.security.pin_text import read_pin_text
from tallystick.security.ports import Keyring
from tallystick.vault import holding
from tallystick.vault.model import AccountCredential, CardCredential, Credential, StoredCredential
from tallystick.vault.ports import Stretcher, VaultBooks, VaultStore
from tallystick.vault.users import Unlocked, open_record, verify


class _Card(msgspec.Struct, frozen=True, kw_only=True, tag="card", forbid_unknown_fields=True):
    """A card as it is sealed: there is no field for a CVC, so none can be stored (PCI DSS 3.3.1.2)."""

    pan: str
    expiry: str | None = None
    pin_block: str | None = None


class _Account(msgspec.Struct, frozen=True, kw_only=True, tag="account", forbid_unknown_fields=True):
    account: str
    secret: str


async def store_credential(
    store: VaultStore, clock: Clock, *, owner: Unlocked, institution: BackEnd, credential: Credential
) -> None:
    """Store or replace a user's credential for an institution, sealed under the user's record key.

    1. A card PIN is stored only as a clear block and for an institution marked as issuer (PCI DSS 3.3.3), else
       FieldInvalid.
    2. The user is registered, else NotFound.

    Left to the caller: that the values are well formed (`security.fields`) and the institution serves their scheme.

    Raises:
        StoreFailed: nothing was stored.
    """
    # 1.
    kept_pin = credential.pin_block if isinstance(credential, CardCredential) else None
    if kept_pin is not None and read_pin_text(kept_pin) is not None:
        raise FieldInvalid(
            "a PIN block under a key of its own is for one payment and is never stored", field="pin_block"
        )
    if kept_pin is not None and not institution.issuer:
        raise FieldInvalid("the PIN of a card is stored for its issuer only", field="pin_block")
    stored = StoredCredential(
        user_id=owner.user_id,
        institution=institution.id,
        sealed=box.seal(owner.record_key, _encode(credential), _context(owner.user_id, institution.id)),
        created_at=clock.now(),
    )

    async def put(book: VaultBooks) -> None:
        # 2.
        if await book.user(owner.user_id) is None:
            raise NotFound("no such user")
        await book.put_credential(stored)

    await store.transact(put)


async def pick(
    store: VaultStore,
    keyring: Keyring,
    stretcher: Stretcher,
    clock: Clock,
    *,
    username: str,
    password: Secret,
    institution: str,
    claimed_by: str | None,
    number: Secret | None = None,
    number_needed: bool = False,
) -> Credential:
    """Pick the credential that the payer left for `institution` (patent claim 6, Fig. 4).

    `claimed_by` is the user to whom the element of this payment was issued (`Claim.user_id`); None for an element that
    belongs to no user, such as a per-transaction code.

    1. The try is counted before anything is checked (`users.verify`).
    2. The password is the user's (`users.verify`).
    3. An element that was issued to a user was issued to this one: a number of somebody else is answered like a wrong
       password.
    4. A number that is needed, or given, is one that the user holds now (`holding.require`).
    5. The user left a credential for this institution.

    Left to the caller: that the element is valid now and names this institution, and that no sender sees a reason.

    Raises:
        CredentialRefused: "too_many_tries", "wrong_login", "number_missing", "wrong_number", "no_credential", or
            "record_damaged" when a stored value does not open. The payment is refused.
        Unavailable, StoreFailed: nothing was decided.
    """
    # 1. 2.
    owner = await verify(store, keyring, stretcher, clock, username=username, password=password)
    # 3.
    if claimed_by is not None and claimed_by != owner.user_id:
        raise CredentialRefused("wrong_login")
    # 4.
    if number_needed or number is not None:
        await holding.require(store, keyring, clock, user_id=owner.user_id, institution=institution, number=number)

    async def find(book: VaultBooks) -> StoredCredential | None:
        return await book.credential(owner.user_id, institution)

    stored = await store.transact(find)
    # 5.
    if stored is None:
        raise CredentialRefused("no_credential")
    return _decode(open_record(owner.record_key, stored.sealed, _context(owner.user_id, institution)))


def _context(user_id: str, institution: str) -> bytes:
    return bind("credential", user_id, institution)


def _encode(credential: Credential) -> bytes:
    if isinstance(credential, AccountCredential):
        return msgspec.json.encode(_Account(account=credential.account.reveal(), secret=credential.secret.reveal()))
    return msgspec.json.encode(
        _Card(
            pan=credential.pan.reveal(),
            expiry=credential.expiry.reveal() if credential.expiry is not None else None,
            pin_block=credential.pin_block.reveal() if credential.pin_block is not None else None,
        )
    )


def _decode(opened: bytes) -> Credential:
    stored = msgspec.json.decode(opened, type=_Card | _Account)
    if isinstance(stored, _Account):
        return AccountCredential(account=Secret(stored.account), secret=Secret(stored.secret))
    return CardCredential(
        pan=Pan(stored.pan),
        expiry=Secret(stored.expiry) if stored.expiry is not None else None,
        pin_block=Secret(stored.pin_block) if stored.pin_block is not None else None,
    )
