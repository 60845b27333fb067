"""What an author gives the conformance suite: a connector, and its back end in the suite's hand."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from tallystick.delivery.model import Instruction
from tallystick.delivery.ports import Connector


class Behaviour(StrEnum):
    """What the back end does with one request.

    All but DECLINE, and CUT where it says so, take effect before anything goes wrong with the answer.
    """

    APPROVE = "approve"
    DECLINE = "decline"
    SILENT = "no answer at all"
    LATE = "an answer after the connector's time-out"
    TWICE = "the answer twice"
    FORGED = "an answer with a wrong MAC or signature"
    GARBAGE = "an answer that cannot be read"
    CUT = "the connection cut instead of an answer"


class Bench(Protocol):
    """One connector with its back end, for one test."""

    connector: Connector
    lacks: Mapping[Behaviour, str]
    """What this back end cannot be made to do, and why; those tests are skipped."""
    secrets: tuple[str, ...]
    """Texts that may stand in no error: card numbers, PINs, account secrets and keys the bench uses."""
    patience_s: float
    """How long a request may take to end, in s: a little more than the connector's time-out, which is best below 1."""

    async def instruction(self, behaviour: Behaviour) -> Instruction:
        """Make a new instruction, which the back end will treat so; every one has identifiers of its own."""
        ...

    async def arrived(self, instruction: Instruction) -> int:
        """Count how often the back end got this authorisation, whatever it did with it."""
        ...

    async def effective(self, instruction: Instruction) -> int:
        """Count the authorisations of this instruction that stand: those that took effect less those undone."""
        ...

    async def unplug(self) -> None:
        """Make the back end unreachable: connections are cut, new ones refused."""
        ...

    async def plug_in(self) -> None:
        """Make the back end reachable again, at the same address."""
        ...
