"""What runs beside the listeners: the sweep with its chores, and the courier of webhooks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from tallystick import limits, rewrap
from tallystick.adapters.notify.webhooks import WebhookPoster
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.parts import mail_and_sms, notices_per_second
from tallystick.crypto import ca
from tallystick.delivery.ports import OwnNode
from tallystick.errors import TallystickError
from tallystick.outcomes.courier import Courier
from tallystick.outcomes.send import Sender
from tallystick.path import Platform
from tallystick.runtime import beside
from tallystick.sweep import Sweep, purge_pages

CHECKPOINT_EVERY_MS: Final = limits.EPOCH_MS  # ms until the store's log, with old images of erased parts, is emptied
REWRAP_PAUSE_S: Final = 0.05  # s between two batches: about 2,000 payers a second beside the traffic
REWRAP_IDLE_S: Final = 5.0  # s until a process looks whether a key was rotated
LOG: Final = "log"  # chore of one node at a time: the log of SQLite is every process's
REWRAP: Final = "rewrap"  # chore of one node at a time
CRL_EVERY_MS: Final = ca.DAY_MS  # ms between revocation lists


_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def rewrapping(desk: Office, node: OwnNode) -> AsyncIterator[None]:
    """Seal what is under older keys anew, a small batch at a time, while the context lasts; of all nodes one does."""

    async def run() -> None:
        while True:
            try:
                mine = await node.holds(REWRAP)
                done = await rewrap.step(desk.store, desk.keyring, desk.clock) if mine else None
            except TallystickError as error:
                _log.warning("a batch was not sealed anew: %s", error.code)
                done = None
            except Exception as error:  # noqa: BLE001 - one bad row must not end it for all others
                _log.error("a batch was not sealed anew: %s", type(error).__name__)
                done = None
            await desk.clock.sleep(REWRAP_IDLE_S if done is None else REWRAP_PAUSE_S)

    async with beside(run()):
        yield


@contextlib.asynccontextmanager
async def telling(desk: Office, *, timers: bool) -> AsyncIterator[Sender]:
    """Send webhooks while the context lasts, with `timers`; gives the one who sends them."""
    told = desk.settings.webhooks
    ca_file = desk.layout.root / told.ca if told.ca is not None else None
    poster = WebhookPoster(desk.clock, allow_private=told.allow_private, ca=ca_file)
    sender = Sender(
        desk.store,
        poster,
        desk.keyring,
        identity=desk.keyring.signer(),
        clock=desk.clock,
        randomness=desk.randomness,
    )
    courier = Courier(desk.store, sender, desk.clock, desk.randomness)
    tasks = [asyncio.create_task(courier.run())] if timers else []
    try:
        yield sender
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await courier.drain()
        await poster.aclose()


@contextlib.asynccontextmanager
async def sweeping(platform: Platform, desk: Office, *, timers: bool) -> AsyncIterator[None]:
    """Sweep, and do the chores of every process, while the context lasts; `timers` as `Sweep` has it."""
    carriers = mail_and_sms(desk.settings, desk.clock)
    last_checkpoint = desk.clock.now()

    async def keep_revocation_list() -> None:
        desk.ca.keep_crl(desk.clock.now(), CRL_EVERY_MS)

    async def empty_log() -> None:
        nonlocal last_checkpoint
        now = desk.clock.now()
        if now - last_checkpoint >= CHECKPOINT_EVERY_MS and await platform.node.holds(LOG):
            await desk.store.checkpoint()
            last_checkpoint = now

    async def purge_unused() -> None:
        await desk.store.transact(lambda books: books.purge_enrolments(desk.clock.now()))
        await purge_pages(platform)

    shared = (keep_revocation_list, purge_unused) if timers else ()
    sweep = Sweep(
        platform,
        carriers,
        more=(empty_log, *shared),
        per_second=notices_per_second(desk.settings),
        timers=timers,
    )
    async with beside(sweep.run()):
        yield
