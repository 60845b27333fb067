"""What a work leaves in the audit chain: one entry for each payment or payer it touched, else one.

A store makes its books with `audited` and keeps one `Ledger`: `begin` before a work, `end` after it.
"""

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from tallystick.audit.acting import SYSTEM
from tallystick.audit.model import Action, Detail, Entry, Noted
from tallystick.audit.rules import WRITES, Rule
from tallystick.errors import Misconfigured
from tallystick.runtime import Millis

RANK: Final[Mapping[Action, int]] = {action: rank for rank, action in enumerate(Action)}

_MARK: Final = "accounts_for_itself"

T = TypeVar("T")


class Ledger:
    """Collect what one work does; `changes` counts the rows changed on the store's connection so far."""

    __slots__ = ("_actor", "_noted", "changes", "explained")

    def __init__(self, changes: Callable[[], int]) -> None:
        self.changes = changes
        self.explained = 0
        """What `changes` would count if only methods with a rule had changed anything."""
        self._actor = SYSTEM
        self._noted: list[Noted] = []

    def begin(self, actor: str) -> None:
        """Start a work of `actor`."""
        self._actor, self._noted, self.explained = actor, [], self.changes()

    def note(self, noted: Noted) -> None:
        """Note something done."""
        self._noted.append(noted)

    def end(self) -> "list[Draft]":
        """Finish the work; raises Misconfigured when it changed anything that no rule explains: undo it."""
        if self.changes() != self.explained:
            raise Misconfigured("a change of the store without an audit rule: name it in audit/rules.py")
        noted = self._noted
        if len(noted) < 2:  # noqa: PLR2004 - the usual work does one thing
            return [Draft(self._actor, noted)] if noted else []
        together: dict[str | None, list[Noted]] = {}
        for one in noted:
            together.setdefault(one.subject, []).append(one)
        return [Draft(self._actor, each) for each in together.values()]


class Draft:
    """An entry that waits for its place in the chain."""

    __slots__ = ("_actor", "_noted")

    def __init__(self, actor: str, noted: list[Noted]) -> None:
        self._actor = actor
        self._noted = noted

    def entry(self, seq: int, at: Millis) -> Entry:
        """Give it its place."""
        named, details = self._noted[0], {}
        if len(self._noted) > 1:
            named = max(self._noted, key=lambda noted: RANK[noted.action])
            details = {"with": tuple(dict.fromkeys(_short(noted) for noted in self._noted if noted is not named))}
        subjects = [named.subject, *named.others] if named.subject is not None else [*named.others]
        for noted in self._noted:
            subjects += [each for each in noted.others if each not in subjects]
        return Entry(seq, at, self._actor, named.action, named.outcome, tuple(subjects), {**named.details, **details})


def _short(noted: Noted) -> str:
    return noted.action if noted.outcome == "done" else f"{noted.action}={noted.outcome}"


def audited(kind: type[T]) -> type[T]:
    """Let every writing method of the books `kind` account for itself by its rule; a class decorator.

    The instances have their `Ledger` in an attribute `ledger`.
    """
    for name, rule in WRITES.items():
        method = getattr(kind, name, None)
        if method is not None and not hasattr(method, _MARK):
            setattr(kind, name, _accounted(method, None if isinstance(rule, str) else rule))
    return kind


def _accounted(method: Callable[..., Awaitable[T]], rule: Rule | None) -> Callable[..., Awaitable[T]]:
    @functools.wraps(method)
    async def account(self: Any, *args: Any, **kwargs: Any) -> T:
        ledger: Ledger = self.ledger
        before = ledger.changes()
        result = await method(self, *args, **kwargs)
        if changed := ledger.changes() - before:
            ledger.explained += changed
            if rule is not None and (noted := rule(*args, **kwargs)) is not None:
                ledger.note(noted)
        return result

    setattr(account, _MARK, True)
    return account


class LedgerBook:
    """The half of `AuditBook` that every store shares."""

    ledger: Ledger

    async def append(self, action: Action, *subjects: str, outcome: str = "done", **details: Detail) -> None:
        """Note what the work at hand does beside the store; its entry is durable with the work, or neither is."""
        self.ledger.note(Noted(action=action, others=subjects, outcome=outcome, details=details))


def entries(drafts: Iterable[Draft], after: int, at: Millis) -> list[Entry]:
    """Give drafts their places behind `after`."""
    return [draft.entry(after + place, at) for place, draft in enumerate(drafts, 1)]
