"""Serve a platform: first recover, then listen; at the end drain, then close."""

import contextlib
import gc
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tallystick.adapters.keys.epochs import FileEpochKeys
from tallystick.adapters.keys.opening import FileOpeningKeys
from tallystick.adapters.keys.receipts import IdentityReceipts
from tallystick.adapters.metrics import Watched
from tallystick.bootstrap.auditing import checkpointing
from tallystick.bootstrap.listeners import further_listeners
from tallystick.bootstrap.merchants import merchant_listener
from tallystick.bootstrap.metrics import metrics
from tallystick.bootstrap.office import Office, office, split_policies
from tallystick.bootstrap.pages import pages
from tallystick.bootstrap.parts import connector_registry, pin_process, pull_queue
from tallystick.bootstrap.presenting import Presenting, keeping
from tallystick.bootstrap.timers import rewrapping, sweeping, telling
from tallystick.channels.limiting import Limiter
from tallystick.channels.model import PageKind
from tallystick.config import GatewaySettings, Settings
from tallystick.crypto import kdf
from tallystick.doubts import recover
from tallystick.path import Platform
from tallystick.routing.changes import begin
from tallystick.security.ports import Purpose
from tallystick.service.background import Carriers
from tallystick.service.events import Streams
from tallystick.service.gateway import Gateway
from tallystick.service.notifications import Notifications
from tallystick.service.outcomes import Outcomes
from tallystick.service.pull import PullDesk
from tallystick.service.renewal import Renewals
from tallystick.service.server import Listener
from tallystick.service.tallies import TallyKeeper

COLLECT_EVERY: Final = 20_000  # container objects made between two looks of the cyclic collector


@dataclass(frozen=True, slots=True)
class Running:
    """A platform that serves."""

    platform: Platform
    port: int
    page_ports: Mapping[PageKind, int] = field(default_factory=dict)
    merchant_port: int | None = None


@contextlib.asynccontextmanager
async def serving(root: Path, settings: Settings) -> AsyncIterator[Running]:
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
        webhooks, streams = await stack.enter_async_context(telling(desk)), Streams(desk.store, desk.clock)
        carriers = Carriers(platform, streams.wake)
        stack.push_async_callback(carriers.drain)
        gateway = Gateway(
            platform,
            standing=presenting.anchoring.book,
            institutions=registry,
            identity=desk.keyring.signer(),
            carriers=carriers,
            more={
                **streams.handlers(),
                **PullDesk(platform, queue).handlers(),
                **Outcomes(platform, streams.wake).handlers(),
                **Renewals(platform, desk.ca).handlers(),
            },
            guests=Notifications(platform, registry, streams.wake).handlers(),
        )
        listener = await stack.enter_async_context(_gateway_listener(gateway, presenting, settings.gateway))
        page_ports = await stack.enter_async_context(pages(platform, desk, presenting, carriers, streams))
        merchant_port = await stack.enter_async_context(merchant_listener(platform, desk, presenting, carriers))
        for further in further_listeners(desk, presenting, platform.counter):
            await stack.enter_async_context(further)
        watched = Watched(opening, registry, limiter, webhooks, gateway.answers)
        await stack.enter_async_context(metrics(desk, presenting, watched))
        await stack.enter_async_context(keeping(presenting))
        stack.callback(streams.close)
        stack.callback(queue.close)
        _settle_memory()
        yield Running(platform=platform, port=listener.port, page_ports=page_ports, merchant_port=merchant_port)


def _gateway_listener(gateway: Gateway, presenting: Presenting, address: GatewaySettings) -> Listener:
    context = presenting.listener("gateway", clients=True)
    return Listener(gateway.app(), host=address.host, port=address.port, context=context)


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
