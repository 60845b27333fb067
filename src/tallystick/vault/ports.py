"""What this stage needs of a store, of message carriers and of a place to stretch passwords."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from tallystick.assembly.ports import ClaimBook
from tallystick.channels.ports import PinBook
from tallystick.crypto.passwords import StretchedPassword
from tallystick.runtime import Millis
from tallystick.secret import Pan, Secret
from tallystick.vault.model import Due, Medium, Notice, Numbering, SignUp, StoredCredential, User

T = TypeVar("T")


class UserBook(Protocol):
    """Registered users and their stored credentials."""

    async def add_user(self, user: User) -> None:
        """Register a user; raises AlreadyExists when the name is taken."""
        ...

    async def user(self, user_id: str) -> User | None:
        """Find a user by id."""
        ...

    async def user_named(self, name_digests: tuple[bytes, ...]) -> User | None:
        """Find a user by one of the keyed digests of the name."""
        ...

    async def replace_contact(self, user_id: str, sealed_contact: bytes) -> None:
        """Replace a user's sealed contact."""
        ...

    async def count_try(self, user_id: str, now: Millis, window_ms: int) -> int:
        """Count one password try before it is checked; returns the tries since the window began, this one included.

        The window begins with the first try and ends `window_ms` later; counters never go back within it.
        """
        ...

    async def clear_tries(self, user_id: str) -> None:
        """Forget the tries of a user after a right password."""
        ...

    async def put_credential(self, credential: StoredCredential) -> None:
        """Store or replace a user's credential for an institution."""
        ...

    async def credential(self, user_id: str, institution: str) -> StoredCredential | None:
        """Find a user's credential for an institution."""
        ...

    async def due_numbers(self, institution: str, period: str, after: Due | None, limit: int) -> list[Due]:
        """List users of this institution whose last number is of an earlier period, in order, from behind `after`.

        They are this transaction's until it ends: one that runs at the same time is given others, so that several
        processes renew side by side. Whoever is left out like that is found again from the beginning.
        """
        ...

    async def note_number(self, institution: str, user_id: str, period: str) -> bool:
        """Record that the user's number of this period was made; False when it or a later one was.

        Periods are compared as texts and never go back. False as well for a user who is not enrolled there.
        """
        ...

    async def count_numbers(self, institution: str, period: str) -> Numbering:
        """Count the users of this institution with a number of this period or a later one, and those without."""
        ...

    async def use_code(self, user_id: str, step: int) -> bool:
        """Use up a step of the user's authenticator app; False when it or a later one was used: steps never go back."""
        ...


class SignUpBook(Protocol):
    """Sign-ups that wait for their second half."""

    async def add_sign_up(self, sign_up: SignUp) -> None:
        """Add one; raises AlreadyExists when the id is taken."""
        ...

    async def sign_up(self, sign_up_id: str) -> SignUp | None:
        """Find one."""
        ...

    async def drop_sign_up(self, sign_up_id: str) -> bool:
        """Delete one; True for the one caller that found it."""
        ...

    async def purge_sign_ups(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` whose time is over; returns how many went."""
        ...


class NoticeBook(Protocol):
    """Notices that wait to be sent: an outbox."""

    async def add_notice(self, notice: Notice) -> None:
        """Add a notice."""
        ...

    async def due_notices(self, medium: Medium, now: Millis, limit: int) -> list[Notice]:
        """List notices of a medium due at `now`, urgent ones first and the longest due first of each.

        They are this transaction's until it ends: one that runs at the same time is given others.
        """
        ...

    async def hold_notices(self, notice_ids: list[str], until: Millis) -> None:
        """Let notices be due at `until`, without counting an attempt: until then nobody else sends them."""
        ...

    async def paced_until(self, medium: Medium) -> Millis:
        """Return until when the medium's provider is booked; 0 when it never was."""
        ...

    async def book_pace(self, medium: Medium, now: Millis, length: int) -> Millis:
        """Book a provider for the next free `length` ms from `now` on, for the caller alone; return their start."""
        ...

    async def delay_notice(self, notice_id: str, due_at: Millis) -> None:
        """Count a failed attempt and set the next time."""
        ...

    async def drop_notice(self, notice_id: str) -> None:
        """Delete a notice that was sent or given up."""
        ...


class VaultBooks(UserBook, NoticeBook, ClaimBook, PinBook, Protocol):
    """All books of this stage, inside one transaction."""


class VaultStore(Protocol):
    """A store that holds the books of this stage."""

    async def transact(self, work: Callable[[VaultBooks], Awaitable[T]]) -> T:
        """Run `work` in one transaction, durable when this returns; raises StoreFailed when it could not be kept."""
        ...


class PinBinder(Protocol):
    """What binds the number in a PIN block to a card (PCI PIN 3-3)."""

    async def bind(self, token: str, pan: Pan, payment_id: str) -> bytes:
        """Return the record that binds a token to a card and a payment.

        Raises Forbidden for a token that could be a card number; Unavailable when there is no answer: try again.
        """
        ...


StretchOne = Callable[[Secret, bytes, str], Awaitable[StretchedPassword]]
"""Run `crypto.passwords.stretch` on a password, a salt and parameters; Unavailable when nobody can: try again later."""


class Stretcher(Protocol):
    """Somewhere to run Argon2id: tens of milliseconds of pure computing."""

    def place(self) -> AbstractContextManager[StretchOne]:
        """Take a place in the queue for one password; raises Unavailable when too many wait already.

        The caller takes it before it counts a try, so that too many logins cost no payer a try.
        """
        ...


class Carrier(Protocol):
    """A way to reach a person: an SMTP server or an SMS provider."""

    async def send(self, reference: str, address: str, subject: str, text: str) -> None:
        """Hand one message over; `reference` is the same at every try, so that the far side may drop a second copy.

        Raises Unavailable when the provider did not take it: the caller tries again later. Raises FieldInvalid when it
        never will, because there is no such address: the caller gives up.
        """
        ...
