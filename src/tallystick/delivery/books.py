"""The store as the path sees it: every stage's book inside one transaction.

It stands in the last stage because only that one may know the ports of all earlier ones.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from tallystick.assembly.ports import ClaimBook, MerchantBook, PaymentBook
from tallystick.audit.ports import AuditBook
from tallystick.channels.ports import ApiKeyBook, CapabilityBook, ChannelBook, LimitBook, PinBook, ProposalBook
from tallystick.delivery.ports import ConnectorBook, IntentBook, NodeBook, PullBook
from tallystick.routing.ports import RouteBook
from tallystick.security.kept import KeptBook
from tallystick.security.ports import ReplayBook
from tallystick.vault.ports import NoticeBook, SignUpBook, UserBook

T = TypeVar("T")
B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)


class Books(
    ChannelBook,
    CapabilityBook,
    ApiKeyBook,
    ProposalBook,
    LimitBook,
    PinBook,
    ReplayBook,
    PaymentBook,
    MerchantBook,
    ClaimBook,
    RouteBook,
    UserBook,
    NoticeBook,
    SignUpBook,
    IntentBook,
    NodeBook,
    ConnectorBook,
    PullBook,
    KeptBook,
    AuditBook,
    Protocol,
):
    """All books of one store; they are read and written only inside `Store.transact`."""


class Store(Protocol[B_co]):
    """Run pieces of work on the books, each all-or-nothing and durable.

    A store gives all its books; who needs fewer asks for `Store[PaymentBook]` and the like.
    """

    async def transact(self, work: Callable[[B_co], Awaitable[T]]) -> T:
        """Run `work` as one transaction and return its result once the change is durable.

        `work` awaits nothing but methods of the books it is given and keeps no reference to them. It gives what it
        would give if works ran one after the other: each reads its own writes and those of works before it. A store may
        run it again from its start while nothing of it can have counted, so it has no effect outside of the books. What
        `work` raises undoes its own effects only and reaches the caller. A caller cancelled before its work began
        leaves no effect; one cancelled later does not know whether the work counts.

        Raises StoreFailed when it is not known to be durable: it was lost, or on a store across a network nobody
        answered the commit. Nothing was acknowledged, so the caller acknowledges nothing either; repeating is safe for
        what bears an idempotency key or a compare-and-set. Raises Unavailable when too many works wait. Raises
        Misconfigured when `work` waits on something that is not the store: that is a bug of the caller.
        """
        ...

    async def read(self, work: Callable[[B_co], Awaitable[T]]) -> T:
        """Run `work`, which only reads, on one state of what is committed.

        Cheaper than `transact`: it waits for no commit. Raises Misconfigured when `work` writes, and keeps nothing of
        it; StoreFailed when the store cannot be read.
        """
        ...

    async def aclose(self) -> None:
        """Finish the works that wait, then close; later transactions raise StoreFailed. Closing twice is harmless."""
        ...


class Within(Generic[B]):
    """A store that is one transaction already running: lets a verb that transacts take part in the caller's."""

    def __init__(self, books: B) -> None:
        self._books = books

    async def transact(self, work: Callable[[B], Awaitable[T]]) -> T:
        """Run `work` inside the caller's transaction; it becomes durable with that one."""
        return await work(self._books)
