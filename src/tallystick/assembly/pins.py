"""Whether a PIN block may come in: whose key, which transaction, over which token (ISO 9564, PCI PIN 3-3)."""

from typing import Final

from tallystick import limits
from tallystick.assembly.model import PartFacts
from tallystick.channels.model import PinKey, PinScheme, PinToken
from tallystick.channels.ports import PinBook
from tallystick.crypto import dukpt_aes, dukpt_tdes, pin_token
from tallystick.crypto.pin import PinFormat
from tallystick.errors import FieldInvalid, FieldNotAllowed, Malformed, Replayed
from tallystick.runtime import Millis, Randomness
from tallystick.secret import Secret
from tallystick.security.pin_text import FIELD, PinText, read_pin_text

PIN_FIELD: Final = "pin_block"


async def admit_pin(book: PinBook, field: Secret, *, part: PartFacts, payment_id: str) -> None:
    """Admit the PIN block of a part, in the transaction that files the part.

    1. A clear block comes only from a channel without a PIN key: who has one is never led back to less.
    2. The key is one of this channel's own.
    3. Format and serial number fit the key.
    4. The serial number's counter is higher than any before from this device.
    5. The token was given to this channel, not used before and not over: it now belongs to this part and payment.

    Left to the PIN process: whether the block opens, and the binding of the token to the card.

    Raises:
        FieldInvalid: 1, 2, 3 or 5. Nothing was used up.
        Replayed: 4.
    """
    text = read_pin_text(field)
    keys = {key.name: key for key in await book.pin_keys(part.channel_id)}
    # 1.
    if text is None:
        if keys:
            raise FieldInvalid("this channel has a PIN key and sends no clear PIN block", field=FIELD)
        return
    # 2.
    if text.key not in keys:
        raise FieldInvalid("this channel has no PIN key of this name", field=FIELD)
    # 3.
    counted = _counted(text, keys[text.key])
    # 4.
    if counted is not None and not await book.advance_pin_counter(text.key, *counted):
        raise Replayed("the PIN key's serial number was used before: take the next one")
    # 5.
    if text.token is not None and not await book.use_pin_token(
        text.token, channel_id=part.channel_id, part_id=part.id, payment_id=payment_id, now=part.received_at
    ):
        raise FieldInvalid("the token was not given to this channel, is used or over: ask for a new one", field=FIELD)


async def issue_token(book: PinBook, channel_id: str, randomness: Randomness, now: Millis) -> PinToken:
    """Give a channel a number to build one format 4 block over.

    Raises FieldNotAllowed for a channel without a PIN key: it has nothing to build a block with.
    """
    if not await book.pin_keys(channel_id):
        raise FieldNotAllowed("this channel has no PIN key, so it needs no token", field=PIN_FIELD)
    token = PinToken(
        token=pin_token.new_token(randomness),
        channel_id=channel_id,
        issued_at=now,
        expires_at=Millis(now + limits.SECRET_LIFE_MS),
    )
    await book.add_pin_token(token)
    return token


def _counted(text: PinText, key: PinKey) -> tuple[str, int] | None:
    """Return the device and counter of the serial number; None under a fixed key. Raises FieldInvalid."""
    if key.scheme is PinScheme.FIXED:
        if text.ksn is not None:
            raise FieldInvalid("this PIN key has no serial number (ksn)", field=FIELD)
        return None
    if text.ksn is None:
        raise FieldInvalid("this PIN key needs a serial number (ksn)", field=FIELD)
    ksn = bytes.fromhex(text.ksn)
    try:
        if key.scheme is PinScheme.DUKPT_AES:
            return ksn[: dukpt_aes.ID_BYTES].hex(), dukpt_aes.counter_of(ksn)
        if text.form == PinFormat.ISO_4:
            raise FieldInvalid("a format 4 block is under an AES key", field=FIELD)
        return dukpt_tdes.device_of(ksn).hex(), dukpt_tdes.counter_of(ksn)
    except Malformed as wrong:
        raise FieldInvalid(wrong.detail, field=FIELD) from wrong
