"""Deliveries that a back end fetches: handed out once, withdrawn with proof, settled by what the back end posts.

Each function runs inside the caller's transaction. Handing out is the send: before it, WITHDRAWN proves that nothing
left; after it, only the back end's own word settles anything.
"""

from typing import Final

from msgspec.structs import replace

from tallystick.delivery.model import Finding, Known, PullDelivery, PullState, Verdict
from tallystick.delivery.ports import PullBook
from tallystick.errors import Conflict, NotFound
from tallystick.runtime import Millis

REMIND_MS: Final = 10_000  # ms until a reversal that was told and not acknowledged is told again

_KNOWN: Final = {
    PullState.WITHDRAWN: Known.REVERSED,
    PullState.CANCELLED: Known.REVERSED,
    PullState.TAKEN: Known.PENDING,
    PullState.CANCEL_ASKED: Known.PENDING,
    PullState.CANCEL_REFUSED: Known.PENDING,
}


async def take(book: PullBook, back_end: str, now: Millis) -> PullDelivery | None:
    """Hand out what comes next: a delivery once, with its body for the last time; a reversal until it is acknowledged.

    The result is as it was before: WAITING or CANCEL_ASKED. The caller's transaction is durable before a byte leaves.
    """
    found = await book.next_pull(back_end, now)
    if found is None:
        return None
    changed = replace(found, state=PullState.TAKEN, body=None)
    if found.state is PullState.CANCEL_ASKED:
        changed = replace(found, due_at=Millis(now + REMIND_MS))
    return found if await book.replace_pull(changed, expected=found.state) else None


async def withdraw(book: PullBook, key: str) -> PullDelivery | None:
    """Make sure that a delivery which is WAITING is never handed out; returns it as it stands then, if there is one."""
    found = await book.pull(key)
    if found is None or found.state is not PullState.WAITING:
        return found
    withdrawn = replace(found, state=PullState.WITHDRAWN, body=None)
    await book.replace_pull(withdrawn, expected=PullState.WAITING)
    return withdrawn


async def ask_back(book: PullBook, key: str, back_end: str, now: Millis) -> PullDelivery:
    """Undo a delivery: withdraw it, or have its back end told; returns it as it stands then.

    One that was never written is written as WITHDRAWN: it cannot be offered any more.
    """
    found = await withdraw(book, key)
    if found is None:
        withdrawn = PullDelivery(key=key, back_end=back_end, visible_until=now, state=PullState.WITHDRAWN)
        await book.add_pull(withdrawn)
        return withdrawn
    if found.state not in {PullState.TAKEN, PullState.DONE}:
        return found
    asked = replace(found, state=PullState.CANCEL_ASKED, due_at=now)
    await book.replace_pull(asked, expected=found.state)
    return asked


async def note_outcome(
    book: PullBook, back_end: str, key: str, *, verdict: Verdict, code: str, approval: str | None
) -> PullState:
    """Take a back end's decision on a delivery that it was handed; returns where the delivery stands then.

    One that comes after a reversal was asked for changes nothing: the back end is told of the reversal and acknowledges
    it. Raises NotFound for a delivery of nobody or of another back end, Conflict for one that was never handed out and
    for a second decision that differs from the first.
    """
    found = await _own(book, back_end, key)
    if found.state is PullState.DONE and found.verdict is not verdict:
        raise Conflict("this delivery was decided otherwise before")
    if found.state is PullState.TAKEN:
        done = replace(found, state=PullState.DONE, verdict=verdict, code=code, approval=approval)
        await book.replace_pull(done, expected=PullState.TAKEN)
        return PullState.DONE
    return found.state


async def note_reversal(book: PullBook, back_end: str, key: str, *, undone: bool, code: str) -> PullState:
    """Take a back end's acknowledgement, or refusal, of a reversal; raises NotFound, and Conflict when none was asked.

    A repeat changes nothing: the first word counts.
    """
    found = await _own(book, back_end, key)
    if found.state in {PullState.CANCELLED, PullState.CANCEL_REFUSED}:
        return found.state
    if found.state is not PullState.CANCEL_ASKED:
        raise Conflict("no reversal of this delivery was asked for")
    state = PullState.CANCELLED if undone else PullState.CANCEL_REFUSED
    await book.replace_pull(replace(found, state=state, code=code, due_at=None), expected=PullState.CANCEL_ASKED)
    return state


def finding(delivery: PullDelivery | None) -> Finding:
    """Say what a delivery's row tells about its outcome."""
    if delivery is None:
        return Finding(known=Known.NOT_FOUND)
    if delivery.state is PullState.DONE and delivery.verdict is not None:
        return Finding(known=Known(delivery.verdict.value), code=delivery.code)
    return Finding(known=_KNOWN.get(delivery.state, Known.PENDING), code=delivery.code)


async def _own(book: PullBook, back_end: str, key: str) -> PullDelivery:
    found = await book.pull(key)
    if found is None or found.back_end != back_end:
        raise NotFound("no delivery with this key is for this institution")
    if found.state in {PullState.WAITING, PullState.WITHDRAWN}:
        raise Conflict("this delivery was never handed out")
    return found
