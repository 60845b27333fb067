"""Who asks the oracles at each moment of a run, and keeps what they find."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sim_oracles import AT_ASK, AT_COMMIT, AT_EFFECT, AT_MOVE, AT_SEND
from sim_record import Left, Record
from sim_rest import AT_END

from tallystick.delivery.model import Instruction
from tallystick.testing.simulation.node import Node

if TYPE_CHECKING:
    from sim_banks import Bank
    from sim_world import World

Oracle = Callable[..., Iterator[str]]


def oracles() -> dict[str, str]:
    """Return the claim of each oracle by its name."""
    every: tuple[Oracle, ...] = (*AT_MOVE, *AT_COMMIT, *AT_SEND, *AT_ASK, *AT_EFFECT, *AT_END)
    return {oracle.__name__: oracle.__doc__ or "" for oracle in every}


class Judge:
    """Ask the oracles at each moment, and keep what they find, by the oracle's name."""

    def __init__(self, world: "World", record: Record) -> None:
        self.findings: list[tuple[str, str]] = []
        self._world = world
        self._record = record

    def effect(self, bank: "Bank", payment_id: str) -> None:
        """Look at a back end that has just moved money."""
        self._ask(AT_EFFECT, bank, payment_id)

    def sent(self, node: Node, left: Left, instruction: Instruction) -> None:
        """Look at an authorisation as it leaves."""
        self._ask(AT_SEND, node, left, instruction)
        self._record.sends.append(left)

    def asked(self, node: Node, left: Left) -> None:
        """Look at an inquiry or reversal as it leaves."""
        self._ask(AT_ASK, node, left)
        self._record.asks.append(left)

    def rested(self) -> None:
        """Look at a world at rest."""
        self._ask(AT_END)

    def committed(self) -> None:
        """Look at what a commit changed."""
        for after in self._world.books._payments.rows():
            before = self._record.payments.get(after.id)
            if after is before:
                continue
            if before is None or before.state is not after.state:
                self._world.faults.note(f"payment {after.state}", after.id)
                self._record.moves.setdefault(after.id, []).append(after.state)
            self._record.payments[after.id] = after
            self._ask(AT_MOVE, before, after)
        self._ask(AT_COMMIT)

    def _ask(self, moment: Iterable[Oracle], *facts: Any) -> None:
        """Ask all oracles of a moment."""
        for oracle in moment:
            for finding in oracle(self._world, *facts):
                self._world.faults.note("BROKEN", oracle.__name__, finding)
                self.findings.append((oracle.__name__, finding))
