"""Bugs to plant, each with the oracle that has to find it: what an oracle never caught, it may not be able to catch."""

import contextlib
import logging
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from tallystick.assembly.facts import ElementKind, PaymentState
from tallystick.assembly.quarantine import Contest
from tallystick.audit.model import Action
from tallystick.delivery.deliver import Outcome
from tallystick.delivery.model import IntentState
from tallystick.runtime import Millis

Any_ = Callable[..., Any]


@dataclass(frozen=True)
class Bug:
    """A change of the product: what stands at `target` is replaced by what `make` makes of it."""

    name: str
    oracle: str
    target: str
    make: Callable[[Any], Any]

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        """Plant it while the context lasts."""
        with patch(self.target.replace(":", "."), self.make(pkgutil.resolve_name(self.target))):
            yield


def _nothing(_: Any) -> Any_:
    async def nothing(*_: Any, **__: Any) -> None:
        return None

    return nothing


def _fate_written_again(original: Any_) -> Any_:
    async def decide_fate(self: Any, payment_id: str, fate: Any, at: Millis) -> bool:
        rows = self._payments._rows
        rows[payment_id] = replace(rows[payment_id], fate=None)
        decided: bool = await original(self, payment_id, fate, at)
        return decided

    return decide_fate


def _no_rivals(_: Any_) -> Any_:
    async def contest(_: Any, __: str, parts: Any, ___: Any) -> Contest:
        return Contest(live=parts, rivals=frozenset())

    return contest


def _mark_lost(original: Any_) -> Any_:
    async def note_announced(self: Any, seq: int) -> None:
        await original(self, 0 if seq % 3 == 0 else seq)

    return note_announced


def _one_stan(_: Any_) -> Any_:
    async def next_stan(*_: Any) -> int:
        return 1

    return next_stan


def _next_version(original: Any_) -> Any_:
    async def record_intent(book: Any, payment: Any, back_end: str, version: int, **how: Any) -> Any:
        return await original(book, payment, back_end, version + 1, **how)

    return record_intent


def _no_expiry(original: Any_) -> Any_:
    async def load(books: Any, payment_id: str) -> Any:
        payment, parts, table = await original(books, payment_id)
        return payment and replace(payment, expires_at=Millis(2**52)), parts, table

    return load


def _always_twice(_: Any_) -> Any_:
    return lambda _connector: 2


def _ends(state: IntentState) -> Callable[[Any_], Any_]:
    """Take an unknown outcome for another one."""

    def make(original: Any_) -> Any_:
        async def send(*args: Any, **how: Any) -> Outcome:
            outcome: Outcome = await original(*args, **how)
            return Outcome(state=state) if outcome.state is IntentState.UNKNOWN else outcome

        return send

    return make


def _short_phones(original: Any_) -> Any_:
    return lambda keys, phone: original(keys, phone[:-4] + "0000")


def _no_compare_and_set(original: Any_) -> Any_:
    async def advance(self: Any, payment_id: str, *, expected: Any, state: Any, **how: Any) -> bool:
        moved: bool = await original(self, payment_id, expected=expected, state=state, **how)
        return moved or state is PaymentState.DELIVERING

    return advance


def _uncounted(_: Any_) -> Any_:
    async def schedule_intent(*_: Any, **__: Any) -> bool:
        return True

    return schedule_intent


def _silent(*actions: Action) -> Callable[[Any_], Any_]:
    """Leave entries out of the audit chain."""

    def make(original: Any_) -> Any_:
        def note(self: Any, noted: Any) -> None:
            if noted.action not in actions:
                original(self, noted)

        return note

    return make


def _new_id_each_time(original: Any_) -> Any_:
    return lambda message_id, at, *rest: original(f"{message_id}_{at}", at, *rest)


def _untold(_: Any_) -> Any_:
    async def tell(*_: Any, **__: Any) -> bool:
        return True

    return tell


def _unforeseen(_: Any_) -> Any_:
    async def take_up(_: Any) -> int:
        raise ValueError

    return take_up


def _declined(original: Any_) -> Any_:
    return lambda answer: replace(original(answer), state=IntentState.DECLINED)


def _clear_names(original: Any_) -> Any_:
    def route(*facts: Any) -> Any:
        logging.getLogger("tallystick.path").warning("routing %s", [value.reveal() for value in facts[-1].values()])
        return original(*facts)

    return route


def _acts_again(_: Any_) -> Any_:
    async def answer_once(book: Any, keys: Any, verified: Any, content: bytes, now: Millis, act: Any) -> bytes:
        await book.remember_nonce(verified.sender, verified.nonce, now)
        body: bytes = await act()
        return body

    return answer_once


def _not_all_issued(original: Any_) -> Any_:
    async def issue_claim(self: Any, element: Any, claim: Any, **how: Any) -> None:
        if element.kind is not ElementKind.INSTITUTION or element.digest[-1] % 4:
            await original(self, element, claim, **how)

    return issue_claim


MEMORY = "tallystick.testing.memory_store:MemoryBooks"

BUGS = (
    Bug("a fate is written twice", "a_payment_only_moves_forward", f"{MEMORY}.decide_fate", _fate_written_again),
    Bug("rivals are not seen", "what_joins_is_of_one_piece", "tallystick.assembly.join:contest", _no_rivals),
    Bug(
        "one channel supplies both halves",
        "what_joins_is_of_one_piece",
        "tallystick.assembly.join:_refuse_same_channel",
        lambda _: lambda *_: None,
    ),
    Bug("the mark of the announced goes back", "counters_never_go_back", f"{MEMORY}.note_announced", _mark_lost),
    Bug("trace numbers do not move", "no_trace_number_is_used_twice", f"{MEMORY}.next_stan", _one_stan),
    Bug("no intent is recorded", "a_send_is_on_record_before_it_leaves", f"{MEMORY}.add_intent", _nothing),
    Bug(
        "another table version is recorded",
        "a_send_is_on_record_before_it_leaves",
        "tallystick.delivery.deliver:record_intent",
        _next_version,
    ),
    Bug("expiry is ignored", "nothing_leaves_after_its_time", "tallystick.path:_load", _no_expiry),
    Bug("a cancel is only said", "nothing_leaves_after_its_time", "tallystick.orders:cancel", _nothing),
    Bug(
        "an unknown outcome is sent again",
        "no_request_leaves_while_another_may_count",
        "tallystick.delivery.deliver:_tries",
        _always_twice,
    ),
    Bug(
        "an unknown outcome counts as not sent",
        "no_request_leaves_while_another_may_count",
        "tallystick.delivery.deliver:send",
        _ends(IntentState.NOT_SENT),
    ),
    Bug(
        "phone numbers lose their last digits",
        "what_is_delivered_came_from_one_payer",
        "tallystick.assembly.intake:phone_element",
        _short_phones,
    ),
    Bug(
        "a node sends without a lease",
        "who_has_no_lease_sends_nothing",
        "tallystick.delivery.nodes:LeasedNode.require_lease",
        lambda _: lambda _: None,
    ),
    Bug(
        "deliver without compare-and-set",
        "at_most_one_authorisation_is_in_effect",
        f"{MEMORY}.advance",
        _no_compare_and_set,
    ),
    Bug(
        "sends of inquiries are not counted",
        "a_question_is_counted_before_it_leaves",
        f"{MEMORY}.schedule_intent",
        _uncounted,
    ),
    Bug("a retry acts again", "the_same_key_gives_the_same_answer", "tallystick.path:answer_once", _acts_again),
    Bug("nonces are forgotten", "replays_and_forgeries_are_refused", f"{MEMORY}.remember_nonce", _nothing),
    Bug(
        "signatures are not verified",
        "replays_and_forgeries_are_refused",
        "tallystick.crypto.httpsig:verify_request",
        lambda _: lambda *_, **__: None,
    ),
    Bug("nobody retries what rests", "whatever_was_acknowledged_ends", "tallystick.sweep:retry_deliverable", _nothing),
    Bug("nobody takes up doubts", "whatever_was_acknowledged_ends", "tallystick.sweep:doubts.pursue_due", _nothing),
    Bug(
        "an unknown outcome counts as declined",
        "platform_and_back_ends_agree",
        "tallystick.delivery.deliver:send",
        _ends(IntentState.DECLINED),
    ),
    Bug("parts are not erased", "no_secret_is_left", f"{MEMORY}.erase_parts", _nothing),
    Bug(
        "epoch keys are kept",
        "no_secret_is_left",
        "tallystick.testing.platform:MemoryEpochs.destroy_before",
        lambda _: lambda *_: [],
    ),
    Bug("fields are logged", "no_secret_is_left", "tallystick.path:_route", _clear_names),
    Bug(
        "parts leave no entry",
        "the_audit_chain_tells_all",
        "tallystick.audit.ledger:Ledger.note",
        _silent(Action.PART_ACCEPTED),
    ),
    Bug(
        "sends leave no entry",
        "the_audit_chain_tells_all",
        "tallystick.audit.ledger:Ledger.note",
        _silent(Action.DELIVERY_SENT),
    ),
    Bug(
        "a webhook that failed is dropped",
        "every_outcome_is_told_under_one_id",
        "tallystick.outcomes.send:SUCCESSES",
        lambda _: range(600),
    ),
    Bug(
        "each try of a webhook has an id of its own",
        "every_outcome_is_told_under_one_id",
        "tallystick.crypto.webhooks:sign",
        _new_id_each_time,
    ),
    Bug(
        "a number is noted and not issued",
        "each_payer_has_exactly_one_number",
        f"{MEMORY}.issue_claim",
        _not_all_issued,
    ),
    Bug("a number is told to nobody", "each_payer_has_exactly_one_number", "tallystick.vault.numbers:_tell", _untold),
    Bug("a chore fails each time", "no_error_goes_unheard", "tallystick.sweep:doubts.take_up", _unforeseen),
    Bug(
        "an approval counts as declined",
        "calm_weather_brings_every_payment_home",
        "tallystick.delivery.deliver:_outcome",
        _declined,
    ),
)
