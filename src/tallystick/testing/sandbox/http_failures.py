"""What the REST and account sandboxes do for certain amounts; docs/reference/sandboxes.md shows these tables."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tallystick.testing.sandbox.http_server import TRANSPORT, until_disconnect

SLOW_S: Final = 0.3  # s before a slow answer, which still comes in time
GARBAGE: Final = b"\x00\xff this is no HTTP\r\n\r\n"


class Failure(StrEnum):
    """What goes wrong with a payment or its answer."""

    SILENT = "no answer"
    LATE = "late answer"
    FORGED = "wrong signature"
    CUT = "connection cut"
    GARBAGE = "garbage"
    SLOW = "slow answer"
    TWICE = "answered twice"
    HALF = "half an answer"
    CUT_BEFORE = "connection cut before acting"
    UNAVAILABLE = "status 503"
    IRREVERSIBLE = "pending for ever, reversal refused"
    HELD = "pending, then approved without a word"
    LOST = "lost on the way"
    BUSY = "status 429"
    BROKEN = "status 500"
    UNLISTED = "no answer, not found"
    TOLD_APPROVED = "pending, then approved and told"
    TOLD_DECLINED = "pending, then declined and told"
    PENDING = "pending for ever"
    TOLD_TWICE = "pending, then approved and told twice"
    TOLD_FORGED = "pending, then approved and told with a wrong signature"


FAILURES: Final[Mapping[str, Failure]] = {
    "9901": Failure.SILENT,
    "9902": Failure.LATE,
    "9903": Failure.FORGED,
    "9904": Failure.CUT,
    "9905": Failure.GARBAGE,
    "9906": Failure.SLOW,
    "9907": Failure.TWICE,
    "9908": Failure.HALF,
    "9909": Failure.CUT_BEFORE,
    "9910": Failure.UNAVAILABLE,
    "9912": Failure.IRREVERSIBLE,
    "9913": Failure.HELD,
    "9914": Failure.LOST,
    "9915": Failure.BUSY,
    "9916": Failure.BROKEN,
    "9917": Failure.UNLISTED,
    "9920": Failure.TOLD_APPROVED,
    "9921": Failure.TOLD_DECLINED,
    "9922": Failure.PENDING,
    "9923": Failure.TOLD_TWICE,
    "9924": Failure.TOLD_FORGED,
}
"""What happens to a payment whose amount ends in these four digits."""

NEVER_ACTED: Final = frozenset({Failure.CUT_BEFORE, Failure.UNAVAILABLE, Failure.LOST, Failure.BUSY})
"""The payment is not looked at: no money moves, and nothing is known of it later."""

UNDECIDED: Final = frozenset({Failure.PENDING, Failure.IRREVERSIBLE})
"""Pending until it is reversed."""

LATER: Final[Mapping[Failure, int]] = {
    Failure.HELD: 0,
    Failure.TOLD_APPROVED: 1,
    Failure.TOLD_DECLINED: 1,
    Failure.TOLD_TWICE: 2,
    Failure.TOLD_FORGED: 1,
}
"""Pending, decided a moment later, and told to the platform so many times."""

PENDING: Final = UNDECIDED | LATER.keys()
"""First answered with "pending"."""

UNANSWERED: Final = frozenset({Failure.SILENT, Failure.LOST, Failure.UNLISTED})
"""No answer at all."""

CUT_OFF: Final = frozenset({Failure.CUT, Failure.CUT_BEFORE, Failure.GARBAGE, Failure.HALF})
"""The connection ends without a whole answer."""

STATUSES: Final[Mapping[Failure, int]] = {Failure.UNAVAILABLE: 503, Failure.BUSY: 429, Failure.BROKEN: 500}
"""Answered with this status and nothing else."""


class Answered(Struct, frozen=True, kw_only=True):
    """An answer, and what happens to it on its way."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    failure: Failure | None = None


def failure_of(amount: int) -> Failure | None:
    """Look up what goes wrong with an amount in minor units."""
    return FAILURES.get(str(amount)[-4:])


async def send_answer(answered: Answered, scope: Scope, receive: Receive, send: Send, *, late_s: float) -> None:
    """Send an answer, or break it; `late_s` is when a late one comes."""
    failure, transport = answered.failure, scope[TRANSPORT]
    if failure in UNANSWERED:
        await until_disconnect(receive, None)
    elif failure in CUT_OFF:
        _cut_off(answered, failure, transport)
    else:
        if failure in {Failure.LATE, Failure.SLOW}:
            await until_disconnect(receive, late_s if failure is Failure.LATE else SLOW_S)
        status = STATUSES.get(failure) if failure is not None else None
        response = Response(answered.body, answered.status, dict(answered.headers))
        await (response if status is None else Response(b"", status))(scope, receive, send)
        if failure is Failure.TWICE:
            transport.write(_raw(answered))


def _cut_off(answered: Answered, failure: Failure | None, transport: asyncio.Transport) -> None:
    if failure is Failure.GARBAGE:
        transport.write(GARBAGE)
    elif failure is Failure.HALF:
        transport.write(_raw(answered)[: -len(answered.body) // 2])
    else:
        transport.abort()
    transport.close()


def _raw(answered: Answered) -> bytes:
    """Write an answer as its bytes on the connection."""
    lines = {"content-length": str(len(answered.body)), **answered.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {answered.status} \r\n{head}\r\n".encode() + answered.body
