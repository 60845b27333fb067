"""What every node runs, whether it listens or not: the platform's path, its keys and connectors, and the timers."""

import contextlib
import gc
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from tallystick.adapters.connectors.registry import ConnectorRegistry
from tallystick.adapters.keys.epochs import FileEpochKeys
from tallystick.adapters.keys.opening import FileOpeningKeys
from tallystick.adapters.keys.receipts import IdentityReceipts
from tallystick.adapters.node_files import NodeFiles
from tallystick.bootstrap.auditing import checkpointing
from tallystick.bootstrap.office import Office, office, split_policies
from tallystick.bootstrap.parts import connector_registry, pin_process, pull_queue
from tallystick.bootstrap.presenting import Presenting, keeping
from tallystick.bootstrap.timers import rewrapping, sweeping, telling
from tallystick.channels.limiting import Limiter
from tallystick.config import Settings
from tallystick.crypto import kdf
from tallystick.delivery.model import NodeKind
from tallystick.delivery.nodes import LeasedNode
from tallystick.delivery.pull_queue import PullQueue
from tallystick.outcomes.send import Sender
from tallystick.path import Platform
from tallystick.routing.changes import begin
from tallystick.security.ports import Purpose
from tallystick.service.tallies import TallyKeeper

COLLECT_EVERY: Final = 20_000  # container objects made between two looks of the cyclic collector


@dataclass(frozen=True, slots=True)
class Engine:
    """A node's path, and the parts of it that listeners and metrics need by themselves."""

    desk: Office
    presenting: Presenting
    platform: Platform
    node: LeasedNode
    opening: FileOpeningKeys
    epochs: FileEpochKeys
    registry: ConnectorRegistry
    queue: PullQueue
    limiter: Limiter
    webhooks: Sender


@contextlib.asynccontextmanager
async def engine(root: Path, settings: Settings, kind: NodeKind, *, timers: bool) -> AsyncIterator[Engine]:
    """Run a node's engine while the context lasts, its timers only with `timers`.

    The caller's listeners begin after it and end before it, so that what they took is carried, and nothing is begun
    without a lease.
    """
    async with office(root, settings) as desk, contextlib.AsyncExitStack() as stack:
        await desk.store.transact(lambda books: begin(books, desk.clock.now()))  # an empty table gets its first rules
        presenting = await Presenting.ready(desk)
        node = _node(desk, kind)
        await stack.enter_async_context(node.living())
        await stack.enter_async_context(checkpointing(desk, node))
        table = split_policies(settings)
        opening, epochs, recovery_keys = _short_lived_keys(desk, stack, tuple(sorted(table)))
        queue, pins = pull_queue(desk), await stack.enter_async_context(pin_process(desk))
        registry = connector_registry(desk, node, queue, presenting, pins)
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
            node=node,
            pins=pins,
            policies=table,
            clock=desk.clock,
            randomness=desk.randomness,
            receipts=IdentityReceipts(desk.keyring),
            independence=settings.pages.independence if settings.pages is not None else (),
        )
        await stack.enter_async_context(sweeping(platform, desk, timers=timers))
        if timers:
            await stack.enter_async_context(rewrapping(desk, node))
        webhooks = await stack.enter_async_context(telling(desk, timers=timers))
        yield Engine(desk, presenting, platform, node, opening, epochs, registry, queue, limiter, webhooks)


@contextlib.asynccontextmanager
async def working(root: Path, settings: Settings) -> AsyncIterator[None]:
    """Do the timers and deliveries of a platform, without a listener, until the context ends."""
    async with engine(root, settings, NodeKind.WORKER, timers=True) as made, keeping(made.presenting):
        settle_memory()
        yield


def settle_memory() -> None:
    """Take what start-up made out of the cyclic collector's sight, and let it look less often.

    The path makes no reference cycles, so looking often only costs (bench/results/latest.json).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


def _node(desk: Office, kind: NodeKind) -> LeasedNode:
    return LeasedNode(
        desk.store,
        desk.clock,
        desk.randomness,
        kind=kind,
        name=f"{socket.gethostname()}:{os.getpid()}",
        release=metadata.version("tallystick"),
        witness=NodeFiles(desk.layout.nodes),
    )


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
