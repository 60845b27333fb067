"""Four eyes: nobody approves their own, nothing passes without approval, and nothing stale or edited is approved."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tallystick.channels import proposals
from tallystick.channels.model import Approval, Proposal, ProposalKind, ProposalState
from tallystick.channels.proposals import LIFE_MS, NOTE_MAX, OPEN_MAX
from tallystick.errors import Conflict, FieldInvalid, Forbidden, Misconfigured, NotFound, TooMany
from tallystick.runtime import Millis, SystemRandomness
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.ports import Purpose
from tallystick.testing.clock import VirtualClock
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore

KEYS = KeyringAccess(MemoryKeyring())
KINDS = list(ProposalKind)


class Desk:
    """A store, a clock, and what is proposed and approved there."""

    def __init__(self) -> None:
        self.store, self.clock = MemoryStore(), VirtualClock()

    async def propose(self, **fields: Any) -> Proposal:
        usual = {"kind": ProposalKind.CA, "action": "revoke", "subject": {"serial": "3f"}, "base": "valid"}
        who = {"author": "ann", "note": "lost", "required": 1}
        return await self.store.transact(
            lambda books: proposals.propose(books, KEYS, self.clock, SystemRandomness(), **{**usual, **who} | fields)
        )

    async def approve(self, proposal: Proposal, approver: str, base: str = "valid") -> Proposal:
        now = self.clock.now()
        return await self.store.transact(
            lambda books: proposals.approve(books, KEYS, proposal.id, approver=approver, base=base, now=now)
        )

    async def reject(self, proposal: Proposal, by: str) -> Proposal:
        now = self.clock.now()
        return await self.store.transact(lambda books: proposals.reject(books, KEYS, proposal.id, by=by, now=now))

    async def stored(self, proposal: Proposal) -> Proposal | None:
        return await self.store.read(lambda books: books.proposal(proposal.id))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("required", [1, 2, 3])
async def test_a_proposal_of_any_kind_counts_with_its_last_approval_and_not_before(
    kind: ProposalKind, required: int
) -> None:
    desk = Desk()
    proposal = await desk.propose(kind=kind, required=required)
    people = [f"p{n}" for n in range(required)]
    states = [(await desk.approve(proposal, person)).state for person in people]
    assert [ProposalState.OPEN] * (required - 1) + [ProposalState.APPLIED] == states
    with pytest.raises(Conflict):
        await desk.approve(proposal, "late")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("required", [1, 2])
async def test_nobody_approves_their_own_proposal(kind: ProposalKind, required: int) -> None:
    desk = Desk()
    proposal = await desk.propose(kind=kind, required=required)
    with pytest.raises(Forbidden):
        await desk.approve(proposal, "ann")
    assert proposal == await desk.stored(proposal)


async def test_one_person_s_two_approvals_are_one() -> None:
    desk = Desk()
    proposal = await desk.propose(required=2)
    await desk.approve(proposal, "bo")
    with pytest.raises(Conflict):
        await desk.approve(proposal, "bo")
    assert ProposalState.APPLIED is (await desk.approve(proposal, "cy")).state


@pytest.mark.parametrize("required", [0, -1])
async def test_a_proposal_that_nobody_need_approve_is_refused(required: int) -> None:
    desk = Desk()
    with pytest.raises(Misconfigured):
        await desk.propose(required=required)


async def test_what_has_changed_since_is_not_approved() -> None:
    desk = Desk()
    proposal = await desk.propose()
    with pytest.raises(Conflict):
        await desk.approve(proposal, "bo", base="revoked")
    assert proposal == await desk.stored(proposal)


@pytest.mark.parametrize(
    "edit",
    [
        {"approvals": (Approval(by="bo", at=Millis(1)), Approval(by="cy", at=Millis(1)))},
        {"subject": {"serial": "40"}},
        {"author": "nobody"},
        {"required": 1},
        {"base": "revoked"},
        {"mac": b""},
    ],
)
async def test_a_proposal_that_was_edited_in_the_database_is_not_approved(edit: dict[str, Any]) -> None:
    desk = Desk()
    proposal = await desk.propose(required=3)
    edited = replace(proposal, **edit)
    await desk.store.transact(lambda books: books.replace_proposal(edited, was=proposal))
    with pytest.raises(Misconfigured):
        await desk.approve(proposal, "di", base=edited.base)


async def test_a_decided_proposal_is_not_decided_again() -> None:
    desk = Desk()
    rejected, applied = await desk.propose(), await desk.propose()
    await desk.reject(rejected, "ann")
    await desk.approve(applied, "bo")
    for proposal in (rejected, applied):
        for decide in (desk.approve, desk.reject):
            with pytest.raises(Conflict):
                await decide(proposal, "cy")


async def test_a_proposal_is_over_after_a_week() -> None:
    desk = Desk()
    proposal = await desk.propose()
    await desk.clock.advance(LIFE_MS)
    with pytest.raises(Conflict):
        await desk.approve(proposal, "bo")


async def test_of_many_approvals_at_once_one_decides() -> None:
    desk = Desk()
    proposal = await desk.propose()
    ends = await asyncio.gather(*(desk.approve(proposal, f"p{n}") for n in range(8)), return_exceptions=True)
    assert 1 == len([end for end in ends if isinstance(end, Proposal)])
    assert 7 == len([end for end in ends if isinstance(end, Conflict)])


async def test_waiting_proposals_and_their_notes_are_bounded() -> None:
    desk = Desk()
    for note in ("x" * (NOTE_MAX + 1), "a\nb"):
        with pytest.raises(FieldInvalid):
            await desk.propose(note=note)
    for _ in range(OPEN_MAX):
        last = await desk.propose()
    with pytest.raises(TooMany):
        await desk.propose()
    await desk.reject(last, "ann")
    await desk.propose()
    with pytest.raises(NotFound):
        await desk.approve(replace(last, id="prop_none"), "bo")


async def test_a_proposal_under_a_destroyed_access_key_is_over_and_no_sign_of_tampering() -> None:
    desk, ring = Desk(), MemoryKeyring()
    keys = KeyringAccess(ring)
    proposal = await desk.propose()
    ring.rotate(Purpose.ACCESS)
    ring.destroy(Purpose.ACCESS, 1)
    now = desk.clock.now()
    with pytest.raises(Conflict, match="destroyed"):
        await desk.store.read(lambda books: proposals.find_open(books, keys, proposal.id, now))
