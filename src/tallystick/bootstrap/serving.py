"""Serve a platform: first its engine, then listen; at the end drain, then stop the engine."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tallystick.bootstrap.engine import engine, settle_memory
from tallystick.bootstrap.listening import Running, Seat, listening
from tallystick.config import Settings
from tallystick.delivery.model import NodeKind


@contextlib.asynccontextmanager
async def serving(
    root: Path, settings: Settings, seat: Seat | None = None, *, timers: bool = True
) -> AsyncIterator[Running]:
    """Serve until the context ends; without `timers` they are left to other nodes."""
    async with (
        engine(root, settings, NodeKind.SERVE, timers=timers) as made,
        listening(made, seat or Seat()) as running,
    ):
        settle_memory()
        yield running
