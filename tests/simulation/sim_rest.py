"""What must hold once a world has come to rest; in form like `sim_oracles`."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tallystick import limits
from tallystick.assembly.element import institution_element
from tallystick.assembly.facts import FINAL_STATES, TOLD_STATES, ElementKind, PaymentState
from tallystick.audit.chain import read
from tallystick.audit.model import Action, Entry
from tallystick.audit.verify import Verifying
from tallystick.delivery.model import IntentKind, IntentState
from tallystick.outcomes.model import WebhookState, counts
from tallystick.security.ports import Purpose
from tallystick.testing.memory_table import Table

if TYPE_CHECKING:
    from sim_world import World

ALL_ROWS: Final = 1_000_000
RESTING: Final = FINAL_STATES | {PaymentState.MANUAL}
"""States in which a payment may stay: a person will settle what is MANUAL."""

NUMBER: Final = re.compile(r"is (\d{8})\. Institution id: (\d{8})")


def the_same_key_gives_the_same_answer(world: "World") -> Iterator[str]:
    """I9: every answer to one Idempotency-Key is the same, byte by byte."""
    for (sender, key), answers in world.record.answers.items():
        if any(answer != answers[0] for answer in answers):
            yield f"{key} of {sender} got {len(set(answers))} answers"


def replays_and_forgeries_are_refused(world: "World") -> Iterator[str]:
    """I5: a message that comes again to the letter is refused, and so is what its sender did not sign."""
    yield from (f"a replay was accepted: {key}" for key in world.record.replayed)
    yield from (f"a forgery was accepted: {how}" for how in world.record.forged)


def whatever_was_acknowledged_ends(world: "World") -> Iterator[str]:
    """I2: each acknowledged part is kept, each payment has ended, some by a person, and no request is open."""
    for part_id in world.record.acks:
        part = world.look(lambda books, one=part_id: books.part(one))
        if part is None or world.look(lambda books, one=part: books.payment(one.payment_id)) is None:
            yield f"{part_id} was acknowledged and is lost"
    for payment in world.look(lambda books: books.recent_payments(ALL_ROWS)):
        if payment.state not in FINAL_STATES:
            yield f"{payment.id} is still {payment.state}"
        for intent in world.look(lambda books, one=payment: books.intents(one.id)):
            if intent.state in {IntentState.SENDING, IntentState.UNKNOWN}:
                yield f"request {intent.n} of {payment.id} is still {intent.state}"


def platform_and_back_ends_agree(world: "World") -> Iterator[str]:
    """What the platform says is approved is in effect, once; what it says ended otherwise is not."""
    for payment in world.look(lambda books: books.recent_payments(ALL_ROWS)):
        effective = sum(bank.effective(payment.id) for bank in world.banks.values())
        wanted = 1 if payment.state is PaymentState.APPROVED else 0
        if payment.state in FINAL_STATES and effective != wanted:
            yield f"{payment.id} is {payment.state} and in effect {effective} times"


def no_secret_is_left(world: "World") -> Iterator[str]:
    """I7: no part, account number or key of one is left, and nothing that a payer typed is readable in store or log."""
    for payment in world.look(lambda books: books.recent_payments(ALL_ROWS)):
        if world.look(lambda books, one=payment: books.sealed_parts(one.id)):
            yield f"{payment.id} is {payment.state} and its parts are kept"
        for intent in world.look(lambda books, one=payment: books.intents(one.id)):
            if intent.account is not None:
                yield f"request {intent.n} of {payment.id} is {intent.state} and keeps a card number"
    now = world.now()
    old = [begins for begins in world.epochs._keys if begins + limits.EPOCH_KEPT_MS < now - world.skew_ms]
    if old:
        yield f"{len(old)} keys of epochs that are over are kept"
    tables = (table.rows() for table in vars(world.books).values() if isinstance(table, Table))
    text = repr(list(tables)) + repr(world.books._links) + repr(world.record.logged)
    shown = sum(secret in text for secret in world.record.secrets())
    if shown:
        yield f"{shown} secrets are readable in the store or the log"


def the_audit_chain_tells_all(world: "World") -> Iterator[str]:
    """I8: the chain is whole, with exactly one entry for each accepted part and for each message to a back end."""
    verifying = Verifying((), ())
    for link in world.books._links:
        verifying.add(link)
    yield from (fault.what for fault in verifying.finish())
    entries = [read(link.body) for link in world.books._links]
    parts = Counter(one for entry in entries if Action.PART_ACCEPTED in acts(entry) for one in entry.subjects)
    sends = Counter(entry.subjects[0] for entry in entries if Action.DELIVERY_SENT in acts(entry))
    yield from (f"{part_id} has {parts[part_id]} entries" for part_id in world.record.acks if parts[part_id] != 1)
    for payment_id in world.record.moves:
        intents = world.look(lambda books, one=payment_id: books.intents(one))
        planned = sum(1 if each.kind is IntentKind.AUTHORISATION else each.tries for each in intents)
        if sends[payment_id] != planned:
            yield f"{payment_id} has {sends[payment_id]} entries for {planned} sends"
    yield from (f"{left.key} left without an entry" for left in world.record.sends if not sends[left.payment_id])


def acts(entry: Entry) -> set[str]:
    """Return all that an entry says was done."""
    others = entry.details.get("with", ())
    assert isinstance(others, tuple | list)
    return {entry.action, *(each.partition("=")[0] for each in others)}


def every_outcome_is_told_under_one_id(world: "World") -> Iterator[str]:
    """I10: each told state of a shop's payment, and each end of a part that counts, was told under one id."""
    receiver = world.receiver
    yield from (f"webhook {webhook_id} came again with another content" for webhook_id in receiver.changed)
    ids: dict[tuple[str, str, str], set[str]] = {}
    for url, webhook_id, told in receiver.told:
        ids.setdefault((url, told.type, told.data.payment or told.data.part or ""), set()).add(webhook_id)
    yield from (f"{told[1]} of {told[2]} was told under {len(each)} ids" for told, each in ids.items() if len(each) > 1)
    dead = {
        (webhook.type, webhook.subject)
        for webhook in world.look(lambda books: books.dead_webhooks(ALL_ROWS))
        if webhook.state is WebhookState.DEAD
    }
    wanted = []
    for payment_id, states in world.record.moves.items():
        payment = world.look(lambda books, one=payment_id: books.payment(one))
        told = [state for state in states if state in TOLD_STATES]
        if payment is not None and payment.owner == "shop":
            wanted += [("shop", f"payment.{state}", payment_id) for state in told]
        for part in world.look(lambda books, one=payment_id: books.part_facts(one)):
            if part.channel_id == "pc" and counts(part) and told and told[-1] is not PaymentState.INQUIRY:
                wanted.append(("pc", f"part.{told[-1]}", part.id))
    for channel, kind, subject in wanted:
        if (f"https://{channel}.example/told", kind, subject) not in ids and (kind, subject) not in dead:
            yield f"{channel} was never told {kind} of {subject}"


def each_payer_has_exactly_one_number(world: "World") -> Iterator[str]:
    """Each payer at an institution that renews numbers has exactly one of the present period, and was told it."""
    beyond = world.now() + limits.NUMBER_OVERLAP_MS
    for user_id, (_, _, address) in world.record.cards.items():
        issued = [each for each in world.books._all() if each.claim.user_id == user_id]
        present = [
            each for each in issued if each.element.kind is ElementKind.INSTITUTION and each.valid_until > beyond
        ]
        if len(present) != 1:
            yield f"{user_id} has {len(present)} numbers"
            continue
        told = [NUMBER.search(text) for _, text in world.carriage.inboxes.get(address, ())]
        digests = {
            digest
            for found in told
            if found is not None
            for digest in institution_element(world.keyring.readable(Purpose.BLIND_INDEX), found[2], found[1]).digests
        }
        if present[0].element.digest not in digests:
            yield f"{user_id} was never told the present number"


def no_error_goes_unheard(world: "World") -> Iterator[str]:
    """No task ended in an error that nobody took, and no timer failed for a reason that nobody foresaw."""
    yield from (f"{context.get('message')}: {context.get('exception')!r}" for context in world.loop.unheard)
    yield from (line for line in world.record.logged if "Error" in line and "TimeoutError" not in line)


def calm_weather_brings_every_payment_home(world: "World") -> Iterator[str]:
    """While nothing goes wrong, every story without a quirk ends approved, with one send."""
    if not world.record.calm:
        return
    plain = world.record.plain
    paid = {
        int(payment.order.reference.split()[1])
        for payment in world.look(lambda books: books.recent_payments(ALL_ROWS))
        if payment.order is not None and payment.state is PaymentState.APPROVED
    }
    yield from (f"story {story} did not end approved" for story in sorted(plain - paid))


AT_END: Final = (
    the_same_key_gives_the_same_answer,
    replays_and_forgeries_are_refused,
    whatever_was_acknowledged_ends,
    platform_and_back_ends_agree,
    no_secret_is_left,
    the_audit_chain_tells_all,
    every_outcome_is_told_under_one_id,
    each_payer_has_exactly_one_number,
    no_error_goes_unheard,
    calm_weather_brings_every_payment_home,
)
