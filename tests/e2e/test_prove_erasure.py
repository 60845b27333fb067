"""`tallystick prove-erasure` on a real demo that is over: it finds what is planted, and nothing else."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from watched_demo import DemoRun

from tallystick import limits
from tallystick.adapters.keys.epochs import FileEpochKeys
from tallystick.cli.demo import back_ends, world
from tallystick.runtime import Millis, SystemRandomness

pytestmark = pytest.mark.e2e

EXECUTABLE = Path(sys.executable).with_name("tallystick")
CANARIES = {"card": back_ends.UNIONPAY_CARD, "PIN block": f"16{back_ends.PIN}", "password": world.PASSWORD}
GONE_WITHIN_S = 20.0
COPIES = 3  # old copies of the store or its log
STILL_THERE = "SELECT id FROM part WHERE sealed IS NOT NULL"


def prove(data: Path, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(  # noqa: S603 - ours
        [EXECUTABLE, "--data", data, "prove-erasure", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("canaries") / "canaries.json"
    path.touch(0o600)
    path.write_text(json.dumps(CANARIES))
    return path


@pytest.fixture
def data(demo_run: DemoRun, tmp_path: Path) -> Path:
    """Copy the platform of a demo that is over."""
    shutil.copytree(demo_run.data, tmp_path / "platform")
    return tmp_path / "platform"


@pytest.fixture
def copies(demo_run: DemoRun) -> list[str | Path]:
    """Name old copies that hold what payments which are over by now were made of."""
    with contextlib.closing(sqlite3.connect(demo_run.data / "store.db")) as db:
        waiting = {part for (part,) in db.execute(STILL_THERE)}
    over = [sealed for part, (_, sealed) in demo_run.sealed.items() if part not in waiting]
    holding = [path for path in demo_run.copies if any(map(path.read_bytes().__contains__, over))]
    assert holding, "no copy was taken while a payment was under way"
    return [argument for path in holding[-COPIES:] for argument in ("--also", path)]


@pytest.fixture
def later(demo_run: DemoRun, data: Path) -> Path:
    """Let the time pass after which the sweep has destroyed the keys of all parts."""
    newest = max(int(epoch.removeprefix("ep_")) for epoch, _ in demo_run.sealed.values())
    for directory in ("epochs", "recovery"):
        keys = FileEpochKeys(data / directory, SystemRandomness())
        keys.destroy_before(Millis(newest + limits.EPOCH_KEPT_MS))
        keys.close()
    return data


def test_nothing_of_a_demo_opens_once_its_keys_are_destroyed_not_even_old_copies_of_its_store(
    demo_run: DemoRun, later: Path, canaries: Path, copies: list[str | Path]
) -> None:
    code, proof = prove(later, "--canaries", canaries, "--also", demo_run.folder / "platform.log", *copies)
    sys.stdout.write(f"prove-erasure: { ({name: value for name, value in proof.items() if name != 'found'}) }\n")
    assert [] == proof["found"]
    assert 0 == code
    assert (0, 3) == (proof["waiting"], proof["canaries"])
    assert proof["files"] > 20
    assert proof["bytes"] > 200_000
    assert proof["keys"] >= 5


def test_a_payment_under_way_opens_as_it_should_and_an_old_copy_of_an_ended_one_is_found(
    data: Path, copies: list[str | Path]
) -> None:
    code, proof = prove(data)
    assert (0, []) == (code, proof["found"])
    assert proof["waiting"] > 0

    code, proof = prove(data, *copies)
    assert 1 == code
    assert {"a sealed value of a payment that ended opens with a key that survives"} == {
        trace["what"] for trace in proof["found"]
    }


def test_a_leftover_key_is_found_by_its_age_and_by_what_it_opens(
    demo_run: DemoRun, later: Path, tmp_path: Path
) -> None:
    part = next(iter(demo_run.sealed.values()))
    kept = (demo_run.data / "epochs" / part[0]).read_bytes()
    backup = tmp_path / "backup"
    backup.mkdir()
    (backup / "forgotten.key").write_bytes(kept)
    (backup / "store.old").write_bytes(b"free page" + part[1] + b"more of it")

    assert 0 == prove(later)[0]
    code, proof = prove(later, "--also", backup)
    assert (1, [str(len(b"free page"))]) == (code, [trace["place"] for trace in proof["found"]])
    (backup / "forgotten.key").write_text(json.dumps({"key": kept.hex()[:3]}))
    assert 0 == prove(later, "--also", backup)[0]

    old = later / "epochs" / "ep_1700000000000"
    old.touch(0o600)
    old.write_bytes(kept)
    code, proof = prove(later)
    assert 1 == code
    assert "a key whose time is over was not destroyed" in {trace["what"] for trace in proof["found"]}


def test_a_planted_secret_is_found(later: Path, canaries: Path) -> None:
    (later / "forgotten.log").write_text(f"debug: pan={back_ends.UNIONPAY_CARD}")
    code, proof = prove(later, "--canaries", canaries)
    assert 1 == code
    assert {"holds card (plain)"} <= {trace["what"] for trace in proof["found"]}


def test_keys_that_a_killed_platform_left_are_destroyed_as_soon_as_it_serves_again(data: Path) -> None:
    """A platform is killed with a key in hand and stays away past the key's time; the next start destroys it."""
    for number in range(2):
        old = data / "epochs" / f"ep_{1_700_000_400_000 + number * limits.EPOCH_MS}"
        old.touch(0o600)
        old.write_bytes(os.urandom(32))
        serving = subprocess.Popen(  # noqa: S603 - ours
            [EXECUTABLE, "--data", data, "serve"],
            env={**os.environ, "TALLYSTICK_GATEWAY__PORT": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with serving:
            assert serving.stdout is not None
            assert serving.stdout.readline().startswith("READY")
            deadline = time.monotonic() + GONE_WITHIN_S
            while old.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not old.exists()
            serving.send_signal(signal.SIGKILL)
        assert -signal.SIGKILL == serving.returncode
