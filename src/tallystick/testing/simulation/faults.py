"""Faults by seed: each place where something can go wrong asks here whether it does, and is counted when it did.

A run is drawn for a seed: which kinds of fault there are in it at all, and how often each. Many runs with few kinds
reach more than one mixture of everything (swarm testing).
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

SCALES: Final = (0.0, 0.0, 0.5, 1.0, 4.0)
"""What the usual rate of each kind is multiplied with in one run; half of all kinds are rare or absent."""


def choices(seed: int, what: str) -> random.Random:
    """Return the choices of one kind in the run of a seed: the same for the same seed, so never for a secret."""
    return random.Random(f"{what} {seed}")  # noqa: S311 - predictable on purpose


class Faults:
    """Say when something goes wrong; `rates` gives the usual probability of each kind by name.

    `seen` counts what happened, faults and whatever else a simulation reaches; `trace` is all of it in order, with the
    `time` of each.
    """

    def __init__(self, seed: int, rates: Mapping[str, float], time: Callable[[], float] = lambda: 0.0) -> None:
        self.time = time
        self.random = choices(seed, "faults")
        self.seen: Counter[str] = Counter()
        self.trace: list[tuple[object, ...]] = []
        self._rates = {name: min(1.0, rate * self.random.choice(SCALES)) for name, rate in rates.items()}
        self._over = False

    def end(self) -> None:
        """Let nothing go wrong any more: what is left to do heals."""
        self._over = True

    @property
    def over(self) -> bool:
        """Say whether the faults have ended."""
        return self._over

    def strikes(self, name: str) -> bool:
        """Say whether the fault `name` happens now; raises KeyError for one that has no rate."""
        rate = self._rates[name]
        if self._over or not rate or self.random.random() >= rate:
            return False
        self.note(name)
        return True

    def note(self, what: str, *details: object) -> None:
        """Count something reached and write it into the trace; `details` are the same for the same seed."""
        self.seen[what] += 1
        self.trace.append((round(self.time(), 3), what, *details))

    def between(self, least: float, most: float) -> float:
        """Draw a number, of seconds mostly."""
        return least + (most - least) * self.random.random()

    @property
    def digest(self) -> str:
        """Return the hash of the trace: equal runs have equal ones."""
        return hashlib.sha256(repr(self.trace).encode()).hexdigest()
