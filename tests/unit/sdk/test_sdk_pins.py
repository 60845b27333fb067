"""The PIN key of one of our own clients: each transaction another key, whatever crashes."""

import asyncio
import stat
from pathlib import Path

import pytest

from tallystick.crypto import dukpt_aes, pin
from tallystick.crypto.dukpt_aes import DerivedType, DerivedUse
from tallystick.crypto.pin import PinFormat
from tallystick.errors import FieldInvalid, Misconfigured
from tallystick.sdk.pins import COUNTER_FILE, KEY_FILE, DevicePinKey, write_key
from tallystick.secret import Secret
from tallystick.security.pin_text import read_pin_text

DEVICE = bytes.fromhex("1234567890123456")
INITIAL = bytes(range(16))
TOKEN = "9000000000000002"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_key(tmp_path, "app-1", DEVICE, Secret(INITIAL.hex()))
    return tmp_path


def counters(*fields: Secret) -> list[int]:
    texts = [read_pin_text(field) for field in fields]
    return [dukpt_aes.counter_of(bytes.fromhex(text.ksn or "")) for text in texts if text is not None]


def test_a_block_opens_under_the_key_of_its_serial_number(place: Path) -> None:
    text = read_pin_text(DevicePinKey(place).block(Secret("135790"), TOKEN))
    assert text is not None
    ksn = bytes.fromhex(text.ksn or "")
    key = dukpt_aes.transaction_key(INITIAL, ksn, DerivedUse.PIN, DerivedType.AES_128)

    assert (4, "app-1", TOKEN, DEVICE) == (text.form, text.key, text.token, ksn[:8])
    pin.verify(bytes.fromhex(text.block.reveal()), Secret(TOKEN), key, PinFormat.ISO_4, Secret("135790"))


def test_the_counter_goes_on_after_a_restart_and_past_those_with_too_many_ones(place: Path) -> None:
    first = [DevicePinKey(place).block(Secret("1234"), TOKEN) for _ in range(3)]
    (place / COUNTER_FILE).write_text(f"{0x1FFFE:010d}\n")

    assert [1, 2, 3] == counters(*first)
    assert [0x20000] == counters(DevicePinKey(place).block(Secret("1234"), TOKEN))


async def test_two_processes_of_one_client_never_take_the_same_counter(place: Path) -> None:
    one, other = DevicePinKey(place), DevicePinKey(place)
    made = await asyncio.gather(
        *(asyncio.to_thread(key.block, Secret("1234"), TOKEN) for key in (one, other) for _ in range(20))
    )

    assert list(range(1, 41)) == sorted(counters(*made))


def test_a_pin_that_is_none_and_a_damaged_counter_are_refused(place: Path) -> None:
    with pytest.raises(FieldInvalid):
        DevicePinKey(place).block(Secret("12"), TOKEN)
    (place / COUNTER_FILE).write_text("many\n")
    with pytest.raises(Misconfigured, match="damaged"):
        DevicePinKey(place).block(Secret("1234"), TOKEN)


def test_the_files_are_closed_to_others_and_an_open_one_is_refused(place: Path) -> None:
    DevicePinKey(place).block(Secret("1234"), TOKEN)
    assert {0o600} == {stat.S_IMODE((place / name).stat().st_mode) for name in (KEY_FILE, COUNTER_FILE)}

    (place / KEY_FILE).chmod(0o644)
    with pytest.raises(Misconfigured):
        DevicePinKey(place)


def test_a_missing_or_damaged_key_file_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        DevicePinKey(tmp_path)
    path = write_key(tmp_path, "app-1", DEVICE, Secret("no hex"))
    with pytest.raises(Misconfigured) as refused:
        DevicePinKey(tmp_path)
    assert "no hex" not in str(refused.value)
    with pytest.raises(FileExistsError):
        write_key(path.parent, "app-2", DEVICE, Secret(INITIAL.hex()))
