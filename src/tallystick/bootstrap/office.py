"""What operators' commands work with: the books and keys of a platform, without a listener."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.keys.files import FileKeyring
from tallystick.adapters.keys.wrapper import KeyWrapper
from tallystick.adapters.passwords.process import PasswordProcesses
from tallystick.assembly import policy as policies
from tallystick.assembly.model import SplitPolicy
from tallystick.bootstrap.layout import Layout
from tallystick.bootstrap.storing import PlatformStore, storing
from tallystick.bootstrap.wrapping import key_wrapper
from tallystick.config import Settings
from tallystick.errors import Misconfigured
from tallystick.runtime import Clock, Randomness, SystemRandomness


@dataclass(frozen=True, slots=True)
class Office:
    """What the operator's commands work with: the books and keys, without a listener."""

    layout: Layout
    settings: Settings
    store: PlatformStore
    keyring: FileKeyring
    wrapper: KeyWrapper
    ca: FileCa
    stretcher: PasswordProcesses
    clock: Clock
    randomness: Randomness


@contextlib.asynccontextmanager
async def office(root: Path, settings: Settings) -> AsyncIterator[Office]:
    """Open a platform's books and keys for an operator's command; a serving process may run at the same time."""
    layout = Layout(root)
    wrapper = key_wrapper(root, settings.keys)
    async with storing(layout, settings.store) as (store, clock):
        stretcher = PasswordProcesses(clock, settings.passwords.processes)
        try:
            yield Office(
                layout=layout,
                settings=settings,
                store=store,
                keyring=FileKeyring.load(layout.keys, wrapper, clock),
                wrapper=wrapper,
                ca=FileCa(layout.ca, status_url=settings.ca.url, lives=settings.ca.lives()),
                stretcher=stretcher,
                clock=clock,
                randomness=SystemRandomness(),
            )
        finally:
            await stretcher.aclose()


def split_policies(settings: Settings) -> Mapping[str, SplitPolicy]:
    """Return the built-in policies and the operator's own; raises Misconfigured for an unsafe or unreadable one."""
    try:
        own = msgspec.convert(settings.policies, tuple[SplitPolicy, ...], strict=False)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"a split policy in the settings is wrong: {error}") from None
    return policies.load((*policies.BUILT_IN, *own))
