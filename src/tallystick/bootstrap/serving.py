"""Serve a platform: first recover, then listen; at the end drain, then close."""

import contextlib
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from tallystick.adapters.keys.epochs import FileEpochKeys
from tallystick.adapters.keys.opening import FileOpeningKeys
from tallystick.adapters.keys.receipts import IdentityReceipts
from tallystick.bootstrap.auditing import checkpointing
from tallystick.bootstrap.listening import Behind, Running, Seat, listening
from tallystick.bootstrap.office import Office, office, split_policies
from tallystick.bootstrap.parts import connector_registry, pin_process, pull_queue
from tallystick.bootstrap.presenting import Presenting
from tallystick.bootstrap.timers import rewrapping, sweeping, telling
from tallystick.channels.limiting import Limiter
from tallystick.config import Settings
from tallystick.crypto import kdf
from tallystick.doubts import recover
from tallystick.path import Platform
from tallystick.routing.changes import begin
from tallystick.security.ports import Purpose
from tallystick.service.tallies import TallyKeeper

COLLECT_EVERY: Final = 20_000  # container objects made between two looks of the cyclic collector


@contextlib.asynccontextmanager
async def serving(root: Path, settings: Settings, seat: Seat | None = None) -> AsyncIterator[Running]:
    """Serve until the context ends: first recover, then listen; at the end drain, then close."""
    async with office(root, settings) as desk, contextlib.AsyncExitStack() as stack:
        await _first_rules(desk)
        presenting = await Presenting.ready(desk)
        await stack.enter_async_context(checkpointing(desk))
        table = split_policies(settings)
        opening, epochs, recovery_keys = _short_lived_keys(desk, stack, tuple(sorted(table)))
        queue, pins = pull_queue(desk), await stack.enter_async_context(pin_process(desk))
        registry = connector_registry(desk, queue, presenting, pins)
        stack.push_async_callback(registry.aclose)
        limiter = await _limiter(desk, stack)
        platform = Platform(
            store=desk.store,
            keyring=desk.keyring,
            opening_keys=opening,
            epochs=epochs,
            recovery_keys=recovery_keys,
            connectors=registry,
            stretcher=desk.stretcher,
            counter=limiter,
            pins=pins,
            policies=table,
            clock=desk.clock,
            randomness=desk.randomness,
            receipts=IdentityReceipts(desk.keyring),
            independence=settings.pages.independence if settings.pages is not None else (),
        )
        await recover(platform)
        for beside in (sweeping(platform, desk), rewrapping(desk)):
            await stack.enter_async_context(beside)
        webhooks = await stack.enter_async_context(telling(desk))
        behind = Behind(desk, presenting, opening, epochs, registry, limiter, webhooks, queue)
        running = await stack.enter_async_context(listening(platform, behind, seat or Seat()))
        _settle_memory()
        yield running


async def _limiter(desk: Office, stack: contextlib.AsyncExitStack) -> Limiter:
    """Return the counter of this process, which begins with what was counted before a restart."""
    limiter = Limiter(desk.clock, kdf.derive(desk.keyring.key(Purpose.ACCESS), "limits"))
    await stack.enter_async_context(TallyKeeper(desk.store, limiter, desk.keyring, desk.clock).keeping())
    return limiter


def _short_lived_keys(
    desk: Office, stack: contextlib.AsyncExitStack, policies: tuple[str, ...]
) -> tuple[FileOpeningKeys, FileEpochKeys, FileEpochKeys]:
    """Open the keys of parts: those that open them, and those they are sealed under until they are delivered."""
    layout, wrapper = desk.layout, desk.wrapper
    opening = FileOpeningKeys(
        layout.opening,
        lambda: desk.keyring.identity,
        desk.randomness,
        policies=policies,
        asked_at=lambda: desk.keyring.opening_asked_at,
        wrapper=wrapper,
    )
    stack.callback(opening.close)
    opening.rotate(desk.clock.now())
    epochs = FileEpochKeys(layout.epochs, desk.randomness, wrapper=wrapper)
    stack.callback(epochs.close)
    recovery_keys = FileEpochKeys(layout.recovery, desk.randomness, wrapper=wrapper)
    stack.callback(recovery_keys.close)
    return opening, epochs, recovery_keys


async def _first_rules(desk: Office) -> None:
    """Give an empty routing table the issuer rules every platform begins with."""
    await desk.store.transact(lambda books: begin(books, desk.clock.now()))


def _settle_memory() -> None:
    """Take what start-up made out of the cyclic collector's sight, and let it look less often.

    The path makes no reference cycles, so looking often only costs (bench/results/latest.json).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
