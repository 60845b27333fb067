"""What everybody in a simulated world did, as seen from outside; the oracles judge by this and the store."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import Payment
from tallystick.delivery.model import Recovery
from tallystick.runtime import Millis

if TYPE_CHECKING:
    from sim_banks import Bank
    from sim_people import Half, Order


@dataclass(frozen=True)
class Left:
    """A message to a back end as it left: `key` names the authorisation it is or is about, `own` the message itself."""

    bank: "Bank"
    payment_id: str
    key: str
    own: str
    rrn: str
    at: Millis


@dataclass
class Record:
    """The facts of one run.

    `acks` holds the part that stands behind each part id, `answers` what each Idempotency-Key got, `orders` what shops
    created, `called_off` payments whose owner was told that they are cancelled, `cards` the name and card of each
    registered payer, `replayed` and `forged` what should have been refused and was not, `moves` the states that each
    payment entered, `calm` says that nothing went wrong in this run, and `plain` which stories had no quirk.
    """

    calm: bool = False
    plain: set[int] = field(default_factory=set)
    story_orders: "list[Order]" = field(default_factory=list)
    halves: "list[Half]" = field(default_factory=list)
    acks: "dict[str, Half]" = field(default_factory=dict)
    answers: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    orders: "dict[str, Order]" = field(default_factory=dict)
    called_off: set[str] = field(default_factory=set)
    cards: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    replayed: list[str] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    sends: list[Left] = field(default_factory=list)
    asks: list[Left] = field(default_factory=list)
    moves: dict[str, list[PaymentState]] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)
    high: Counter[str] = field(default_factory=Counter)

    def secrets(self) -> set[str]:
        """Return every value that no store and no log may show."""
        typed = {
            value for half in self.halves for name, value in half.values.items() if name not in {"expiry", "username"}
        }
        return typed | {pan for _, pan, _ in self.cards.values()}

    def senders(self, value: str) -> set[tuple[int, str]]:
        """Return who sent a value: story and channel."""
        return {(half.story, half.sender) for half in self.halves if value in half.values.values()}

    def answer(self, sender: str, key: str, answer: Any) -> None:
        """Note what a request was answered with; refusals are not kept."""
        self.answers.setdefault((sender, key), []).append(getattr(answer, "body", answer))

    def may_repeat(self, left: Left) -> bool:
        """Say whether a request may leave more than once: its back end acts on it once."""
        return Recovery.RETRY in left.bank.recovery
