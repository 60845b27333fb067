"""`tallystick delivery`: payments whose outcome is in doubt, and back ends that are to be emptied."""

import time
from typing import Final

import click
from msgspec import Struct

from tallystick.assembly.facts import PaymentState
from tallystick.audit.model import Action
from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli import administer
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.output import Failure
from tallystick.delivery import resolve
from tallystick.delivery.books import Books
from tallystick.delivery.model import IntentState, Known
from tallystick.routing.model import Status
from tallystick.runtime import Millis

LISTED_MAX: Final = 1_000  # payments
REASON_MAX: Final = 200  # characters
POLL_S: Final = 0.5  # s between two looks while a drain waits
COLUMNS: Final = ("payment", "state", "back_end", "stan", "rrn", "since", "reason")
DOUBTS: Final = (PaymentState.MANUAL, PaymentState.INQUIRY, PaymentState.UNKNOWN)
OUTCOMES: Final = {known.value: known for known in (Known.APPROVED, Known.DECLINED, Known.REVERSED)}
DRAIN_REMEDY: Final = "Wait on, or settle what is in doubt: tallystick delivery doubts"


class Doubt(Struct, frozen=True, kw_only=True):
    """A payment in doubt, with what the back end's own staff needs to find it."""

    payment: str
    state: PaymentState
    back_end: str
    stan: str
    rrn: str
    key: str
    amount: int | None
    currency: str | None
    tries: int
    since: Millis
    reason: str | None


class Settled(Struct, frozen=True, kw_only=True):
    """What a person settled."""

    payment: str
    state: str


class Drained(Struct, frozen=True, kw_only=True):
    """How far a drain is."""

    institution: str
    status: Status
    unsettled: int


@click.group(cls=Group, examples="tallystick delivery doubts")
def delivery() -> None:
    """Settle payments in doubt, and empty back ends."""


@delivery.command("doubts", examples="tallystick delivery doubts --json")
@click.option("--limit", type=click.IntRange(1, LISTED_MAX), default=100, show_default=True)
@pass_app
def list_doubts(app: App, limit: int) -> None:
    """List payments whose outcome is not known.

    Those in state manual wait for a person: ask the back end by STAN, RRN or key, then record what it says with
    `tallystick delivery resolve`. Those in state inquiry are still being inquired or reversed. Looking leaves an audit
    entry.
    """

    async def read(books: Books) -> list[Doubt]:
        found = [await books.payments_in(state, limit) for state in DOUBTS]
        doubtful = [payment.id for payments in found for payment in payments][:limit]
        await books.append(Action.PAYMENT_READ, *doubtful, outcome="doubts")
        return [await _doubt(books, payment_id) for payment_id in doubtful]

    app.show_all(app.at_desk(lambda desk: desk.store.transact(read), needs=operators.READ), COLUMNS)


@delivery.command(
    "resolve",
    examples="tallystick delivery resolve pay_4f7k2m9x3r6n8j1h5g0d2s4a6w --as declined --reason 'bank: case 4711'",
)
@click.argument("payment_id")
@click.option("--as", "outcome", type=click.Choice(sorted(OUTCOMES)), required=True, help="What the back end says.")
@click.option("--reason", required=True, help="Who said so, for the record; never a card number.")
@pass_app
def settle(app: App, payment_id: str, outcome: str, reason: str) -> None:
    """Record the outcome of a payment in doubt.

    Nothing is sent to the back end. The outcome is final, and those who wait for the payment are told.
    """
    if len(reason) > REASON_MAX or not reason.isprintable():
        raise click.BadParameter(f"a reason has up to {REASON_MAX} printable characters", param_hint="--reason")

    async def work(desk: Office) -> None:
        at = desk.clock.now()
        await desk.store.transact(
            lambda books: resolve.settle_by_hand(books, payment_id, OUTCOMES[outcome], reason, at)
        )

    app.at_desk(work)
    app.show(Settled(payment=payment_id, state=outcome))


@delivery.command("drain", examples="tallystick delivery drain 40718253 --wait 60")
@click.argument("institution")
@click.option(
    "--wait", type=click.IntRange(0, 3_600), default=0, show_default=True, help="Seconds to wait for the end."
)
@pass_app
def drain(app: App, institution: str, wait: int) -> None:
    """Send a back end nothing new, and wait for what is under way.

    It becomes draining: new payments go elsewhere, those sent are finished, inquired or reversed. With --wait, exit
    code 1 says that the time was over first.
    """

    async def work(desk: Office) -> Drained:
        back_end = await administer.set_status(desk, institution, Status.DRAINING)
        deadline = time.monotonic() + wait
        while True:
            unsettled = await desk.store.read(lambda books: books.unsettled_intents(institution))
            if not unsettled or time.monotonic() >= deadline:
                return Drained(institution=institution, status=back_end.status, unsettled=unsettled)
            await desk.clock.sleep(POLL_S)

    drained = app.at_desk(work)
    if wait and drained.unsettled:
        raise Failure(f"{drained.unsettled} requests are still under way or in doubt", DRAIN_REMEDY)
    app.show(drained)


async def _doubt(books: Books, payment_id: str) -> Doubt:
    payment, intents = await books.payment(payment_id), await books.intents(payment_id)
    open_states = {IntentState.UNKNOWN, IntentState.MANUAL}
    doubtful = next(intent for intent in intents if intent.of is None and intent.state in open_states)
    order = payment.order if payment else None
    return Doubt(
        payment=payment_id,
        state=payment.state if payment else PaymentState.UNKNOWN,
        back_end=doubtful.back_end,
        stan=doubtful.ids.stan,
        rrn=doubtful.ids.rrn,
        key=doubtful.ids.key,
        amount=order.amount if order else None,
        currency=order.currency if order else None,
        tries=sum(intent.tries for intent in intents if intent.of == doubtful.n),
        since=doubtful.ids.at,
        reason=payment.reason if payment else None,
    )
