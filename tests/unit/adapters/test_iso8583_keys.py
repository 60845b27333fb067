"""Session keys taken out of key blocks: for one use, with the right check value, and not for ever."""

from typing import Any, Final

import pytest
from iso8583_world import AES_KEY, MAC_KEY, PAN, PIN, TDES_KEY, ZONE_KEY, settings

from tallystick.adapters.connectors.iso8583_keys import (
    LIFE_MS,
    OVERLAP_MS,
    PREVIOUS_MAX,
    TROUBLE_MAX,
    KeyType,
    SessionKeys,
)
from tallystick.crypto import pin, tr31
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.tr31_header import (
    BlockVersion,
    KeyAlgorithm,
    KeyBlockHeader,
    KeyUsage,
    ModeOfUse,
    OptionalBlock,
)
from tallystick.errors import (
    Forbidden,
    Malformed,
    Misconfigured,
    NotSent,
    Refused,
    SignatureInvalid,
    TallystickError,
)
from tallystick.secret import Pan, Secret
from tallystick.testing.clock import SeededRandomness, VirtualClock
from tallystick.testing.pins import MemoryPins

EXCHANGE: Final[dict[str, Any]] = {"keys": "exchange", "zone_key": ZONE_KEY, "mac_key": None, "pin_key": None}
ECHO: Final = {"t": "0800", "7": "1125000000", "11": "000001", "70": "301"}
MAC: Final = {"usage": KeyUsage.MAC_CMAC, "algorithm": KeyAlgorithm.AES, "mode": ModeOfUse.GENERATE_AND_VERIFY}
PIN_USE: Final = {"usage": KeyUsage.PIN, "algorithm": KeyAlgorithm.TDES, "mode": ModeOfUse.ENCRYPT}


def block(key: str, use: dict[str, Any], *, zone_key: str = ZONE_KEY, check_value: str | None = None) -> str:
    optional = () if check_value is None else (OptionalBlock("KC", f"00{check_value}"),)
    header = KeyBlockHeader(version=BlockVersion.D, optional=optional, **use)
    return tr31.wrap(bytes.fromhex(zone_key), header, bytes.fromhex(key), SeededRandomness())


def exchanged(clock: VirtualClock | None = None, **changes: Any) -> SessionKeys:
    return SessionKeys(settings(**EXCHANGE | changes), clock or VirtualClock())


def installed(clock: VirtualClock | None = None) -> SessionKeys:
    keys = exchanged(clock)
    keys.install(KeyType.MAC, block(MAC_KEY, MAC))
    keys.install(KeyType.PIN, block(TDES_KEY, PIN_USE))
    return keys


async def test_an_exchanged_pin_key_stays_in_its_block() -> None:
    held = repr(vars(installed()))

    assert TDES_KEY not in held.upper()
    assert repr(bytes.fromhex(TDES_KEY)) not in held


def numbered(n: int) -> str:
    return f"{n:032X}"


def test_given_keys_are_usable_at_once_and_for_ever() -> None:
    keys = SessionKeys(settings(), VirtualClock())
    for _ in range(2 * TROUBLE_MAX):
        keys.trouble()

    assert keys.usable
    assert ECHO == keys.check(keys.sign(ECHO))[0]


def test_exchanged_keys_are_usable_when_both_are_there() -> None:
    keys = exchanged()
    assert not keys.usable
    with pytest.raises(NotSent):
        keys.sign(ECHO)
    with pytest.raises(NotSent):
        keys.pin_zone()
    keys.install(KeyType.MAC, block(MAC_KEY, MAC))
    assert not keys.usable
    keys.install(KeyType.PIN, block(TDES_KEY, PIN_USE))

    assert keys.usable


@pytest.mark.parametrize("keys", [installed(), SessionKeys(settings(), VirtualClock())], ids=["exchanged", "given"])
async def test_a_pin_block_is_made_under_the_pin_key(keys: SessionKeys) -> None:
    enciphered = await MemoryPins().translate(pin.pin_block_1(Secret(PIN)), Pan(PAN), keys.pin_zone())

    pin.verify(enciphered, Pan(PAN), bytes.fromhex(TDES_KEY), PinFormat.ISO_0, Secret(PIN))


def test_the_check_value_is_returned_and_compared() -> None:
    value = tr31.check_value(KeyAlgorithm.AES, bytes.fromhex(MAC_KEY))

    assert value == exchanged().install(KeyType.MAC, block(MAC_KEY, MAC, check_value=value))
    for other in ("000000", ""):
        with pytest.raises(Malformed, match="check value"):
            exchanged().install(KeyType.MAC, block(MAC_KEY, MAC, check_value=other))


@pytest.mark.parametrize(
    ("kind", "wrapped", "error"),
    [
        (KeyType.MAC, block(TDES_KEY, PIN_USE), Forbidden),
        (KeyType.PIN, block(MAC_KEY, MAC), Forbidden),
        (KeyType.MAC, block(MAC_KEY, MAC | {"usage": KeyUsage.DATA, "mode": ModeOfUse.ANY}), Forbidden),
        (KeyType.MAC, block(MAC_KEY, MAC | {"usage": KeyUsage.MAC_RETAIL}), Forbidden),
        (KeyType.MAC, block(MAC_KEY, MAC | {"mode": ModeOfUse.VERIFY}), Malformed),
        (KeyType.PIN, block(TDES_KEY, PIN_USE | {"mode": ModeOfUse.DECRYPT}), Malformed),
        (KeyType.MAC, block(TDES_KEY, MAC | {"algorithm": KeyAlgorithm.TDES}), Malformed),
        (KeyType.PIN, block(AES_KEY, PIN_USE | {"algorithm": KeyAlgorithm.AES}), Malformed),
        (KeyType.MAC, block(ZONE_KEY, MAC), Malformed),
        (KeyType.MAC, block(MAC_KEY, MAC, zone_key=ZONE_KEY[::-1]), SignatureInvalid),
        (KeyType.MAC, "", Malformed),
        (KeyType.MAC, "no block", Malformed),
        (KeyType.PIN, block(TDES_KEY + "1122334455667788", PIN_USE), Misconfigured),
    ],
)
def test_a_key_for_another_use_or_of_another_origin_is_refused_and_changes_nothing(
    kind: KeyType, wrapped: str, error: type[TallystickError]
) -> None:
    keys = installed()
    signed = keys.sign(ECHO)
    with pytest.raises(error):
        keys.install(kind, wrapped)

    assert signed == keys.sign(ECHO)
    assert keys.usable


def test_one_key_never_serves_both_purposes() -> None:
    keys = exchanged(mac="x9.19")
    tdes = MAC | {"usage": KeyUsage.MAC_RETAIL, "algorithm": KeyAlgorithm.TDES}
    keys.install(KeyType.MAC, block(AES_KEY, tdes))
    keys.install(KeyType.PIN, block(TDES_KEY, PIN_USE))
    with pytest.raises(Malformed, match="never mix"):
        keys.install(KeyType.MAC, block(TDES_KEY, tdes))
    with pytest.raises(Misconfigured, match="never mix"):
        keys.install(KeyType.PIN, block(AES_KEY, PIN_USE))


def test_given_keys_are_not_replaced() -> None:
    keys = SessionKeys(settings(), VirtualClock())
    with pytest.raises(Malformed, match="exchanges no keys"):
        keys.install(KeyType.MAC, block(AES_KEY, MAC))


async def test_a_replaced_mac_key_is_taken_for_a_while_and_its_answers_are_signed_by_it() -> None:
    clock = VirtualClock()
    keys = installed(clock)
    old = keys.sign(ECHO)
    keys.install(KeyType.MAC, block(AES_KEY, MAC))
    new = keys.sign(ECHO)

    assert old != new
    fields, codec = keys.check(old)
    assert old == codec.sign(fields)
    await clock.advance(OVERLAP_MS)
    with pytest.raises(SignatureInvalid):
        keys.check(old)
    assert ECHO == keys.check(new)[0]


def test_only_a_few_replaced_keys_are_taken() -> None:
    keys = installed()
    signed = [keys.sign(ECHO)]
    for n in range(1, PREVIOUS_MAX + 2):
        keys.install(KeyType.MAC, block(numbered(n), MAC))
        signed.append(keys.sign(ECHO))

    with pytest.raises(SignatureInvalid):
        keys.check(signed[0])
    assert [ECHO] * (PREVIOUS_MAX + 1) == [keys.check(each)[0] for each in signed[1:]]


async def test_exchanged_keys_wear_out_after_a_day() -> None:
    clock = VirtualClock()
    keys = installed(clock)
    await clock.advance(LIFE_MS - 1)
    assert keys.usable
    await clock.advance(1)
    assert not keys.usable
    keys.install(KeyType.PIN, block(AES_KEY, PIN_USE))
    assert keys.usable


def test_exchanged_keys_are_broken_after_a_row_of_troubles() -> None:
    keys = installed()
    for _ in range(TROUBLE_MAX - 1):
        keys.trouble()
    keys.fine()
    keys.trouble()
    assert keys.usable
    for _ in range(TROUBLE_MAX - 1):
        keys.trouble()

    assert not keys.usable


@pytest.mark.parametrize(("swapped", "digits"), [(False, ("1", "2")), (True, ("2", "1"))])
def test_a_key_reset_names_the_key_type_as_the_network_writes_it(*, swapped: bool, digits: tuple[str, str]) -> None:
    keys = exchanged(swapped_key_types=swapped)

    assert tuple(f"{digit}600000000000000" for digit in digits) == (
        keys.control(KeyType.PIN),
        keys.control(KeyType.MAC),
    )
    assert [KeyType.PIN, KeyType.MAC] == [keys.kind_of(digit) for digit in digits]
    for other in ("", "0", "3"):
        with pytest.raises(Refused):
            keys.kind_of(other)
