"""Find the request that an answer belongs to, over all connections of one back end."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tallystick.adapters.connectors.iso8583_messages import answer_type
from tallystick.errors import OutcomeUnknown
from tallystick.iso8583.describe import describe

FINISHED_MAX: Final = 4096  # finished requests whose answers are still told apart from answers to nothing

Key = tuple[str, str, str]
"""What an answer is found by: its message type, DE7 and DE11."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """Messages that settled nothing.

    `late`: the request had ended without an answer. `duplicate`: it had been answered. `unmatched`: nobody asked.
    `unauthenticated`: the MAC does not match. `rejected`: our own message, bounced by the switch in its header.
    `reflected`: our own request, sent back to us as one of the switch's.
    """

    late: int = 0
    duplicate: int = 0
    unmatched: int = 0
    unauthenticated: int = 0
    rejected: int = 0
    reflected: int = 0


class _Fate(StrEnum):
    ANSWERED = "duplicate"
    DOUBTED = "late"


@dataclass(slots=True)
class Waiting:
    """A request that waits for its answer; `bare` when the answer to it has no MAC (`Session.exchange`).

    The future only wakes who waits: asyncio's debug log shows what a future holds, and `fields` may name the card.
    """

    request: Mapping[str, str] = field(repr=False)
    owner: object
    bare: bool
    fields: dict[str, str] = field(default_factory=dict, repr=False)
    answer: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future(), repr=False)


class Matcher:
    """The requests in flight and those that lately were.

    An answer belongs to the request with its message type, DE7 and DE11, whose DE32 and DE33 it repeats where it has
    them, whichever connection it comes over. What belongs to none is counted, logged masked, and settles nothing.
    `bare` counts requests whose answers have no MAC.
    """

    def __init__(self, counts: Counts) -> None:
        self.bare = 0
        self._counts = counts
        self._waiting: dict[Key, Waiting] = {}
        self._finished: OrderedDict[Key, _Fate] = OrderedDict()

    def open(self, request: Mapping[str, str], owner: object, *, bare: bool) -> Waiting:
        """Expect the answer to a request; raises OutcomeUnknown while one with the same identifiers is open.

        It may be this very one, so nobody may take it for one that was not sent.
        """
        key = _answer_key(request)
        if key in self._waiting:
            raise OutcomeUnknown("a request with the same DE7 and DE11 is in flight")
        waiting = self._waiting[key] = Waiting(request, owner, bare)
        self.bare += bare
        return waiting

    def close(self, waiting: Waiting) -> None:
        """Expect an answer no longer."""
        key, answer = _answer_key(waiting.request), waiting.answer
        del self._waiting[key]
        self.bare -= waiting.bare
        answered = answer.done() and not answer.cancelled() and answer.exception() is None
        self._remember(key, _Fate.ANSWERED if answered else _Fate.DOUBTED)

    def answer(self, fields: dict[str, str]) -> None:
        """Give an authenticated answer to the request it belongs to, or count it."""
        waiting = self.find(fields)
        if waiting is not None:
            waiting.fields = fields
            waiting.answer.set_result(None)
            return
        key = fields["t"], fields.get("7", ""), fields.get("11", "")
        fate = self._finished.get(key)
        if key in self._waiting:  # answered just now, and its caller has not woken yet; or of other institutions
            fate = _Fate.ANSWERED if self._waiting[key].answer.done() else None
        match fate:
            case _Fate.ANSWERED:
                self._counts.duplicate += 1
            case _Fate.DOUBTED:
                self._counts.late += 1
                self._remember(key, _Fate.ANSWERED)
            case None:
                self._counts.unmatched += 1
        _log.warning("%s answer dropped: %s", fate or "unmatched", _line(fields))

    def reflected(self, fields: Mapping[str, str]) -> bool:
        """Tell whether a request that came is one of ours, still open, and count it when it is.

        Both sides of a link have one MAC key, so our own message, sent back, is authentic. Who answers it makes the
        very answer that we wait for.
        """
        waiting = self._waiting.get(_answer_key({"7": "", "11": "", **fields}))
        if waiting is None or waiting.request.items() - fields.items():
            return False
        self._counts.reflected += 1
        _log.error("our own request came back to us: %s", _line(fields))
        return True

    def reject(self, fields: Mapping[str, str], reject_code: str) -> None:
        """End in doubt the request that the switch bounced; `fields`, not believed, may be the request itself."""
        _log.error("message bounced by the switch with %s: %s", reject_code, _line(fields))
        kind = fields.get("t", "")
        asked = kind in {waiting.request["t"] for waiting in self._waiting.values()}
        self.doubt({**fields, "t": answer_type(kind)} if asked else fields, "the switch bounced the request")

    def doubt(self, fields: Mapping[str, str], why: str) -> None:
        """End the request that an answer, which is not believed, belongs to: what a time-out would tell later."""
        waiting = self.find(fields)
        if waiting is not None:
            waiting.answer.set_exception(OutcomeUnknown(why))

    def lose(self, owner: object, why: str) -> None:
        """End in doubt every request that waits on one connection."""
        for waiting in self._waiting.values():
            if waiting.owner is owner and not waiting.answer.done():
                waiting.answer.set_exception(OutcomeUnknown(why))

    def find(self, fields: Mapping[str, str]) -> Waiting | None:
        """Return the open request that an answer belongs to."""
        waiting = self._waiting.get((fields.get("t", ""), fields.get("7", ""), fields.get("11", "")))
        if waiting is None or waiting.answer.done():
            return None
        ours = waiting.request
        return waiting if all(fields.get(n, ours.get(n)) == ours.get(n) for n in ("32", "33")) else None

    def _remember(self, key: Key, fate: _Fate) -> None:
        self._finished[key] = fate
        self._finished.move_to_end(key)
        if len(self._finished) > FINISHED_MAX:
            self._finished.popitem(last=False)


def _answer_key(request: Mapping[str, str]) -> Key:
    return answer_type(request["t"]), request["7"], request["11"]


def _line(fields: Mapping[str, str]) -> str:
    return describe(fields).replace("\n", "; ")
