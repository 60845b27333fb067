"""Run Argon2id beside the event loop: the one place of the platform that uses threads.

One run takes tens of milliseconds and 19 MiB. On the loop it would hold up every other payment for that time; in a
thread it does not, because the library gives the interpreter lock up while it computes. Nothing but the password and
its salt enters the thread, and nothing but the result leaves it, so the core stays free of shared state.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tallystick.crypto.passwords import StretchedPassword, stretch
from tallystick.errors import Unavailable
from tallystick.secret import Secret

WORKERS: Final = 2  # threads; more would only add memory, 19 MiB each
WAITING_MAX: Final = 64  # passwords stretched or waiting; the last of them waits about two seconds


class PooledStretcher:
    """Stretch passwords in a small pool (`vault.ports.Stretcher`)."""

    def __init__(self, workers: int = WORKERS, waiting_max: int = WAITING_MAX) -> None:
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="argon2id")
        self._places = threading.BoundedSemaphore(waiting_max)

    async def stretch(self, password: Secret, salt: bytes, parameters: str) -> StretchedPassword:
        """Run `crypto.passwords.stretch`; raises Unavailable when too many wait already: the caller tries later."""
        if not self._places.acquire(blocking=False):
            raise Unavailable("too many passwords wait to be checked")
        run = self._pool.submit(stretch, password, salt, parameters)
        # Counted until the thread is done, not until the caller loses patience: a cancelled caller frees no thread.
        run.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(run)

    def close(self) -> None:
        """Let the runs in progress end and refuse further ones."""
        self._pool.shutdown(cancel_futures=True)
