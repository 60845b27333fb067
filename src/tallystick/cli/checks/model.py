"""A check, how much it weighs, and what it looks at."""

import os
import resource
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from tallystick import config
from tallystick.adapters.store.examination import Examined
from tallystick.bootstrap.layout import Layout
from tallystick.bootstrap.office import Office, office
from tallystick.bootstrap.storing import examining
from tallystick.config import Settings, StoreSection
from tallystick.errors import Misconfigured
from tallystick.runtime import Clock, Millis, SystemClock

PRIVATE_UMASK: Final = 0o077


class Weight(StrEnum):
    """What a fault means: the platform does not work; it works but not safely; or somebody should look at it."""

    STOPS = "stops"
    UNSAFE = "unsafe"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Machine:
    """How this process runs. `swaps`, `mounts` and `core_pattern` are texts of Linux's /proc, empty elsewhere."""

    environ: Mapping[str, str]
    user: int
    umask: int
    core_limit: int
    python: tuple[int, int, int]
    openssl: tuple[int, int, int]
    swaps: str
    mounts: str
    core_pattern: str

    @classmethod
    def this(cls) -> Self:
        """Look at this process and the machine it runs on."""
        umask = os.umask(PRIVATE_UMASK)
        os.umask(umask)
        major, minor, _, patch, _ = ssl.OPENSSL_VERSION_INFO
        return cls(
            environ=os.environ,
            user=os.geteuid(),
            umask=umask,
            core_limit=resource.getrlimit(resource.RLIMIT_CORE)[0],
            python=sys.version_info[:3],
            openssl=(major, minor, patch),
            swaps=_proc("swaps"),
            mounts=_proc("self/mounts"),
            core_pattern=_proc("sys/kernel/core_pattern"),
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """The platform and the machine to look at."""

    layout: Layout
    machine: Machine
    clock: Clock

    @classmethod
    def here(cls, root: Path) -> Self:
        """Look at a data directory from this process."""
        return cls(layout=Layout(root), machine=Machine.this(), clock=SystemClock())

    def now(self) -> Millis:
        """Return the current time."""
        return self.clock.now()

    def settings(self) -> Settings:
        """Read the settings; raises Misconfigured."""
        return config.load(self.layout.root, self.machine.environ)

    def examining(self) -> AbstractContextManager[Examined]:
        """Open the store to look at its rows; raises Misconfigured, also when its file is not there."""
        section = self.settings().store
        self._require_store(section)
        return examining(self.layout, section)

    def desk(self) -> AbstractAsyncContextManager[Office]:
        """Open books and keys; raises Misconfigured."""
        settings = self.settings()
        self._require_store(settings.store)
        return office(self.layout.root, settings)

    def _require_store(self, section: StoreSection) -> None:
        """Refuse to open a file that is missing, which would make an empty one; Misconfigured."""
        if section.kind == "sqlite" and not self.layout.store.exists():
            raise Misconfigured(f"{self.layout.store.name} is missing")


Look = Callable[[Scene], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, the weight of a fault, what to do about one, and how to look.

    `look` returns what it saw; it raises a TallystickError or OSError that says what is wrong. Neither holds a secret.
    """

    name: str
    weight: Weight
    remedy: str
    look: Look


def refuse(faults: list[str]) -> None:
    """Raise Misconfigured with all faults as one text; return when there is none."""
    if faults:
        raise Misconfigured("; ".join(faults))


def _proc(name: str) -> str:
    try:
        return Path("/proc", name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
