"""The PIN process: apart, private, restarted, and closed when it fails."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Never

import pytest

from tallystick.adapters.helper.frames import LENGTH, body_length, frame
from tallystick.adapters.pins import process, program
from tallystick.adapters.pins.messages import MESSAGE_MAX, Bind, MakeKey, answered
from tallystick.adapters.pins.process import PinProcess
from tallystick.crypto import pin
from tallystick.crypto.pin import PinFormat
from tallystick.delivery.model import ZoneKey
from tallystick.errors import Forbidden, Malformed, Misconfigured, Unavailable
from tallystick.runtime import SystemClock
from tallystick.secret import Pan, Secret
from tallystick.testing.clock import SeededRandomness

TDES = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
ZONE = ZoneKey(form=0, key=TDES.hex())
PAN = Pan("6221558812340000")
PIN = Secret("123456")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
async def pins(place: Path) -> AsyncIterator[PinProcess]:
    made = PinProcess(place, SystemClock())
    await made.start()
    yield made
    await made.aclose()


def modes(place: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in place.iterdir()}


async def test_a_pin_block_is_translated_in_another_process(pins: PinProcess) -> None:
    made = await pins.translate(pin.pin_block_1(PIN), PAN, ZONE)

    pin.verify(made, PAN, TDES, PinFormat.ISO_0, PIN)
    assert pins.pid not in {None, os.getpid()}


async def test_its_keys_are_private_files_that_outlive_it(pins: PinProcess, place: Path) -> None:
    first = await pins.bind("9000000000000002", PAN, "pay_1")
    await pins.aclose()
    again = PinProcess(place, SystemClock())
    try:
        assert first == await again.bind("9000000000000002", PAN, "pay_1")
    finally:
        await again.aclose()
    assert {"master.key": 0o600, "binding.key": 0o600} == modes(place)


async def test_a_refusal_comes_back_as_itself_and_the_process_lives(pins: PinProcess) -> None:
    before = pins.pid
    with pytest.raises(Forbidden):
        await pins.bind("6221558812340000", PAN, "pay_1")
    with pytest.raises(Misconfigured):
        await pins.translate(pin.pin_block_1(PIN), PAN, ZoneKey(form=0, key="00"))
    with pytest.raises(Malformed):
        await pins.translate(pin.pin_block_1(PIN), PAN, ZoneKey(form=7, key=TDES.hex()))

    assert before == pins.pid


async def test_it_is_started_again_when_it_died(pins: PinProcess) -> None:
    assert pins.pid is not None
    os.kill(pins.pid, signal.SIGKILL)
    with contextlib.suppress(Unavailable):  # noticed by the exchange, or before it
        await pins.make_key()

    assert await pins.make_key()


async def test_one_that_hangs_is_ended_in_time(pins: PinProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ANSWER_S", 0.1)
    assert pins.pid is not None
    os.kill(pins.pid, signal.SIGSTOP)
    with pytest.raises(Unavailable):
        await pins.make_key()
    monkeypatch.undo()

    assert await pins.make_key()


async def test_a_caller_that_goes_away_takes_no_others_answer(pins: PinProcess) -> None:
    expected = await pins.bind("9000000000000002", PAN, "pay_1")
    assert pins.pid is not None
    os.kill(pins.pid, signal.SIGSTOP)
    going = asyncio.create_task(pins.make_key())
    await asyncio.sleep(0.05)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    os.kill(pins.pid, signal.SIGCONT)

    assert expected == await pins.bind("9000000000000002", PAN, "pay_1")


async def test_many_at_once_each_get_their_own_answer(pins: PinProcess) -> None:
    payments = [f"pay_{n}" for n in range(20)]
    one_by_one = [await pins.bind("9000000000000002", PAN, payment) for payment in payments]

    assert one_by_one == await asyncio.gather(*(pins.bind("9000000000000002", PAN, payment) for payment in payments))


async def test_nobody_waits_for_the_answer_of_another_before_asking(pins: PinProcess) -> None:
    assert pins.pid is not None
    asking = pins._asking
    assert asking is not None
    os.kill(pins.pid, signal.SIGSTOP)
    waiting = [asyncio.create_task(pins.bind("9000000000000002", PAN, f"pay_{n}")) for n in range(20)]
    await asyncio.sleep(0)
    assert len(waiting) == len(asking._owed)
    os.kill(pins.pid, signal.SIGCONT)

    assert len(set(await asyncio.gather(*waiting))) == len(waiting)


async def test_all_who_wait_are_told_when_it_dies(pins: PinProcess) -> None:
    assert pins.pid is not None
    os.kill(pins.pid, signal.SIGSTOP)
    waiting = [asyncio.create_task(pins.make_key()) for _ in range(5)]
    await asyncio.sleep(0)
    os.kill(pins.pid, signal.SIGKILL)
    ended = await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(each, Unavailable) for each in ended)
    assert await pins.make_key()


async def test_more_than_the_bound_are_refused(pins: PinProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ASKED_MAX", 3)
    assert pins.pid is not None
    os.kill(pins.pid, signal.SIGSTOP)
    waiting = [asyncio.create_task(pins.make_key()) for _ in range(5)]
    await asyncio.sleep(0.05)
    os.kill(pins.pid, signal.SIGCONT)
    ended = await asyncio.gather(*waiting, return_exceptions=True)

    assert 2 == sum(isinstance(each, Unavailable) for each in ended)


async def test_one_that_never_starts_is_not_tried_again_at_once(tmp_path: Path) -> None:
    broken = PinProcess(tmp_path / "missing", SystemClock())
    with pytest.raises(Misconfigured):
        await broken.start()
    with pytest.raises(Unavailable):
        await broken.make_key()


def test_a_directory_or_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(Misconfigured, match="chmod 700"):
        program.load_box(tmp_path, SeededRandomness())
    tmp_path.chmod(0o700)
    program.load_box(tmp_path, SeededRandomness())
    (tmp_path / "master.key").chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod 600"):
        program.load_box(tmp_path, SeededRandomness())


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    program.load_box(tmp_path, SeededRandomness())
    (tmp_path / "binding.key").write_bytes(b"short")
    with pytest.raises(Misconfigured, match="damaged"):
        program.load_box(tmp_path, SeededRandomness())


def test_it_ends_with_the_process_that_started_it_and_answers_nonsense_with_a_refusal(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    nonsense = LENGTH.pack(2) + b"{}"
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-I", "-m", program.__name__, str(tmp_path)],
        input=nonsense + frame(MakeKey()),
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert 0 == done.returncode
    answers = []
    rest = done.stdout
    while rest:
        length = body_length(rest[: LENGTH.size], MESSAGE_MAX)
        answers.append(type(answered.decode(rest[LENGTH.size : LENGTH.size + length])).__name__)
        rest = rest[LENGTH.size + length :]
    assert ["Done", "Failed", "Done"] == answers


@pytest.mark.parametrize("length", [0, MESSAGE_MAX + 1, 2**32 - 1])
def test_a_message_beyond_the_bound_is_never_read(length: int) -> None:
    with pytest.raises(Malformed):
        body_length(LENGTH.pack(length), MESSAGE_MAX)


def test_the_longest_message_is_within_the_bound() -> None:
    assert MESSAGE_MAX > len(frame(Bind(token="9" * 19, pan="9" * 19, payment_id="pay_" + "0" * 32))) * 8


@pytest.mark.parametrize("name", [program.MASTER, program.BINDING])
def test_a_key_that_is_lost_is_not_made_anew_while_pin_keys_are_stored_under_it(place: Path, name: str) -> None:
    program.load_box(place, SeededRandomness())
    program.load_box(place, SeededRandomness(), kept=True)
    (place / name).unlink()
    with pytest.raises(Misconfigured, match=f"{name} is missing.*restore it"):
        program.load_box(place, SeededRandomness(), kept=True)
    assert not (place / name).exists()


async def test_a_process_that_started_once_never_makes_its_keys_anew(pins: PinProcess, place: Path) -> None:
    await pins.make_key()
    (place / program.MASTER).unlink()
    await pins.aclose()
    with pytest.raises(Unavailable):
        await pins.make_key()
    assert not (place / program.MASTER).exists()


def test_a_crash_while_a_key_is_made_leaves_no_key_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> Never:
        raise OSError("the machine stopped")

    with monkeypatch.context() as crashing:
        crashing.setattr(Path, "rename", crash)
        with pytest.raises(OSError, match="stopped"):
            program.load_box(place, SeededRandomness())
    assert [f"{program.MASTER}{program.UNFINISHED}"] == [path.name for path in place.iterdir()]
    program.load_box(place, SeededRandomness())
    assert {program.MASTER: 0o600, program.BINDING: 0o600} == modes(place)
