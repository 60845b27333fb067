"""The PIN box: which keys it takes, and what it never does."""

import msgspec
import pytest

from tallystick.channels.model import PinScheme
from tallystick.crypto import dukpt_aes, dukpt_tdes, pin, tr31
from tallystick.crypto.dukpt_aes import DerivedType, DerivedUse
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.tr31_header import BlockVersion, KeyAlgorithm, KeyBlockHeader, KeyUsage, ModeOfUse
from tallystick.delivery.model import ZoneKey
from tallystick.errors import FieldInvalid, Forbidden, Malformed, SignatureInvalid, TallystickError
from tallystick.secret import Pan, Secret
from tallystick.testing.clock import SeededRandomness
from tallystick.testing.pins import MemoryPins
from tallystick.vault.model import EncipheredPin

TRANSPORT = bytes(range(32))
TDES = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
AES = bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1")
ZONE = ZoneKey(form=0, key=TDES[::-1].hex())
PAN = Pan("6221558812340000")
PIN = Secret("123456")
TOKEN = "9000000000000002"
AES_KSN = bytes.fromhex("123456789012345600000001")
TDES_KSN = bytes.fromhex("FFFF9876543210E00001")
DERIVE = {"usage": KeyUsage.BASE_DERIVATION, "mode": ModeOfUse.DERIVE}
PIN_USE = {"usage": KeyUsage.PIN, "mode": ModeOfUse.DECRYPT}


def carried(key: bytes, algorithm: KeyAlgorithm, use: dict[str, object], transport: bytes = TRANSPORT) -> str:
    header = KeyBlockHeader(version=BlockVersion.D, algorithm=algorithm, **use)  # type: ignore[arg-type]  # as named
    return tr31.wrap(transport, header, key, SeededRandomness())


async def imported(pins: MemoryPins, scheme: PinScheme, block: str) -> str:
    return await pins.import_key(scheme, Secret(TRANSPORT.hex()), block)


def entered(form: PinFormat, key: bytes, scheme: PinScheme, key_block: str, ksn: bytes | None) -> EncipheredPin:
    over = None if form is PinFormat.ISO_1 else Secret(TOKEN)
    return EncipheredPin(
        form=form,
        scheme=scheme,
        key_block=key_block,
        block=Secret(pin.encipher(PIN, form, key, over).hex()),
        payment_id="pay_1",
        ksn=None if ksn is None else ksn.hex(),
        token=TOKEN if over else None,
    )


async def bound(pins: MemoryPins, block: EncipheredPin) -> EncipheredPin:
    return msgspec.structs.replace(block, record=await pins.bind(TOKEN, PAN, "pay_1"))


async def test_a_terminals_block_under_a_tdes_dukpt_key_reaches_the_back_ends_key() -> None:
    pins = MemoryPins()
    held = await imported(pins, PinScheme.DUKPT_TDES, carried(TDES, KeyAlgorithm.TDES, DERIVE))
    key = dukpt_tdes.pin_key(dukpt_tdes.initial_key(TDES, TDES_KSN), TDES_KSN)
    made = await pins.translate(entered(PinFormat.ISO_1, key, PinScheme.DUKPT_TDES, held, TDES_KSN), PAN, ZONE)

    pin.verify(made, PAN, TDES[::-1], PinFormat.ISO_0, PIN)


async def test_a_terminals_block_under_a_key_of_its_own_reaches_the_back_ends_key() -> None:
    pins = MemoryPins()
    held = await imported(pins, PinScheme.FIXED, carried(TDES, KeyAlgorithm.TDES, PIN_USE))
    made = await pins.translate(entered(PinFormat.ISO_1, TDES, PinScheme.FIXED, held, None), PAN, ZONE)

    pin.verify(made, PAN, TDES[::-1], PinFormat.ISO_0, PIN)


@pytest.mark.parametrize(
    ("form", "kind"), [(PinFormat.ISO_1, DerivedType.TDES_2), (PinFormat.ISO_4, DerivedType.AES_128)]
)
async def test_blocks_of_both_formats_under_an_aes_dukpt_key_reach_the_back_ends_key(
    form: PinFormat, kind: DerivedType
) -> None:
    pins = MemoryPins()
    held = await imported(pins, PinScheme.DUKPT_AES, carried(AES, KeyAlgorithm.AES, DERIVE))
    key = dukpt_aes.transaction_key(dukpt_aes.initial_key(AES, AES_KSN[:8]), AES_KSN, DerivedUse.PIN, kind)
    block = entered(form, key, PinScheme.DUKPT_AES, held, AES_KSN)
    made = await pins.translate(await bound(pins, block) if form is PinFormat.ISO_4 else block, PAN, ZONE)

    pin.verify(made, PAN, TDES[::-1], PinFormat.ISO_0, PIN)


async def test_a_made_key_serves_the_device_that_got_its_initial_key() -> None:
    pins = MemoryPins()
    held = await pins.make_key()
    initial = bytes.fromhex((await pins.device_key(held, AES_KSN[:8])).reveal())
    key = dukpt_aes.transaction_key(initial, AES_KSN, DerivedUse.PIN, DerivedType.AES_128)
    block = await bound(pins, entered(PinFormat.ISO_4, key, PinScheme.DUKPT_AES, held, AES_KSN))
    zone = ZoneKey(form=4, key=AES.hex())

    pin.verify(await pins.translate(block, PAN, zone), PAN, AES, PinFormat.ISO_4, PIN)


async def test_a_block_over_a_token_needs_its_record() -> None:
    pins = MemoryPins()
    held = await imported(pins, PinScheme.FIXED, carried(AES, KeyAlgorithm.AES, PIN_USE))
    block = entered(PinFormat.ISO_4, AES, PinScheme.FIXED, held, None)

    with pytest.raises(Forbidden):
        await pins.translate(block, PAN, ZONE)
    with pytest.raises(Forbidden):
        await pins.translate(await bound(pins, block), Pan("6221558812340001"), ZONE)
    await pins.translate(await bound(pins, block), PAN, ZONE)


async def test_a_base_key_never_opens_a_block_itself_nor_a_pin_key_derives() -> None:
    pins = MemoryPins()
    base = await imported(pins, PinScheme.DUKPT_TDES, carried(TDES, KeyAlgorithm.TDES, DERIVE))
    own = await imported(pins, PinScheme.FIXED, carried(TDES, KeyAlgorithm.TDES, PIN_USE))

    with pytest.raises(Forbidden):
        await pins.translate(entered(PinFormat.ISO_1, TDES, PinScheme.FIXED, base, None), PAN, ZONE)
    with pytest.raises(Forbidden):
        await pins.translate(entered(PinFormat.ISO_1, TDES, PinScheme.DUKPT_TDES, own, TDES_KSN), PAN, ZONE)


async def test_a_key_of_the_other_algorithm_is_refused_though_it_has_the_right_length() -> None:
    """An AES-128 key has as many bytes as a double-length TDES key: only its block tells them apart."""
    pins = MemoryPins()
    aes = await imported(pins, PinScheme.FIXED, carried(AES, KeyAlgorithm.AES, PIN_USE))
    zone = ZoneKey(form=0, key=TRANSPORT.hex(), block=carried(AES, KeyAlgorithm.AES, PIN_USE))

    with pytest.raises(Forbidden):
        await pins.translate(entered(PinFormat.ISO_1, AES, PinScheme.FIXED, aes, None), PAN, ZONE)
    with pytest.raises(Forbidden):
        await pins.translate(pin.pin_block_1(PIN), PAN, zone)


async def test_a_derived_key_needs_a_serial_number() -> None:
    pins = MemoryPins()
    base = await imported(pins, PinScheme.DUKPT_TDES, carried(TDES, KeyAlgorithm.TDES, DERIVE))

    with pytest.raises(FieldInvalid):
        await pins.translate(entered(PinFormat.ISO_1, TDES, PinScheme.DUKPT_TDES, base, None), PAN, ZONE)


@pytest.mark.parametrize(
    ("scheme", "block", "error"),
    [
        (PinScheme.FIXED, carried(TDES, KeyAlgorithm.TDES, DERIVE), Forbidden),
        (PinScheme.DUKPT_TDES, carried(TDES, KeyAlgorithm.TDES, PIN_USE), Forbidden),
        (PinScheme.FIXED, carried(TDES, KeyAlgorithm.TDES, PIN_USE | {"mode": ModeOfUse.ENCRYPT}), Forbidden),
        (PinScheme.DUKPT_AES, carried(TDES, KeyAlgorithm.TDES, DERIVE), Malformed),
        (PinScheme.DUKPT_TDES, carried(AES, KeyAlgorithm.AES, DERIVE), Malformed),
        (PinScheme.FIXED, carried(TDES, KeyAlgorithm.TDES, PIN_USE, TRANSPORT[::-1]), SignatureInvalid),
        (PinScheme.FIXED, "no block", Malformed),
    ],
)
async def test_a_key_for_another_use_or_of_another_origin_is_not_taken(
    scheme: PinScheme, block: str, error: type[TallystickError]
) -> None:
    with pytest.raises(error):
        await imported(MemoryPins(), scheme, block)


async def test_a_key_block_of_another_box_is_refused() -> None:
    held = await MemoryPins(SeededRandomness(1)).make_key()

    with pytest.raises(SignatureInvalid):
        await MemoryPins(SeededRandomness(2)).device_key(held, AES_KSN[:8])


async def test_a_back_ends_key_is_taken_out_of_its_block_for_pins_only() -> None:
    pins = MemoryPins()
    clear = pin.pin_block_1(PIN)
    good = ZoneKey(
        form=0, key=TRANSPORT.hex(), block=carried(TDES, KeyAlgorithm.TDES, PIN_USE | {"mode": ModeOfUse.ENCRYPT})
    )
    bad = ZoneKey(form=0, key=TRANSPORT.hex(), block=carried(TDES, KeyAlgorithm.TDES, DERIVE))

    pin.verify(await pins.translate(clear, PAN, good), PAN, TDES, PinFormat.ISO_0, PIN)
    with pytest.raises(Forbidden):
        await pins.translate(clear, PAN, bad)


def test_no_message_or_model_shows_what_it_holds() -> None:
    shown = repr(entered(PinFormat.ISO_1, TDES, PinScheme.FIXED, "D0000", None)) + repr(ZONE)

    assert TDES[::-1].hex() not in shown
    assert pin.encipher(PIN, PinFormat.ISO_1, TDES).hex() not in shown
