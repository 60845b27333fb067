"""Do what a command asks for at once, or leave it for others to approve: as the settings say (`[four_eyes]`)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from tallystick.bootstrap.office import Office
from tallystick.channels import operators, proposals
from tallystick.channels.model import Proposal, ProposalKind
from tallystick.channels.ports import AnchorBook, EnrolmentBook
from tallystick.cli.app import App
from tallystick.cli.output import Failure
from tallystick.delivery.books import Books
from tallystick.security.access_keys import KeyringAccess

Subject = dict[str, str]


class DeskBooks(Books, EnrolmentBook, AnchorBook, Protocol):
    """The books that actions work on."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that may need four eyes.

    `base` reads what it would change, in words that are equal when nothing has changed; `apply` does it. Both run in
    one transaction of the store, right after each other; what `apply` does beside the store it can do twice. `after`
    is what is done beside the store alone, once that transaction is durable: a crash in between leaves it undone, and
    it is proposed anew.
    """

    kind: ProposalKind
    name: str
    base: Callable[[Office, DeskBooks, Subject], Awaitable[str]]
    apply: Callable[[Office, DeskBooks, Subject], Awaitable[None]]
    after: Callable[[Office, Subject], Awaitable[None]] | None = None


class Acted(Struct, frozen=True, kw_only=True):
    """What became of an action: it is done, or waits under the id of its proposal; `next` says what to do then."""

    state: str
    proposal: str | None = None
    next: str | None = None


def act(app: App, action: Action, subject: Subject, note: str) -> Acted:
    """Do an action at once or propose it, in the name of the operator."""

    async def work(desk: Office) -> Acted:
        acted = await desk.store.transact(lambda books: act_at(app, desk, books, action, subject, note))
        if acted.proposal is None and action.after is not None:
            await action.after(desk, subject)
        return acted

    return app.at_desk(work)


async def propose(app: App, desk: Office, action: Action, subject: Subject, note: str) -> Acted:
    """Leave an action for others, for a command that answers otherwise when it does it at once."""
    return await desk.store.transact(lambda books: act_at(app, desk, books, action, subject, note))


async def act_at(app: App, desk: Office, books: DeskBooks, action: Action, subject: Subject, note: str) -> Acted:
    """Do as `act` does, for a command that is at the desk already."""
    base = await action.base(desk, books, subject)
    first = action.kind is ProposalKind.OPERATORS and not await operators.had_approver(books)
    if first or not asks_others(desk, action.kind):
        await action.apply(desk, books, subject)
        return Acted(state="applied")
    proposal = await proposals.propose(
        books,
        KeyringAccess(desk.keyring),
        desk.clock,
        desk.randomness,
        kind=action.kind,
        action=action.name,
        subject=subject,
        base=base,
        author=app.operator,
        note=note,
        required=desk.settings.four_eyes.approvals,
    )
    return waiting(proposal)


def waiting(proposal: Proposal) -> Acted:
    """Say how a proposal goes on."""
    return Acted(state="proposed", proposal=proposal.id, next=f"tallystick proposals approve {proposal.id}")


def asks_others(desk: Office, kind: ProposalKind) -> bool:
    """Tell whether the settings ask for another person's approval of this kind."""
    asked: bool = getattr(desk.settings.four_eyes, kind.value)
    return asked


def refuse_alone(desk: Office, kind: ProposalKind, remedy: str) -> None:
    """Refuse what would go round the approval that the settings ask for; Failure."""
    if asks_others(desk, kind):
        raise Failure(f"four_eyes.{kind.value} is on: nobody does this alone", remedy, code="forbidden")
