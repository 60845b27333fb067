"""The real demo, watched from outside while it runs: its processes, its database, what it says and leaves behind."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

EXECUTABLE = Path(sys.executable).with_name("tallystick")
TIMEOUT_S = 100.0
STOP_TIMEOUT_S = 30.0
LOOK_EVERY_S = 0.25
COPY_EVERY = 8  # looks
SEALED = "SELECT id, epoch, sealed FROM part WHERE sealed IS NOT NULL"


@dataclass
class DemoRun:
    """What a demo said and left behind, and what could be seen of it while it ran."""

    folder: Path
    code: int = -1
    stdout: bytes = b""
    stderr: bytes = b""
    processes: dict[int, bytes] = field(default_factory=dict)
    """Command line and environment of every process of the demo."""
    copies: list[Path] = field(default_factory=list)
    """Database and log as a thief would have copied them."""
    sealed: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Epoch and sealed content of every part that was seen, by its id."""

    @property
    def data(self) -> Path:
        """The platform's data directory."""
        return self.folder / "platform"


def run_demo(place: Path) -> DemoRun:
    """Run `tallystick demo --once --json` in a folder below `place`."""
    run = DemoRun(place / "demo")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    arguments: list[str | Path] = [EXECUTABLE, "demo", "--once", "--json", "--folder", run.folder]
    with (place / "stdout").open("wb") as out, (place / "stderr").open("wb") as err:
        process = subprocess.Popen(arguments, env={**kept, "NO_COLOR": "1"}, stdout=out, stderr=err)  # noqa: S603 - ours
        try:
            watch(run, process, place)
        finally:
            run.code = end(process)
    run.stdout, run.stderr = (place / "stdout").read_bytes(), (place / "stderr").read_bytes()
    return run


def end(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of a demo; one that hangs is interrupted, so that it takes its processes down."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def watch(run: DemoRun, process: subprocess.Popen[bytes], place: Path) -> None:
    """Look at a demo until it ends."""
    deadline, looks = time.monotonic() + TIMEOUT_S, 0
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        look_at_processes(run, process.pid)
        with contextlib.suppress(sqlite3.OperationalError):  # there is no database or table yet
            look_at_parts(run)
        looks += 1
        if looks % COPY_EVERY == 0:
            copy(run, place / f"copy-{looks}")


def look_at_parts(run: DemoRun) -> None:
    """Note every part that waits now."""
    with contextlib.closing(sqlite3.connect(f"file:{run.data / 'store.db'}?mode=ro", uri=True)) as db:
        run.sealed.update({part: (epoch, sealed) for part, epoch, sealed in db.execute(SEALED)})


def look_at_processes(run: DemoRun, parent: int) -> None:
    """Note a process and all that it started."""
    proc = Path("/proc") / str(parent)
    with contextlib.suppress(OSError):  # it has ended, or this system shows no processes as files
        run.processes[parent] = (proc / "cmdline").read_bytes() + b"\n" + (proc / "environ").read_bytes()
        for task in (proc / "task").iterdir():
            for child in (task / "children").read_text().split():
                look_at_processes(run, int(child))


def copy(run: DemoRun, target: Path) -> None:
    """Copy the database with its log."""
    target.mkdir()
    for path in run.data.glob("store.db*"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(path, target)
            run.copies.append(target / path.name)
