"""Who acts: set once where a sender, operator or timer is known, read by the store for every transaction.

It travels with the task and not as an argument, so that no verb in between can leave it out or claim another one.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

SYSTEM: Final = "system"
"""The platform by itself: its timers, and the delivery of what was joined."""
VISITOR: Final = "visitor"
"""Whoever speaks to a payer's page and has proven nothing yet."""
PAGE: Final = "page:"
"""Begins the actor of a proven page: kind and session follow, `page:pc:ses_…`."""

_actor: Final = ContextVar("actor", default=SYSTEM)


@contextlib.contextmanager
def acting(actor: str) -> Iterator[None]:
    """Attribute what is done inside to `actor`, tasks started inside included."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> str:
    """Return who acts now."""
    return _actor.get()
