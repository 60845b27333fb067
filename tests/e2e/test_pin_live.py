"""PINs over real TLS, with the real PIN process: they pay, and the process that serves never has one."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from live_platform import (
    CARD,
    EXPIRY,
    LONG_PIN,
    LONG_PIN_CARD,
    PIN,
    Live,
    a_payment,
    enrol,
    live_platform,
    memory,
    until,
)

from tallystick.bootstrap.parts import pin_process
from tallystick.channels.model import PinScheme
from tallystick.cli import administer
from tallystick.crypto import dukpt_tdes, pin, tr31
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.tr31_header import BlockVersion, KeyAlgorithm, KeyBlockHeader, KeyUsage, ModeOfUse
from tallystick.runtime import SystemRandomness
from tallystick.sdk.errors import PlatformProblem
from tallystick.sdk.pins import COUNTER_FILE, KEY_FILE, DevicePinKey, write_key
from tallystick.secret import Secret
from tallystick.security.pin_text import PinText
from tallystick.wire.part import PartContent, PhoneElement

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TDES = bytes.fromhex("FEDCBA98765432100123456789ABCDEF")
TRANSPORT = bytes(range(32))
DEVICE = bytes.fromhex("1234567890123456")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    home = tmp_path_factory.mktemp("pin")
    async with live_platform(home) as running:
        async with running.office() as desk:
            await enrol(running, desk, "till", "pin_block")
            header = KeyBlockHeader(
                version=BlockVersion.B,
                usage=KeyUsage.BASE_DERIVATION,
                algorithm=KeyAlgorithm.TDES,
                mode=ModeOfUse.DERIVE,
            )
            carried = tr31.wrap(TRANSPORT[8:], header, TDES, SystemRandomness())
            async with pin_process(desk) as pins:
                own = await pins.make_key()
                write_key(home, "app-1", DEVICE, await pins.device_key(own, DEVICE))
                foreign = await pins.import_key(PinScheme.DUKPT_TDES, Secret(TRANSPORT[8:].hex()), carried)
            for name, channel, scheme, block in (
                ("app-1", "phone", PinScheme.DUKPT_AES, own),
                ("till-7", "till", PinScheme.DUKPT_TDES, foreign),
            ):
                sender = running.profiles[channel].credentials.sender
                await administer.add_pin_key(desk, name, sender, scheme, block)
        yield running


def serving(live: Live) -> int:
    process = live.child._process
    assert process is not None
    return process.pid


def pin_process_of(live: Live) -> int:
    pid = serving(live)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    named = [child for child in children if "adapters.pins.program" in Path(f"/proc/{child}/cmdline").read_text()]
    assert 1 == len(named)
    return int(named[0])


async def send(live: Live, channel: str, field: Secret, amount: int, card: str = CARD) -> str:
    first, second = a_payment(amount)
    shown = PartContent(
        policy="card",
        element=first.element,
        fields={"pan": Secret(card), "expiry": Secret(EXPIRY)},
        order=first.order,
    )
    await live.client("pc").send_part(shown)
    content = PartContent(policy="card", element=second.element, fields={"pin_block": field})
    return (await live.client(channel).send_part(content)).part


async def own(live: Live, entered: str) -> Secret:
    token = await live.client("phone").pin_token()
    return DevicePinKey(live.home).block(Secret(entered), token.token)


def foreign(counter: int, entered: str = PIN) -> Secret:
    ksn = (int.from_bytes(bytes.fromhex("FFFF9876543210E00000")) | counter).to_bytes(10)
    key = dukpt_tdes.pin_key(dukpt_tdes.initial_key(TDES, ksn), ksn)
    block = Secret(pin.encipher(Secret(entered), PinFormat.ISO_1, key).hex().upper())
    return PinText(form=1, key="till-7", ksn=ksn.hex().upper(), block=block).write()


def verified(live: Live, amount: int) -> list[object]:
    return [entry["pin"] for entry in live.sandbox.record.entries if entry.get("amount") == amount]


async def test_both_ways_pay_and_the_bank_verifies_their_pins(live: Live) -> None:
    assert "approved" == await live.outcome(await send(live, "phone", await own(live, PIN), 4_101))
    assert "approved" == await live.outcome(await send(live, "till", foreign(1), 4_102), "till")
    assert [["verified"], ["verified"]] == [verified(live, 4_101), verified(live, 4_102)]


async def test_the_command_line_asks_for_a_pin_and_sends_it_under_the_profiles_key(live: Live) -> None:
    profile = live.home / "profiles" / "phone"
    written = msgspec.json.decode((profile / "profile.json").read_bytes(), type=dict[str, object])
    written["base_url"] = f"https://localhost:{live.child.port}"
    (profile / "profile.json").write_bytes(msgspec.json.encode(written))
    for name in (KEY_FILE, COUNTER_FILE):
        if (live.home / name).exists():
            (live.home / name).rename(profile / name)
            (live.home / name).symlink_to(profile / name)
    first, second = a_payment(4_109)
    await live.client("pc").send_part(first)
    assert isinstance(second.element, PhoneElement)
    command = ("part", "send", "--profile", str(profile), "--policy", "card", "--pin", "--json", "--element")
    sending = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tallystick.cli.main", *command, f"phone={second.element.phone}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await sending.communicate(f"{PIN}\n".encode())

    assert 0 == sending.returncode
    assert "approved" == await live.outcome(msgspec.json.decode(said, type=dict[str, Any])["part"])
    assert ["verified"] == verified(live, 4_109)


async def test_a_wrong_pin_is_the_banks_to_refuse(live: Live) -> None:
    assert "declined" == await live.outcome(await send(live, "phone", await own(live, "135791"), 4_103))
    assert ["wrong"] == verified(live, 4_103)


async def test_a_serial_number_stays_used_after_a_restart(live: Live) -> None:
    await live.outcome(await send(live, "till", foreign(20), 4_104), "till")
    await live.kill()
    await live.start()
    for counter in (20, 7):
        with pytest.raises(PlatformProblem) as refused:
            await send(live, "till", foreign(counter), 4_105)
        assert "replayed" == refused.value.code
    assert "approved" == await live.outcome(await send(live, "till", foreign(21), 4_106), "till")


async def test_a_pin_process_that_died_is_replaced_and_no_payment_is_lost(live: Live) -> None:
    before = pin_process_of(live)
    os.kill(before, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{before}/cmdline").exists())

    assert "approved" == await live.outcome(await send(live, "phone", await own(live, PIN), 4_107))
    assert before != pin_process_of(live)


async def test_the_process_that_serves_never_has_a_clear_pin(live: Live) -> None:
    """What it proves: after a payment no text or block of the PIN is in writable memory, freed or not.

    The other process has them for a moment, and Python cannot erase them there.
    """
    part = await send(live, "phone", await own(live, LONG_PIN), 4_108, LONG_PIN_CARD)
    assert "approved" == await live.outcome(part)
    assert ["verified"] == verified(live, 4_108)
    seen = memory(serving(live))

    assert LONG_PIN_CARD[-12:].encode() in seen  # the look sees what such a process holds: the card number it joined
    assert LONG_PIN.encode() not in seen
    assert bytes.fromhex(LONG_PIN) not in seen


async def test_the_pin_process_ends_with_the_one_that_serves(live: Live) -> None:
    pid = pin_process_of(live)
    await live.kill()
    await until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())
    await live.start()
