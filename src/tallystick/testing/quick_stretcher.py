"""A stretcher without cost, for tests and simulations that log in thousands of times."""

import contextlib
import hashlib
from collections.abc import Iterator

from tallystick.crypto.passwords import StretchedPassword
from tallystick.secret import Secret
from tallystick.vault.ports import StretchOne


class QuickStretcher:
    """Stretch by one hash (`vault.ports.Stretcher`): deterministic, at once, and of no use against a guesser."""

    def __init__(self) -> None:
        self.runs = 0

    @contextlib.contextmanager
    def place(self) -> Iterator[StretchOne]:
        """Give `stretch`; there is always room."""
        yield self.stretch

    async def stretch(self, password: Secret, salt: bytes, parameters: str) -> StretchedPassword:
        """Hash password, salt and parameters; counts its runs."""
        self.runs += 1
        return StretchedPassword(hashlib.sha256(salt + parameters.encode() + password.reveal().encode()).digest())
