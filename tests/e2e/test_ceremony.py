"""A key ceremony on a real terminal, and a platform that its custodians start together through a pipe."""

import asyncio
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from live_platform import live_platform

from tallystick.bootstrap.wrapping import protect_by_shares
from tallystick.config import KeysSection
from tallystick.crypto.key_shares import parse_all, split
from tallystick.secret import Secret

pytestmark = pytest.mark.e2e

MODULE = [sys.executable, "-m", "tallystick.cli.main"]
TIMEOUT_S = 30
WIPE = "\x1b[H\x1b[2J\x1b[3J"
SHARE = re.compile(r"tks1(?:-[0-9a-z]{4}){22}")


class Terminal:
    """One command on a terminal of its own; `screens` is all it showed, cut where it wiped the screen."""

    def __init__(self, *arguments: str, place: Path) -> None:
        self._ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
        self._process = subprocess.Popen(  # noqa: S603 - our own executable
            [*MODULE, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=place, env=environment
        )
        os.close(theirs)
        self.shown = ""

    def until(self, words: str, after: int) -> str:
        """Read until the words stand behind a place; returns what stands there."""
        deadline = time.monotonic() + TIMEOUT_S
        while words not in self.shown[after:]:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._ours], [], [], 1)[0]:
                self.shown += os.read(self._ours, 4096).decode()
        return self.shown[after:]

    def type(self, text: str) -> None:
        os.write(self._ours, f"{text}\n".encode())

    def end(self) -> int:
        try:
            while piece := os.read(self._ours, 4096):
                self.shown += piece.decode()
        except OSError:
            pass  # the other side is closed
        os.close(self._ours)
        return self._process.wait(TIMEOUT_S)

    @property
    def screens(self) -> list[str]:
        return self.shown.split(WIPE)


def test_no_two_shares_are_ever_on_one_screen_and_custodians_type_them_unseen(tmp_path: Path) -> None:
    names = ("alice", "bob", "carol")
    wanted = [f"--custodian={name}" for name in names]
    held = Terminal(
        "ceremony", "create", "--rehearsal", "--threshold", "2", *wanted, "--record", "record.txt", place=tmp_path
    )
    shares = []
    for name in names:
        at = len(held.shown)
        held.until(f"{name}: come to the screen alone", at)
        at = len(held.shown)
        held.type("")
        share = SHARE.search(held.until("last four letters", at))
        assert share is not None
        shares.append(share[0])
        if name == "bob":
            held.type("zzzz")
            held.until("not what the share ends with", at)
        held.type(share[0][-4:])
    assert 0 == held.end()
    assert [1, 1, 1] == [len(found) for screen in held.screens if (found := set(SHARE.findall(screen)))]
    assert not SHARE.search(held.screens[-1])
    assert not SHARE.search((tmp_path / "record.txt").read_text())
    assert 3 == len(parse_all(Secret("\n".join(shares))))

    checked = Terminal("ceremony", "check", place=tmp_path)
    checked.until("Custodian 1, your share: ", 0)
    for typed, told in ((shares[2], ""), (shares[0][:-1], "mistyped"), (shares[2], "given already")):
        at = len(checked.shown)
        checked.type(typed)
        # A hidden prompt throws away what was typed before it stands there, so each is waited for.
        assert told in checked.until("Custodian 2 of 2, your share: ", at)
    checked.type(shares[0])
    assert 0 == checked.end()
    assert not SHARE.search(checked.shown), "what custodians type is never shown"
    assert "rehearsal" in checked.shown


async def test_custodians_start_a_platform_by_piping_enough_shares_and_too_few_do_not(tmp_path: Path) -> None:
    papers = [f"A share.\n{share.text().reveal()}\n" for share in split(os.urandom(32), 2, 3, os.urandom(8))]
    environment = {**os.environ, "TALLYSTICK_KEYS__SHARES_FILE": "/dev/stdin"}
    async with live_platform(tmp_path) as live:
        before = await live.pay(10_000)
        assert "approved" == await live.outcome(before)
        await live.disconnect()
        await live.child.stop()
        assert 0 < protect_by_shares(live.data, KeysSection(), Secret(papers[0] + papers[2]), lambda: None)
        with (live.data / "tallystick.toml").open("a") as settings:
            settings.write('\n[keys]\nprovider = "shares"\n')
        serve = [*MODULE, "--data", str(live.data), "serve"]
        few = subprocess.run(  # noqa: S603, ASYNC221 - our own executable
            serve, env=environment, input=papers[1], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
        assert 1 == few.returncode
        assert "1 more of the 3 shares" in few.stderr
        process = await asyncio.create_subprocess_exec(
            *serve, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write((papers[1] + papers[2]).encode())
        process.stdin.close()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                live.child.port = int((await process.stdout.readline()).split()[1])
            assert "approved" == await live.outcome(before), "what was sealed before is readable"
            assert "approved" == await live.outcome(await live.pay(10_001))
        finally:
            await live.disconnect()
            process.terminate()
            said = b"".join(await process.communicate())
        assert b"tks1" not in said
