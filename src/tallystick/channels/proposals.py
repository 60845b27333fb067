"""Four eyes: what one person proposes counts when others have approved it (PCI DSS 6.5.1, ASVS 2.3.5).

The verbs run inside one transaction of the caller's, who does in the same one what an approved proposal asks for. The
routing table has its own proposals (`routing/changes.py`): they hold whole tables.
"""

from typing import Final

from msgspec.structs import replace

from tallystick.channels import rows
from tallystick.channels.model import Approval, Proposal, ProposalKind, ProposalState
from tallystick.channels.ports import AccessKeys, ProposalBook
from tallystick.errors import Conflict, FieldInvalid, Forbidden, Misconfigured, NotFound, TooMany
from tallystick.runtime import Clock, Millis, Randomness, new_id

OPEN_MAX: Final = 100  # proposals that wait for a decision
LIFE_MS: Final = 7 * 24 * 3_600_000  # ms a proposal can be approved; what it was about may be forgotten later
NOTE_MAX: Final = 200  # characters of a reason


async def propose(
    book: ProposalBook,
    keys: AccessKeys,
    clock: Clock,
    randomness: Randomness,
    *,
    kind: ProposalKind,
    action: str,
    subject: dict[str, str],
    base: str,
    author: str,
    note: str,
    required: int,
) -> Proposal:
    """Leave an action for others to approve.

    Raises Misconfigured when nobody would have to approve it, FieldInvalid for an overlong note, TooMany when OPEN_MAX
    wait.
    """
    if required < 1:
        raise Misconfigured("a proposal needs one approval at least")
    if len(note) > NOTE_MAX or not note.isprintable():
        raise FieldInvalid(f"a note has up to {NOTE_MAX} printable characters", field="note")
    now = clock.now()
    newest = await book.proposals(OPEN_MAX)
    if len(newest) == OPEN_MAX and all(is_open(each, now) for each in newest):
        raise TooMany(f"{OPEN_MAX} proposals wait for a decision")
    made = Proposal(
        id=new_id("prop", randomness),
        kind=kind,
        action=action,
        subject=subject,
        base=base,
        author=author,
        note=note,
        at=now,
        required=required,
    )
    proposal = rows.protect(keys, made)
    await book.add_proposal(proposal)
    return proposal


async def approve(
    book: ProposalBook, keys: AccessKeys, proposal_id: str, *, approver: str, base: str, now: Millis
) -> Proposal:
    """Add a person's approval; the proposal is APPLIED when there are enough, and then the caller does what it says.

    1. It is there, as it was written, open and not over: NotFound, Misconfigured, Conflict.
    2. The approver is another person than its author: Forbidden.
    3. They have not approved it before: Conflict. Two approvals are two persons.
    4. What it would change is still what it was when proposed, `base`: Conflict; propose it anew.
    5. It is decided once, by compare-and-set: Conflict. No approval at all is never enough.

    Left to the caller: that `approver` is proven, and may approve.
    """
    # 1.
    was = await find_open(book, keys, proposal_id, now)
    # 2.
    if approver == was.author:
        raise Forbidden("a proposal needs the approval of somebody else than its author")
    # 3.
    if any(each.by == approver for each in was.approvals):
        raise Conflict("you approved this already: it waits for another person")
    # 4.
    if base != was.base:
        raise Conflict("what this proposal was about has changed since: propose it anew")
    # 5.
    changed = replace(was, approvals=(*was.approvals, Approval(by=approver, at=now)))
    if len(changed.approvals) >= max(was.required, 1):
        changed = replace(changed, state=ProposalState.APPLIED, decided_by=approver, decided_at=now)
    return await _replace(book, keys, changed, was)


async def reject(book: ProposalBook, keys: AccessKeys, proposal_id: str, *, by: str, now: Millis) -> Proposal:
    """Turn a proposal down; its author may take it back so. Raises NotFound, Misconfigured, Conflict."""
    was = await find_open(book, keys, proposal_id, now)
    changed = replace(was, state=ProposalState.REJECTED, decided_by=by, decided_at=now)
    return await _replace(book, keys, changed, was)


async def find_open(book: ProposalBook, keys: AccessKeys, proposal_id: str, now: Millis) -> Proposal:
    """Find a proposal that can be decided; NotFound, Misconfigured when it was edited, Conflict when it is not open."""
    found = await book.proposal(proposal_id)
    if found is None:
        raise NotFound("no proposal has this id")
    if rows.is_outlived(keys, found.mac):
        raise Conflict("this proposal is over, as the access key it was made under is destroyed: propose it anew")
    rows.check(keys, found)
    if not is_open(found, now):
        raise Conflict(f"this proposal is {found.state.value if found.state is not ProposalState.OPEN else 'over'}")
    return found


def is_open(proposal: Proposal, now: Millis) -> bool:
    """Tell whether a proposal can still be decided."""
    return proposal.state is ProposalState.OPEN and now < proposal.at + LIFE_MS


async def _replace(book: ProposalBook, keys: AccessKeys, changed: Proposal, was: Proposal) -> Proposal:
    protected = rows.protect(keys, changed)
    if not await book.replace_proposal(protected, was=was):
        raise Conflict("somebody else decided over this proposal")
    return protected
