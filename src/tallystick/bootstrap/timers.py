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
from tallystick.errors import TallystickError
from tallystick.outcomes.courier import Courier
from tallystick.outcomes.send import Sender
from tallystick.path import Platform
from tallystick.runtime import Millis
from tallystick.sweep import Sweep

CHECKPOINT_EVERY_MS: Final = limits.EPOCH_MS  # ms until the store's log, with old images of erased parts, is emptied
REWRAP_PAUSE_S: Final = 0.05  # s between two batches: about 2,000 payers a second beside the traffic
REWRAP_IDLE_S: Final = 5.0  # s until a process looks whether a key was rotated
CRL_EVERY_MS: Final = ca.DAY_MS  # ms between revocation lists


_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def rewrapping(desk: Office) -> AsyncIterator[None]:
    """Seal what is under older keys anew, a small batch at a time, while the context lasts."""

    async def run() -> None:
        while True:
            try:
                done = await rewrap.step(desk.store, desk.keyring, desk.clock)
            except TallystickError as error:
                _log.warning("a batch was not sealed anew: %s", error.code)
                done = None
            except Exception as error:  # noqa: BLE001 - one bad row must not end it for all others
                _log.error("a batch was not sealed anew: %s", type(error).__name__)
                done = None
            await desk.clock.sleep(REWRAP_IDLE_S if done is None else REWRAP_PAUSE_S)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def telling(desk: Office) -> AsyncIterator[Sender]:
    """Send webhooks while the context lasts; gives the one who sends them."""
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
    task = asyncio.create_task(courier.run())
    try:
        yield sender
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await courier.drain()
        await poster.aclose()


@contextlib.asynccontextmanager
async def sweeping(platform: Platform, desk: Office) -> AsyncIterator[None]:
    """Sweep, and do the chores of a process that serves, while the context lasts."""
    carriers = mail_and_sms(desk.settings, desk.clock)
    last_list, last_checkpoint = Millis(0), desk.clock.now()

    async def keep_revocation_list() -> None:
        nonlocal last_list
        now = desk.clock.now()
        if now - last_list >= CRL_EVERY_MS:
            desk.ca.renew_crl(now)
            last_list = now

    async def empty_log() -> None:
        nonlocal last_checkpoint
        now = desk.clock.now()
        if now - last_checkpoint >= CHECKPOINT_EVERY_MS:
            await desk.store.checkpoint()
            last_checkpoint = now

    async def purge_unused() -> None:
        await desk.store.transact(lambda books: books.purge_enrolments(desk.clock.now()))
        await desk.store.transact(lambda books: books.purge_capabilities(desk.clock.now()))
        await desk.store.transact(lambda books: books.purge_sign_ups(desk.clock.now()))

    sweep = Sweep(
        platform,
        carriers,
        more=(keep_revocation_list, empty_log, purge_unused),
        per_second=notices_per_second(desk.settings),
    )
    task = asyncio.create_task(sweep.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
