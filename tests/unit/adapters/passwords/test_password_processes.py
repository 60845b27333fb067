"""Argon2id in processes of their own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tallystick.adapters.helper.frames import LENGTH, frame
from tallystick.adapters.passwords import process, program
from tallystick.adapters.passwords.messages import Done, Failed, Stretch, answered
from tallystick.adapters.passwords.process import PasswordProcesses
from tallystick.crypto.passwords import PARAMETERS, SALT_BYTES, StretchedPassword, stretch
from tallystick.errors import Misconfigured, Unavailable
from tallystick.runtime import SystemClock
from tallystick.secret import Secret

PASSWORD = Secret("correct horse battery")
SALT = bytes(SALT_BYTES)


@pytest.fixture
async def passwords(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PasswordProcesses]:
    monkeypatch.setattr(process, "REST_S", 0.0)
    made = PasswordProcesses(SystemClock(), processes=1)
    yield made
    await made.aclose()


async def run(passwords: PasswordProcesses, parameters: str = PARAMETERS) -> StretchedPassword:
    with passwords.place() as stretch_one:
        return await stretch_one(PASSWORD, SALT, parameters)


def values(made: StretchedPassword) -> tuple[bytes, bytes]:
    return made.verifier, made.wrapping_key


def shown(pid: int) -> bytes:
    """Return what everybody on the machine may see of a process, and what its owner may."""
    return b"".join((Path("/proc") / str(pid) / name).read_bytes() for name in ("cmdline", "environ"))


def pids(passwords: PasswordProcesses) -> list[int]:
    return [each.pid for each in passwords._free]


async def test_another_process_gives_what_the_function_gives_and_is_kept_for_the_next(
    passwords: PasswordProcesses,
) -> None:
    expected = stretch(PASSWORD, SALT)
    assert values(expected) == values(await run(passwords))
    first = pids(passwords)
    assert values(expected) == values(await run(passwords))
    assert first == pids(passwords) != [os.getpid()]


async def test_it_runs_below_the_process_that_serves_and_neither_password_nor_salt_is_in_its_command_line(
    passwords: PasswordProcesses,
) -> None:
    await run(passwords)
    (pid,) = pids(passwords)
    assert program.NICENESS == os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0)
    assert PASSWORD.reveal().split()[0].encode() not in shown(pid)


async def test_a_run_whose_process_died_is_repeated_in_another(passwords: PasswordProcesses) -> None:
    expected = values(await run(passwords))
    (pid,) = pids(passwords)
    os.kill(pid, signal.SIGSTOP)
    waiting = asyncio.create_task(run(passwords))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    assert expected == values(await waiting)
    assert [pid] != pids(passwords)


async def test_one_that_hangs_is_ended_and_its_run_repeated(
    passwords: PasswordProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(passwords)
    os.kill(pids(passwords)[0], signal.SIGSTOP)
    monkeypatch.setattr(process, "ANSWER_S", 0.1)
    waiting = asyncio.create_task(run(passwords))
    await asyncio.sleep(0.05)
    monkeypatch.undo()
    await waiting


async def test_what_never_starts_is_tried_a_bounded_number_of_times(
    passwords: PasswordProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable):
        await run(passwords)
    monkeypatch.undo()
    await run(passwords)


async def test_more_than_have_a_place_are_refused_and_later_taken_again(
    passwords: PasswordProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PLACES", 2)
    with passwords.place(), passwords.place(), pytest.raises(Unavailable):
        await run(passwords)
    await run(passwords)


async def test_a_caller_that_goes_away_takes_no_others_answer(passwords: PasswordProcesses) -> None:
    expected = values(await run(passwords))
    going = asyncio.create_task(run(passwords, "argon2id$unknown"))
    await asyncio.sleep(0)
    going.cancel()
    assert expected == values(await run(passwords))


async def test_the_event_loop_runs_on_meanwhile(passwords: PasswordProcesses) -> None:
    waiting = asyncio.create_task(run(passwords))
    turns = 0
    while not waiting.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


async def test_a_refusal_comes_back_as_itself_and_the_process_lives(passwords: PasswordProcesses) -> None:
    await run(passwords)
    before = pids(passwords)
    with pytest.raises(Misconfigured):
        await run(passwords, "argon2id$unknown")
    assert before == pids(passwords)


async def test_after_the_end_none_is_left_and_none_is_started(passwords: PasswordProcesses) -> None:
    await run(passwords)
    (pid,) = pids(passwords)
    await passwords.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Unavailable):
        await run(passwords)


def test_it_ends_with_the_process_that_started_it_and_answers_nonsense_with_a_refusal() -> None:
    question = frame(Stretch(password=PASSWORD.reveal(), salt=SALT.hex(), parameters=PARAMETERS))
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-I", "-m", program.__name__],
        input=LENGTH.pack(2) + b"{}" + question,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert 0 == done.returncode
    answers, rest = [], done.stdout
    while rest:
        (length,) = LENGTH.unpack(rest[: LENGTH.size])
        answers.append(answered.decode(rest[LENGTH.size : LENGTH.size + length]))
        rest = rest[LENGTH.size + length :]
    assert [Done, Failed, Done] == [type(each) for each in answers]


def test_a_message_is_never_printed() -> None:
    assert "horse" not in repr(Stretch(password=PASSWORD.reveal(), salt="", parameters=PARAMETERS))
    assert "beef" not in repr(Done("beef"))
