"""From a PIN block as it was filed to one that the PIN process can translate for the card it belongs to."""

from msgspec.structs import replace

from tallystick.errors import CredentialRefused, Forbidden
from tallystick.secret import Pan
from tallystick.security.pin_text import PinText
from tallystick.vault.model import EncipheredPin
from tallystick.vault.ports import PinBinder, VaultBooks, VaultStore

NOT_BOUND = "pin_not_bound"
KEY_GONE = "pin_key_gone"


async def obtain_pin(text: PinText, pan: Pan, payment_id: str, store: VaultStore, binder: PinBinder) -> EncipheredPin:
    """Bind a filed PIN block to the card it was joined with (PCI PIN 3-3).

    1. The key is still there: an operator may have retired it.
    2. A token was used by a part of this very payment.
    3. The token is bound to this card and this payment, and to none before: the record is kept, and the PIN process
       translates for no other.

    Raises:
        CredentialRefused: KEY_GONE (1), NOT_BOUND (2 and 3). The payment is refused.
        Unavailable: the PIN process gave no answer: nothing was decided.
    """

    async def load(books: VaultBooks) -> EncipheredPin:
        key = await books.pin_key(text.key)
        # 1.
        if key is None or key.retired_at is not None:
            raise CredentialRefused(KEY_GONE)
        # 2.
        if text.token is not None:
            token = await books.pin_token(text.token)
            if token is None or token.payment_id != payment_id:
                raise CredentialRefused(NOT_BOUND)
        return EncipheredPin(
            form=text.form,
            scheme=key.scheme,
            key_block=key.key_block,
            ksn=text.ksn,
            block=text.block,
            payment_id=payment_id,
            token=text.token,
        )

    pin = await store.transact(load)
    if pin.token is None:
        return pin
    # 3.
    token = pin.token
    try:
        record = await binder.bind(token, pan, payment_id)
    except Forbidden as refused:
        raise CredentialRefused(NOT_BOUND) from refused
    if not await store.transact(lambda books: books.bind_pin_token(token, record)):
        raise CredentialRefused(NOT_BOUND)
    return replace(pin, record=record)
