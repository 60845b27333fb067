"""What the PIN process does with its keys. Nothing but a translated block, a record or a wrapped key leaves it.

The one exception is `DeviceKey`: a device's initial key goes to the profile of that device.
"""

from typing import Final, assert_never

from tallystick.adapters.pins.messages import (
    Answered,
    Asked,
    Bind,
    DeviceKey,
    Done,
    Failed,
    ImportKey,
    MakeKey,
    Translate,
    TranslateClear,
)
from tallystick.channels.model import PinScheme
from tallystick.crypto import dukpt_aes, dukpt_tdes, pin_token, pin_translate, tr31
from tallystick.crypto.dukpt_aes import DerivedType, DerivedUse
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.pin_translate import Block, Bound
from tallystick.crypto.tr31_header import BlockVersion, KeyAlgorithm, KeyBlockHeader, KeyUsage, ModeOfUse
from tallystick.delivery.model import ZoneKey
from tallystick.errors import FieldInvalid, Forbidden, Malformed, TallystickError
from tallystick.runtime import Randomness
from tallystick.secret import Pan, Secret

BASE_KEY_BYTES: Final = 32  # AES-256, whatever is derived from it
USAGES: Final = {
    PinScheme.FIXED: KeyUsage.PIN,
    PinScheme.DUKPT_AES: KeyUsage.BASE_DERIVATION,
    PinScheme.DUKPT_TDES: KeyUsage.BASE_DERIVATION,
}
ALGORITHMS: Final = {form: KeyAlgorithm.AES if form is PinFormat.ISO_4 else KeyAlgorithm.TDES for form in PinFormat}
"""Which key a block of each format is under."""
BASES: Final = {PinScheme.DUKPT_AES: KeyAlgorithm.AES, PinScheme.DUKPT_TDES: KeyAlgorithm.TDES}
"""Which base key a scheme derives from."""
MODES: Final = {KeyUsage.PIN: ModeOfUse.DECRYPT, KeyUsage.BASE_DERIVATION: ModeOfUse.DERIVE}
TAKEN_MODES: Final = {
    KeyUsage.PIN: frozenset({ModeOfUse.DECRYPT, ModeOfUse.ENCRYPT_AND_DECRYPT, ModeOfUse.ANY}),
    KeyUsage.BASE_DERIVATION: frozenset({ModeOfUse.DERIVE, ModeOfUse.ANY}),
}


class PinBox:
    """The keys of the PIN process, and what it answers.

    `master` (32 bytes) protects key blocks, `binding` (32 bytes) binds tokens; neither ever leaves.
    """

    def __init__(self, master: bytes, binding: bytes, randomness: Randomness) -> None:
        self._master = master
        self._binding = binding
        self._randomness = randomness

    def answer(self, message: Asked) -> Answered:
        """Do what is asked; a refusal names its error and never a value."""
        try:
            return Done(self._do(message))
        except TallystickError as refused:
            return Failed(type(refused).__name__, refused.detail)

    def _do(self, message: Asked) -> str:
        match message:
            case Translate():
                return self._translate(message)
            case TranslateClear():
                key, form = self._zone(message.zone)
                return pin_translate.translate_clear(Secret(message.block), Pan(message.pan), key, form).hex().upper()
            case Bind():
                return pin_token.record(self._binding, message.token, Pan(message.pan), message.payment_id).hex()
            case MakeKey():
                base = self._randomness.token(BASE_KEY_BYTES)
                return self._wrapped(KeyUsage.BASE_DERIVATION, KeyAlgorithm.AES, base)
            case ImportKey():
                return self._import(message)
            case DeviceKey():
                base = self._unwrapped(message.key, KeyUsage.BASE_DERIVATION, KeyAlgorithm.AES)
                return dukpt_aes.initial_key(base, _hex(message.device)).hex().upper()
            case _:
                assert_never(message)

    def _translate(self, message: Translate) -> str:
        """Translate as `crypto.pin_translate.translate`, under the key of this one transaction."""
        form = PinFormat(message.form)
        ksn = None if message.ksn is None else _hex(message.ksn)
        source = Block(form, self._source_key(message.scheme, message.key, form, ksn), _hex(message.block))
        bound = None
        if message.token is not None:
            bound = Bound(message.token, _hex(message.record or ""), message.payment_id, self._binding)
        key, target = self._zone(message.zone)
        return pin_translate.translate(source, Pan(message.pan), key, target, bound).hex().upper()

    def _source_key(self, scheme: PinScheme, block: str, form: PinFormat, ksn: bytes | None) -> bytes:
        key = self._unwrapped(block, USAGES[scheme], ALGORITHMS[form] if scheme is PinScheme.FIXED else BASES[scheme])
        if scheme is PinScheme.FIXED:
            return key
        if ksn is None:
            raise FieldInvalid("this PIN key needs a serial number (ksn)", field="fields.pin_block")
        if scheme is PinScheme.DUKPT_TDES:
            return dukpt_tdes.pin_key(dukpt_tdes.initial_key(key, ksn), ksn)
        kind = DerivedType.AES_128 if form is PinFormat.ISO_4 else DerivedType.TDES_2
        initial = dukpt_aes.initial_key(key, ksn[: dukpt_aes.ID_BYTES])
        return dukpt_aes.transaction_key(initial, ksn, DerivedUse.PIN, kind)

    def _zone(self, zone: ZoneKey) -> tuple[bytes, PinFormat]:
        """Return the back end's key and format: given clear, or as a block under the zone key or the master key."""
        form = PinFormat(zone.form)
        if zone.block is None:
            return _hex(zone.key or ""), form
        protection = self._master if zone.key is None else _hex(zone.key)
        return _opened(protection, zone.block, KeyUsage.PIN, ALGORITHMS[form]), form

    def _import(self, message: ImportKey) -> str:
        """Take a foreign key.

        1. The block opens under the transport key, for the scheme's usage.
        2. Its mode lets us do our part.
        3. Its algorithm is the scheme's.
        """
        usage = USAGES[message.scheme]
        # 1.
        opened = tr31.unwrap(_hex(message.transport), message.block, usage=usage)
        # 2.
        if opened.header.mode not in TAKEN_MODES[usage]:
            raise Forbidden("the key block's mode of use does not let this side decipher or derive")
        # 3.
        algorithm = opened.header.algorithm
        if algorithm is not BASES.get(message.scheme, algorithm):
            raise Malformed("the key in the key block is for another algorithm than the scheme")
        return self._wrapped(usage, algorithm, _hex(opened.key.reveal()))

    def _wrapped(self, usage: KeyUsage, algorithm: KeyAlgorithm, key: bytes) -> str:
        header = KeyBlockHeader(version=BlockVersion.D, usage=usage, algorithm=algorithm, mode=MODES[usage])
        return tr31.wrap(self._master, header, key, self._randomness)

    def _unwrapped(self, block: str, usage: KeyUsage, algorithm: KeyAlgorithm) -> bytes:
        return _opened(self._master, block, usage, algorithm)


def _opened(protection: bytes, block: str, usage: KeyUsage, algorithm: KeyAlgorithm) -> bytes:
    """Take a key out of its block for one usage and algorithm; raises as `tr31.unwrap`."""
    opened = tr31.unwrap(protection, block, usage=usage)
    if opened.header.algorithm is not algorithm:
        raise Forbidden("the key block's key is for another algorithm")
    return _hex(opened.key.reveal())


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        broken = Malformed("bytes are not given in hexadecimal")
    raise broken
