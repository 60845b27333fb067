"""Run a transaction's work to its end without ever giving way to other tasks."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tallystick.errors import Misconfigured

B = TypeVar("B")
T = TypeVar("T")


def drive(work: Callable[[B], Awaitable[T]], books: B) -> T:
    """Run `work` on `books` in one go and return its result.

    Book methods are `async` for the sake of stores across a network, but those of an embedded store never suspend, so
    one step reaches the end. Raises Misconfigured when `work` waits on something else, for then a transaction would
    stay open while other tasks run; whatever `work` raises passes through. The caller undoes the effects of both.
    """
    steps = work(books).__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise Misconfigured("a transaction waits only on the store")
