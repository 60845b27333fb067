"""`tallystick proposals`: what waits for another person's approval."""

from collections.abc import Mapping
from typing import Final

import click

from tallystick.bootstrap.office import Office
from tallystick.channels import operators, proposals
from tallystick.channels.model import Proposal, ProposalKind, ProposalState
from tallystick.cli import anchors, ca, enrolments, key_actions, limits, operator
from tallystick.cli.acting import Acted, Action, DeskBooks, Subject, waiting
from tallystick.cli.app import App, Group, pass_app
from tallystick.errors import NotFound
from tallystick.security.access_keys import KeyringAccess

SHOWN: Final = 100  # proposals
COLUMNS: Final = ("id", "state", "kind", "action", "author", "at", "note")
ACTIONS: Final[Mapping[tuple[ProposalKind, str], Action]] = {
    (action.kind, action.name): action
    for action in (
        ca.REVOKE,
        enrolments.APPROVE,
        enrolments.ADOPT,
        limits.SET,
        operator.ADD,
        *key_actions.ACTIONS,
        *anchors.ACTIONS,
    )
}


@click.group("proposals", cls=Group, examples="tallystick proposals list")
def group() -> None:
    """Approve or reject what another person proposed; for the routing table see `routes changes`."""


@group.command("list", examples="tallystick proposals list --json")
@pass_app
def list_(app: App) -> None:
    """List the newest proposals, and what became of them."""

    async def work(desk: Office) -> list[Proposal]:
        return await desk.store.read(lambda books: books.proposals(SHOWN))

    app.show_all(app.at_desk(work, needs=operators.READ), COLUMNS)


@group.command(
    "approve",
    examples="TALLYSTICK_OPERATOR_KEY_FILE=bo.key tallystick proposals approve prop_0f6b7c2d9e8a41538c6d7e9fa0b1c2d3",
)
@click.argument("proposal_id", metavar="ID")
@pass_app
def approve(app: App, proposal_id: str) -> None:
    """Approve a proposal of somebody else; it is done with the last approval that it needs.

    A proposal about something that has changed since, or older than a week, cannot be approved: have it proposed anew.
    """

    async def decide(desk: Office, books: DeskBooks) -> tuple[Acted, Action, Subject]:
        keys, now = KeyringAccess(desk.keyring), desk.clock.now()
        found = await proposals.find_open(books, keys, proposal_id, now)
        action = _action(found)
        base = await action.base(desk, books, found.subject)
        decided = await proposals.approve(books, keys, proposal_id, approver=app.operator, base=base, now=now)
        if decided.state is not ProposalState.APPLIED:
            return waiting(decided), action, found.subject
        await action.apply(desk, books, found.subject)
        return Acted(state="applied", proposal=proposal_id), action, found.subject

    async def work(desk: Office) -> Acted:
        acted, action, subject = await desk.store.transact(lambda books: decide(desk, books))
        if acted.state == "applied" and action.after is not None:
            await action.after(desk, subject)
        return acted

    app.show(app.at_desk(work, needs=operators.APPROVE))


@group.command("reject", examples="tallystick proposals reject prop_0f6b7c2d9e8a41538c6d7e9fa0b1c2d3")
@click.argument("proposal_id", metavar="ID")
@pass_app
def reject(app: App, proposal_id: str) -> None:
    """Turn a proposal down, or take your own back."""

    async def work(desk: Office) -> Acted:
        keys, now = KeyringAccess(desk.keyring), desk.clock.now()
        await desk.store.transact(lambda books: proposals.reject(books, keys, proposal_id, by=app.operator, now=now))
        return Acted(state="rejected", proposal=proposal_id)

    app.show(app.at_desk(work, needs=operators.DECIDE))


def _action(proposal: Proposal) -> Action:
    action = ACTIONS.get((proposal.kind, proposal.action))
    if action is None:
        raise NotFound("this release knows no action of this name")
    return action
