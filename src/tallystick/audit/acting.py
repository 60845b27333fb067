"""Who acts: set once where a sender, operator or timer is known, read by the store for every transaction.

It travels with the task and not as an argument, so that no verb in between can leave it out or claim another one.
"""

from contextvars import ContextVar
from typing import Final

SYSTEM: Final = "system"
"""The platform by itself: its timers, and the delivery of what was joined."""
VISITOR: Final = "visitor"
"""Whoever speaks to a payer's page and has proven nothing yet."""
PAGE: Final = "page:"
"""Begins the actor of a proven page: kind and session follow, `page:pc:ses_…`."""

_actor: Final = ContextVar("actor", default=SYSTEM)


class acting:  # noqa: N801 - a context manager, written out since each request enters one
    """Attribute what is done inside to `actor`, tasks started inside included."""

    __slots__ = ("_name", "_token")

    def __init__(self, actor: str) -> None:
        self._name = actor

    def __enter__(self) -> None:
        self._token = _actor.set(self._name)

    def __exit__(self, *_: object) -> None:
        _actor.reset(self._token)


def actor() -> str:
    """Return who acts now."""
    return _actor.get()
