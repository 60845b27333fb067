"""Judge a run: what clients were told, against what the back ends recorded themselves and what the platform stored."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from tallystick.assembly.facts import FINAL_STATES, PaymentState
from tallystick.testing.sandbox.record import Entry

LOST = "lost"
DOUBLED = "doubled"
UNTRUE = "untrue"
STRANGE = "strange"


@dataclass
class Told:
    """What the clients of one payment were told; its amount names it everywhere.

    `parts` are the receipts' part ids, `outcomes` what each part's sender was told at last, `wrong` what no client
    should ever see.
    """

    amount: int
    kind: str
    parts: list[str] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stored:
    """What the platform's own books say of one payment at the end."""

    state: PaymentState
    parts: int
    sending: int


@dataclass(frozen=True)
class Fault:
    """One broken promise."""

    kind: str
    amount: int
    text: str


class Effects:
    """What all back ends did for each amount: authorisations that were effective, less those undone."""

    def __init__(self, records: Iterable[Sequence[Entry]]) -> None:
        self.now: Counter[int] = Counter()
        self.most: Counter[int] = Counter()
        self.asked: Counter[int] = Counter()
        for entries in records:
            self._add(entries)

    def _add(self, entries: Sequence[Entry]) -> None:
        amounts: dict[object, int] = {}
        for entry in entries:
            key, amount = entry.get("payment_key") or entry.get("rrn"), entry.get("amount")
            if isinstance(amount, int):
                amounts.setdefault(key, amount)
            if key not in amounts:
                continue  # asked about, or reversed, before it came
            amount = amounts[key]
            self.asked[amount] += entry.get("kind") in {"0200", "authorisation"}
            self.now[amount] += (entry.get("effective") is True) - (entry.get("undone") is True)
            self.most[amount] = max(self.most[amount], self.now[amount])


def judge(
    told: Sequence[Told], records: Iterable[Sequence[Entry]], stored: Mapping[int, Sequence[Stored]]
) -> list[Fault]:
    """Return every broken promise; none is what a run is for.

    1. Lost: each acknowledged part belongs to a payment that the platform knows, and that ended.
    2. Doubled: no payment ever had two effective authorisations, nor became two payments.
    3. Untrue: who was told "approved" was paid for at the back end, who was told anything else was not; all parts of a
       payment are told the same, and what the store says.
    4. Strange: no client saw what it never should; no payment is there that nobody began; what ended keeps no part.
    """
    effects = Effects(records)
    faults = [fault for each in told for fault in _judge_one(each, effects, stored.get(each.amount, ()))]
    known = {each.amount for each in told}
    strangers = (stored.keys() | effects.asked.keys()) - known
    return faults + [Fault(STRANGE, amount, "nobody began this payment") for amount in sorted(strangers)]


def _judge_one(told: Told, effects: Effects, stored: Sequence[Stored]) -> Iterator[Fault]:
    words = set(told.outcomes.values()) | {str(each.state) for each in stored}
    broken = (
        (LOST, _lost(told, stored)),
        (DOUBLED, _doubled(effects.most[told.amount], len(stored))),
        (UNTRUE, _untrue(words, effects.now[told.amount])),
        (STRANGE, _strange(told, stored)),
    )
    return (Fault(kind, told.amount, text) for kind, texts in broken for text in texts)


def _lost(told: Told, stored: Sequence[Stored]) -> Iterator[str]:
    """1."""
    if told.parts and not stored:
        yield f"{told.parts} were acknowledged, and no payment is there"
    for part in told.parts:
        if told.outcomes.get(part) not in FINAL_STATES:
            yield f"{part} was acknowledged and ended nowhere: {told.outcomes.get(part)}"
    for each in stored:
        if told.parts and each.state not in FINAL_STATES:
            yield f"the payment did not end: {each.state}"


def _doubled(effective: int, payments: int) -> Iterator[str]:
    """2."""
    if effective > 1:
        yield f"{effective} authorisations were effective at one time"
    if payments > 1:
        yield f"one payment became {payments}"


def _untrue(words: AbstractSet[str], effective: int) -> Iterator[str]:
    """3."""
    if len(words) > 1:
        yield f"one payment was told as {sorted(words)}"
    if effective != (1 if PaymentState.APPROVED in words else 0):
        yield f"told {sorted(words)}, and {effective} authorisations are effective"


def _strange(told: Told, stored: Sequence[Stored]) -> Iterator[str]:
    """4."""
    yield from told.wrong
    for each in stored:
        if each.state in FINAL_STATES and (each.parts or each.sending):
            yield f"it ended, with {each.parts} parts and {each.sending} sends left"
