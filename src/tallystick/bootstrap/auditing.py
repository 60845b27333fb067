"""Sign the audit chain's head while a platform serves: every minute that it grew, and at the end."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from tallystick.adapters.anchor import FileAnchor
from tallystick.audit.checkpoints import CHECKPOINT_EVERY_MS, checkpoint
from tallystick.bootstrap.office import Office
from tallystick.errors import TallystickError

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def checkpointing(desk: Office) -> AsyncIterator[None]:
    """Checkpoint while the context lasts, and once more at its end."""

    async def run() -> None:
        while True:
            await desk.clock.sleep(CHECKPOINT_EVERY_MS / 1_000)
            await checkpoint_once(desk)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await checkpoint_once(desk)


async def checkpoint_once(desk: Office) -> bool:
    """Sign the head if there is anything new, and write it to the anchor; a failure is logged, the next one covers it.

    Returns whether a checkpoint was made and is wherever it should be.
    """
    anchor, at = desk.settings.audit.anchor, desk.clock.now()
    try:
        made = await desk.store.transact(lambda books: checkpoint(books, desk.keyring.identity, at))
        if made is not None and anchor is not None:
            FileAnchor(desk.layout.root / anchor).write(made)
    except (TallystickError, OSError) as error:
        _log.warning("no checkpoint of the audit chain was kept: %s", type(error).__name__)
        return False
    return made is not None
