"""A directory of key files that only its owner may read: whole files or none, and no copy after destruction."""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from tallystick.adapters.keys.wrapper import KeyWrapper, PlainFiles
from tallystick.crypto.binding import bind
from tallystick.errors import AlreadyExists, Misconfigured, NotFound

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
FILE_MAX: Final = 8 * 1024  # bytes of one key file
UNFINISHED: Final = ".unfinished-"  # prefix of a file that is being written
LOCK_TRIES: Final = 200  # times a process that shares a directory tries to get in
LOCK_PAUSE_S: Final = 0.01  # s between them: another one that starts has it alone for some milliseconds
UNFINISHED_S: Final = 600.0  # s after which no process can still be writing one
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyDirectory:
    """Read, create and destroy key files in one directory; `write` makes this the only process that may change it.

    With `shared` as well, other processes that share it may change it at the same time: they create and destroy only.

    1. The directory is no link, belongs to this process's user and is closed to all others; so is every file read.
    2. A file appears whole or not at all, and is on disk (file and directory synced) before `create` returns. Of many
       who create one of the same name, one does.
    3. Who writes holds the directory's lock, alone or shared with all others who share it; readers take no lock.
    4. What a crash left unfinished holds key bytes: the next writer destroys it, once it is certainly nobody's.
    5. Each file's content is wrapped by `wrapper`, tied to the directory's and its own name.

    File names come from the code, never from a message. A missing directory is made, with its parents, for a writer.

    Raises:
        Misconfigured: the directory is missing, open to others, or written to by another process. The process stops.
    """

    def __init__(self, path: Path, *, write: bool, shared: bool = False, wrapper: KeyWrapper | None = None) -> None:
        self._path = path
        self._wrapper = wrapper or PlainFiles()
        if write:
            path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise Misconfigured(f"the key directory cannot be opened: {path.name}") from error
        try:
            # 1.
            _check_private(self._fd, path.name)
            if write:
                # 3.
                alone = self._lock((fcntl.LOCK_EX, fcntl.LOCK_SH) if shared else (fcntl.LOCK_EX,)) == fcntl.LOCK_EX
                # 4.
                for name in self._listed(unfinished=True):
                    if alone or self._is_left(name):
                        self.destroy(name)
                if shared and alone:
                    self._lock((fcntl.LOCK_SH,))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the directory and its lock up; the object is of no use afterwards."""
        os.close(self._fd)

    def names(self) -> list[str]:
        """List the key files, by name."""
        return self._listed(unfinished=False)

    def read(self, name: str) -> bytes:
        """Return a file's content; raises NotFound when there is none, Misconfigured when it is open to others."""
        # 5.
        return self._wrapper.unwrap(self._wrapped(name), self._context(name))

    def _wrapped(self, name: str) -> bytes:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._fd)
        except FileNotFoundError:
            raise NotFound(f"there is no key file {name}") from None
        except OSError as error:
            raise Misconfigured(f"the key file cannot be opened: {name}") from error
        with os.fdopen(fd, "rb") as file:
            # 1.
            _check_private(fd, name)
            content = file.read(FILE_MAX + 1)
        if len(content) > FILE_MAX:
            raise Misconfigured(f"the key file is longer than any key: {name}")
        return content

    def create(self, name: str, content: bytes) -> None:
        """Write a new file, durable when this returns; raises AlreadyExists when there is one of this name.

        Left to the caller: a full or failing disk raises OSError, and the key must not be used then.
        """
        if name in self.names():
            raise AlreadyExists(f"there is a key file {name} already")
        self._put(name, content, anew=True)

    def adopt(self, name: str) -> bytes:
        """Return the content of a file that another process made just now, once it is on disk whoever crashes."""
        content = self.read(name)
        os.fsync(self._fd)
        return content

    def replace(self, name: str, content: bytes) -> None:
        """Write a file in place of the one of this name, if any: at every moment the old or the new one is there whole.

        A process that is just reading the old one reads it to its end, so its content stays on the disk until the
        block is used again: for what is no secret. Failures as with `create`.
        """
        self._put(name, content, anew=False)

    def protect(self, wrapper: KeyWrapper) -> int:
        """Put every file under another wrapper, and overwrite what was there; returns how many were changed.

        Safe to repeat after a crash: a file that opens under the new wrapper, which never is `PlainFiles`, is left
        alone. No other process reads the directory meanwhile.
        """
        old, changed = self._wrapper, 0
        self._wrapper = wrapper
        for name in self.names():
            wrapped, context = self._wrapped(name), self._context(name)
            with contextlib.suppress(Misconfigured):
                wrapper.unwrap(wrapped, context)
                continue
            content = old.unwrap(wrapped, context)
            fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW, dir_fd=self._fd)
            with os.fdopen(fd, "wb") as before:
                self._put(name, content, anew=False)
                _overwrite(before, len(wrapped))
            changed += 1
        return changed

    def changed_at(self) -> int:
        """Return when a file last came, went or was replaced, in ns since 1970."""
        return os.fstat(self._fd).st_mtime_ns

    def _put(self, name: str, content: bytes, *, anew: bool) -> None:
        # 5.
        wrapped = self._wrapper.wrap(content, self._context(name))
        # 2.
        unfinished = f"{UNFINISHED}{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        fd = os.open(unfinished, flags, FILE_MODE, dir_fd=self._fd)
        try:
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, FILE_MODE)  # whatever the umask says
                file.write(wrapped)
                file.flush()
                os.fsync(fd)
            if anew:
                # Both names are of one file: whoever destroys it overwrites what a crash right here leaves, too.
                os.link(unfinished, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
                os.unlink(unfinished, dir_fd=self._fd)
            else:
                os.rename(unfinished, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            os.fsync(self._fd)
        except FileExistsError:
            self.destroy(unfinished)
            raise AlreadyExists(f"there is a key file {name} already") from None
        except BaseException:
            self.destroy(unfinished)
            raise

    def destroy(self, name: str) -> None:
        """Overwrite a file, remove it, and return when both are on disk; a missing one is destroyed already.

        A file system or drive that writes elsewhere (copy on write, wear levelling, snapshots) may keep the old block:
        there, the directory belongs on an encrypted volume whose snapshots are kept no longer than the keys.
        """
        try:
            fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW, dir_fd=self._fd)
        except FileNotFoundError:
            return
        with os.fdopen(fd, "wb") as file:
            _overwrite(file, os.fstat(fd).st_size)
        os.unlink(name, dir_fd=self._fd)
        os.fsync(self._fd)

    def _context(self, name: str) -> bytes:
        return bind("key-file", self._path.name, name)

    def _listed(self, *, unfinished: bool) -> list[str]:
        names = os.listdir(self._fd)  # noqa: PTH208  # by descriptor: the directory that was checked
        return sorted(name for name in names if name.startswith(UNFINISHED) is unfinished)

    def _lock(self, kinds: tuple[int, ...]) -> int:
        """Lock the directory in the first way that can be had, and return which; one that shares waits a little."""
        for _ in range(LOCK_TRIES if fcntl.LOCK_SH in kinds else 1):
            for kind in kinds:
                if self._locked(kind):
                    return kind
            time.sleep(LOCK_PAUSE_S)
        raise Misconfigured(f"another process writes to the key directory {self._path.name}")

    def _locked(self, kind: int) -> bool:
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            return False
        return True

    def _is_left(self, name: str) -> bool:
        """Say that nobody can be at an unfinished file any more; a file that is gone is nobody's either."""
        try:
            changed_at = os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mtime
        except FileNotFoundError:
            return True
        return time.time() - changed_at > UNFINISHED_S


def _overwrite(file: BinaryIO, size: int) -> None:
    file.write(bytes(size))
    file.flush()
    os.fsync(file.fileno())


def _check_private(fd: int, name: str) -> None:
    found = os.fstat(fd)
    if found.st_uid != os.geteuid():
        raise Misconfigured(f"the key file or directory belongs to another user: {name}")
    if found.st_mode & OTHERS:
        raise Misconfigured(f"the key file or directory is open to others, take their rights away (chmod go=): {name}")
