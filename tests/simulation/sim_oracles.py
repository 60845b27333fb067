"""What must hold while a world runs: each oracle is a function whose docstring is the claim, and yields what breaks it.

They look at each commit, at each message that leaves and at each effect at a back end. The number in front is the
invariant's (docs/credential-path.md).
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sim_record import Left

from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import Payment
from tallystick.assembly.policy import ORDER_FIELD
from tallystick.delivery.model import Instruction, IntentKind
from tallystick.testing.simulation.node import Node
from tallystick.vault.model import CardCredential

if TYPE_CHECKING:
    from sim_banks import Bank
    from sim_world import World

MOVES: Final = {
    None: {"open", "half"},
    "open": {"half", "joined", "cancelled", "expired"},
    "half": {"joined", "cancelled", "expired"},
    "joined": {"delivering", "refused", "undelivered"},
    "delivering": {"joined", "approved", "declined", "unknown", "inquiry", "manual", "reversed"},
    "unknown": {"inquiry", "approved", "declined", "reversed", "manual"},
    "inquiry": {"approved", "declined", "reversed", "manual"},
    "manual": {"approved", "declined", "reversed"},
}
"""The moves there are (design: delivery); a state without any is final."""


# When a payment moved


def a_payment_only_moves_forward(_: "World", before: Payment | None, after: Payment) -> Iterator[str]:
    """A payment makes the moves of the design only, has one fate, and never leaves a final state."""
    if before is not None and before.fate not in {None, after.fate}:
        yield f"{after.id} had fate {before.fate} and has {after.fate}"
    if (before is None or before.state is not after.state) and after.state not in MOVES.get(
        before.state.value if before else None, ()
    ):
        yield f"{after.id} went from {before.state if before else None} to {after.state}"


def what_joins_is_of_one_piece(world: "World", before: Payment | None, after: Payment) -> Iterator[str]:
    """I3, I4: live parts that join share no field, none is a rival, and no two come over one channel or certificate."""
    if after.state is not PaymentState.JOINED or (before is not None and before.fate is not None):
        return
    live = [part for part in world.look(lambda books: books.part_facts(after.id)) if part.fields]
    fields = Counter(name for part in live for name in part.fields - {ORDER_FIELD})
    if any(count > 1 for count in fields.values()) or any(part.rival for part in live):
        yield f"{after.id} joined while candidates were rivals: {dict(fields)}"
    if len({part.channel_id for part in live}) < len(live) or len({part.certificate for part in live}) < len(live):
        yield f"{after.id} joined parts of one channel: {[part.channel_id for part in live]}"


def counters_never_go_back(world: "World") -> Iterator[str]:
    """I12: the audit chain, the mark of what was announced, the table's version and trace numbers only grow."""
    books = world.books
    now = {
        "audit": len(books._links),
        "announced": world.look(lambda books: books.announced()),
        "table": world.look(lambda books: books.routing_table()).version,
        **{f"stan {place}": books._stans.get(place) or 0 for place, _ in books._stans.items()},
    }
    high = world.record.high
    for name, value in now.items():
        if value < high[name]:
            yield f"{name} went from {high[name]} to {value}"
        high[name] = value


# When a message leaves


def a_send_is_on_record_before_it_leaves(
    world: "World", node: Node, left: Left, instruction: Instruction
) -> Iterator[str]:
    """I11: what leaves has a durable intent for this back end, under the table version it was routed by."""
    intents = world.look(lambda books: books.intents(left.payment_id))
    intent = next((each for each in intents if each.ids.key == left.key), None)
    if intent is None or intent.back_end != left.bank.institution or intent.kind is not IntentKind.AUTHORISATION:
        yield f"{left.key} has no intent"
        return
    table = world.look(lambda books: books.routing_table_at(intent.table_version))
    if table is None or left.bank.institution not in {back_end.id for back_end in table.back_ends}:
        yield f"{left.key} was routed by version {intent.table_version}, which does not know its back end"
    if instruction.ids != intent.ids:
        yield f"{left.key} bears other identifiers than its intent"


def nothing_leaves_after_its_time(world: "World", node: Node, left: Left, _: Instruction) -> Iterator[str]:
    """I6: nothing is sent after a payment's expiry by the sender's clock, nor of one that was cancelled."""
    payment = world.look(lambda books: books.payment(left.payment_id))
    assert payment is not None
    now = world.loop.millis() + node.ahead_ms
    if now >= payment.expires_at:
        yield f"{left.payment_id} was sent {now - payment.expires_at} ms after its expiry"
    if payment.fate != "joined" or left.payment_id in world.record.called_off:
        yield f"{left.payment_id} was sent and has fate {payment.fate}"


def no_request_leaves_while_another_may_count(world: "World", node: Node, left: Left, _: Instruction) -> Iterator[str]:
    """I1: no authorisation leaves while another one of the payment may be in effect, nor twice by itself."""
    for other in world.record.sends:
        if other.payment_id != left.payment_id:
            continue
        if other.key == left.key and not world.record.may_repeat(left):
            yield f"{left.key} was sent twice"
        if other.key != left.key and other.bank.may_take_effect(other.key):
            yield f"{left.key} was sent while {other.key} may take effect"


def who_has_no_lease_sends_nothing(world: "World", node: Node, left: Left, _: Instruction) -> Iterator[str]:
    """What leaves is of a node whose lease lasts, durably; where clocks jump, one may end just before a send."""
    leases = {each.id: each.lease_until for each in world.look(lambda books: books.nodes())}
    intent = next((i for i in world.look(lambda books: books.intents(left.payment_id)) if i.ids.key == left.key), None)
    if not world.skew_ms and intent is not None and leases.get(intent.node or "", 0) <= left.at:
        yield f"{left.key} left by a node without a lease"


def no_trace_number_is_used_twice(world: "World", node: Node, left: Left, instruction: Instruction) -> Iterator[str]:
    """I12: of one back end and hour, no two requests bear the same trace number."""
    for other in world.record.sends:
        if other.key != left.key and (other.bank, other.rrn) == (left.bank, left.rrn):
            yield f"{left.key} bears the trace number of {other.key}"


def what_is_delivered_came_from_one_payer(
    world: "World", node: Node, left: Left, instruction: Instruction
) -> Iterator[str]:
    """I3, I4: credential and order of a request were sent in one story, the credential over two channels."""
    record, credential = world.record, instruction.credential
    story = int(instruction.order.reference.split()[1])
    sent = {(each.amount, each.reference) for each in record.story_orders}
    if (instruction.order.amount, instruction.order.reference) not in sent:
        yield f"{left.payment_id} pays an order that nobody sent"
    if isinstance(credential, CardCredential):
        first, second = credential.pan.reveal(), credential.pin_block.reveal() if credential.pin_block else None
    else:
        first, second = credential.account.reveal(), credential.secret.reveal()
    if second is None:
        owner = next((name for name, pan, _ in record.cards.values() if pan == first), None)
        names = {half.values.get("username") for half in record.halves if half.story == story}
        if owner not in names:
            yield f"{left.payment_id} pays with the card of {owner}, who is not in its story"
        return
    ones, others = record.senders(first), record.senders(second)
    if not any(one[0] == other[0] == story and one[1] != other[1] for one in ones for other in others):
        yield f"{left.payment_id} joins what {sorted(ones)} and {sorted(others)} sent, for story {story}"


def a_question_is_counted_before_it_leaves(world: "World", node: Node, left: Left) -> Iterator[str]:
    """An inquiry or reversal that leaves is on record, and this very send of it was counted before."""
    intents = world.look(lambda books: books.intents(left.payment_id))
    intent = next((each for each in intents if each.ids.key == left.own), None)
    before = [each for each in world.record.asks if each.own == left.own]
    if intent is None or intent.kind is IntentKind.AUTHORISATION or intent.tries <= len(before):
        yield f"{left.own} is not on record, or its send is not counted"


def at_most_one_authorisation_is_in_effect(world: "World", bank: "Bank", payment_id: str) -> Iterator[str]:
    """I1: by the back ends' own books, a payment has at most one effective authorisation at any time."""
    effective = sum(each.effective(payment_id) for each in world.banks.values())
    if effective > 1:
        yield f"{payment_id} is in effect {effective} times"


AT_MOVE: Final = (a_payment_only_moves_forward, what_joins_is_of_one_piece)
AT_COMMIT: Final = (counters_never_go_back,)
AT_SEND: Final = (
    a_send_is_on_record_before_it_leaves,
    nothing_leaves_after_its_time,
    no_request_leaves_while_another_may_count,
    who_has_no_lease_sends_nothing,
    no_trace_number_is_used_twice,
    what_is_delivered_came_from_one_payer,
)
AT_ASK: Final = (a_question_is_counted_before_it_leaves,)
AT_EFFECT: Final = (at_most_one_authorisation_is_in_effect,)
