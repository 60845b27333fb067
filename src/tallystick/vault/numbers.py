"""Dynamic numbers: with an institution id they are the element of claim 4; renewed on schedule (claim 7)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tallystick import limits
from tallystick.assembly.element import institution_element
from tallystick.assembly.facts import ElementKind
from tallystick.assembly.model import Claim, Element
from tallystick.errors import AlreadyExists, CredentialRefused, FieldInvalid, Forbidden, NotFound, Unavailable
from tallystick.routing.model import BackEnd, NumberPolicy
from tallystick.runtime import Clock, Millis, Randomness, random_digits
from tallystick.security.ports import Keyring, Purpose
from tallystick.vault.model import Contact, Due, Medium, Notice, Numbering
from tallystick.vault.notices import Message, seal_notice
from tallystick.vault.periods import Period, local_time, period_at
from tallystick.vault.ports import UserBook, VaultBooks, VaultStore
from tallystick.vault.users import open_contact

BATCH: Final = 20  # users of one transaction: on SQLite it holds the event loop for some 5 ms
PAUSE_MAX_MS: Final = 1_000  # ms between two transactions at most; as a rule as long as the one before took
ROUND: Final = 2_000  # users of one call, as a rule: other institutions have their turn after them
DRAWS_MAX: Final = 16  # draws for one free number; with half of all numbers in use, one user in 65,536 has to wait


@dataclass(frozen=True, slots=True)
class Renewal:
    """What one call did: numbers made, and how many of them reached nobody because the contact is damaged.

    `more` when it stopped at its limit: call again.
    """

    made: int
    unreachable: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """What every user of one renewal has in common."""

    keyring: Keyring
    randomness: Randomness
    back_end: BackEnd
    period: Period
    now: Millis


async def renew(
    store: VaultStore,
    keyring: Keyring,
    clock: Clock,
    randomness: Randomness,
    *,
    back_end: BackEnd,
    batch: int = BATCH,
    most: int = ROUND,
    tell: Callable[[int], None] | None = None,
) -> Renewal:
    """Give users enrolled at `back_end` a number of the current period where they have none yet, about `most` of them.

    A batch of users, their numbers, the end of the earlier ones and the notices are one transaction, so a crash midway
    loses and doubles nothing: the next call goes on with whoever has no number. Any number of processes may renew
    at the same time: each batch belongs to one of them, and nobody is renewed twice in a period. Between two batches
    it rests as long as the last one took: half of the time the store is free for payments, also for those of
    another process that waits for the same SQLite file. The number is valid from now on until
    `limits.NUMBER_OVERLAP_MS` after the period; the earlier one ends that long after now. `tell` is given the numbers
    made after each batch. A back end that makes its own numbers, or has none, is left alone.

    Raises:
        Unavailable: no free number was drawn; users of earlier batches have theirs, call again.
        StoreFailed: as above.
        Misconfigured: the back end's zone or time of renewal is wrong.
    """
    if back_end.numbers is not NumberPolicy.PLATFORM:
        return Renewal(made=0, unreachable=0)
    made = unreachable = 0
    after: Due | None = None
    while made < most:
        now = clock.now()
        job = _Job(keyring, randomness, back_end, period_at(back_end, now), now)
        done = await _renew_batch(store, job, after, batch)
        made += done.made
        unreachable += done.unreachable
        after = done.last
        if tell is not None:
            tell(done.made)
        if after is None:
            return Renewal(made=made, unreachable=unreachable)
        await clock.sleep(min(max(1, clock.now() - now), PAUSE_MAX_MS) / 1_000)
    return Renewal(made=made, unreachable=unreachable, more=True)


async def progress(book: UserBook, *, back_end: BackEnd, now: Millis) -> Numbering:
    """Count who has a number of the current period and who waits for it; nobody where the platform makes none.

    The cost grows with the users of the institution, some tenths of a second for a million. Raises as `renew`.
    """
    if back_end.numbers is not NumberPolicy.PLATFORM:
        return Numbering(made=0, left=0)
    return await book.count_numbers(back_end.id, period_at(back_end, now).id)


async def set_by_back_end(
    store: VaultStore,
    keyring: Keyring,
    randomness: Randomness,
    *,
    back_end: BackEnd,
    user_id: str,
    number: str,
    now: Millis,
    tell: bool,
) -> None:
    """Take a number that the institution chose for a user (claim 4); with `tell` the platform sends it to the user.

    It replaces the user's earlier number as a renewal does and is valid as long.

    Raises:
        Forbidden: this back end's numbers are not its own to choose.
        FieldInvalid: not `limits.NUMBER_LENGTH` digits.
        NotFound: the user left no credential for this institution.
        AlreadyExists: another user has this number now: the institution chooses another.
        StoreFailed: nothing was changed.
    """
    if back_end.numbers is not NumberPolicy.BACK_END:
        raise Forbidden("the numbers of this institution are not set by its back end")
    element = institution_element(keyring.readable(Purpose.BLIND_INDEX), back_end.id, number)
    job = _Job(keyring, randomness, back_end, period_at(back_end, now), now)

    async def work(book: VaultBooks) -> None:
        if await book.credential(user_id, back_end.id) is None:
            raise NotFound("no such user is enrolled at this institution")
        await book.note_number(back_end.id, user_id, job.period.id)
        await _end_earlier(book, job, user_id)
        await _issue(book, job, user_id, element)
        if tell:
            await _tell(book, job, user_id, number, urgent=False)

    await store.transact(work)


async def issue_value(
    store: VaultStore, *, element: Element, user_id: str | None, now: Millis, valid_until: Millis
) -> None:
    """Take a value that a back end issued when the payer registered there (claim 10).

    `element` comes from `assembly.element.backend_element`; `user_id` is the payer, where the payer is a user here.

    Raises:
        FieldInvalid: the element is of another kind, or `valid_until` is over.
        AlreadyExists: the value stands for somebody else now: the back end issues another.
        StoreFailed: nothing was stored.
    """
    if element.kind is not ElementKind.BACKEND:
        raise FieldInvalid("a back end issues elements of the kind backend only", field="element")
    if valid_until <= now:
        raise FieldInvalid("the value's validity is over already", field="valid_until")
    claim = Claim(institution=element.institution, user_id=user_id)

    async def issue(book: VaultBooks) -> None:
        await book.issue_claim(element, claim, valid_from=now, valid_until=valid_until)

    await store.transact(issue)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one transaction did; `last` is where the next one goes on, None when nobody was left behind it."""

    made: int
    unreachable: int
    last: Due | None


async def _renew_batch(store: VaultStore, job: _Job, after: Due | None, batch: int) -> _Batch:
    async def work(book: VaultBooks) -> _Batch:
        due = await book.due_numbers(job.back_end.id, job.period.id, after, batch)
        told = [await _renew_user(book, job, each) for each in due]
        made = len(told) - told.count(None)
        return _Batch(made=made, unreachable=told.count(False), last=due[-1] if len(due) == batch else None)

    return await store.transact(work)


async def _renew_user(book: VaultBooks, job: _Job, due: Due) -> bool | None:
    """Give one user a number; return whether the user is told, None when there is one of this period already.

    A first number is urgent: somebody who has just enrolled waits for it.
    """
    if not await book.note_number(job.back_end.id, due.user_id, job.period.id):
        return None
    await _end_earlier(book, job, due.user_id)
    number = await _issue_free(book, job, due.user_id)
    return await _tell(book, job, due.user_id, number, urgent=not due.period)


async def _end_earlier(book: VaultBooks, job: _Job, user_id: str) -> None:
    await book.shorten_claims(user_id, job.back_end.id, Millis(job.now + limits.NUMBER_OVERLAP_MS))


async def _issue_free(book: VaultBooks, job: _Job, user_id: str) -> str:
    for _ in range(DRAWS_MAX):
        number = random_digits(limits.NUMBER_LENGTH, job.randomness)
        element = institution_element(job.keyring.readable(Purpose.BLIND_INDEX), job.back_end.id, number)
        try:
            await _issue(book, job, user_id, element)
        except AlreadyExists:
            continue
        return number
    raise Unavailable("no free dynamic number was drawn")


async def _issue(book: VaultBooks, job: _Job, user_id: str, element: Element) -> None:
    claim = Claim(institution=job.back_end.id, user_id=user_id)
    until = Millis(job.period.ends + limits.NUMBER_OVERLAP_MS)
    await book.issue_claim(element, claim, valid_from=job.now, valid_until=until)


async def _tell(book: VaultBooks, job: _Job, user_id: str, number: str, *, urgent: bool) -> bool:
    """Put the notices into the outbox; False when the user's contact is lost or damaged."""
    user = await book.user(user_id)
    if user is None:
        return False
    try:
        contact = open_contact(job.keyring, user)
    except CredentialRefused:
        return False
    for notice in _notices(job, contact, number, urgent=urgent):
        await book.add_notice(notice)
    return True


def _notices(job: _Job, contact: Contact, number: str, *, urgent: bool) -> list[Notice]:
    """Write the notices: they name the institution, the number and its validity, never a card (PCI DSS 4.2.2)."""
    subject = f"Your number for {job.back_end.name}"
    text = (
        f"Your number for payments by {job.back_end.name} is {number}. Institution id: {job.back_end.id}. "
        f"Valid until {local_time(job.back_end, job.period.ends)}. Do not pass it on."
    )
    addresses = ((Medium.SMS, contact.phone), (Medium.EMAIL, contact.email))
    return [
        seal_notice(
            job.keyring,
            job.randomness,
            medium,
            Message(address=address, subject=subject, text=text),
            job.now,
            urgent=urgent,
        )
        for medium, address in addresses
        if address is not None
    ]
