"""Sign the audit chain's head while a platform serves: every minute that it grew, and at the end."""

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from tallystick.adapters.anchor import FileAnchor
from tallystick.audit.checkpoints import CHECKPOINT_EVERY_MS, checkpoint
from tallystick.bootstrap.office import Office
from tallystick.delivery.ports import OwnNode
from tallystick.errors import TallystickError
from tallystick.runtime import beside

CHECKPOINTS: Final = "checkpoints"  # chore of one node at a time

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def checkpointing(desk: Office, node: OwnNode) -> AsyncIterator[None]:
    """Checkpoint while the context lasts, of all nodes one; and once more at its end."""

    async def run() -> None:
        while True:
            await desk.clock.sleep(CHECKPOINT_EVERY_MS / 1_000)
            if await _holds(node):
                await checkpoint_once(desk)

    try:
        async with beside(run()):
            yield
    finally:
        await checkpoint_once(desk)


async def _holds(node: OwnNode) -> bool:
    try:
        return await node.holds(CHECKPOINTS)
    except TallystickError as error:
        _log.warning("who checkpoints the audit chain is not known: %s", error.code)
        return False


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
