"""Whatever is lost, late, repeated, cancelled or told twice: one effect at most, one end, and the ledger agrees."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from delivery_world import Asks, Does, FlakyStore, GuardedBackEnds, LedgerBackEnd, Message, Mode, Network
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tallystick import doubts
from tallystick.assembly.facts import DOUBTFUL_STATES, FINAL_STATES, PaymentState
from tallystick.assembly.model import Payment
from tallystick.delivery import resolve
from tallystick.delivery.guard import OPEN_MAX_MS
from tallystick.delivery.model import Finding, Intent, IntentKind, IntentState, Known, Recovery
from tallystick.delivery.nodes import LeasedNode
from tallystick.delivery.notification import Notification, take
from tallystick.errors import AlreadyFinal, Conflict, NotFound, NotSent, OutcomeUnknown, TallystickError
from tallystick.path import Platform, carry
from tallystick.routing.model import Status
from tallystick.sweep import retry_deliverable, rotate_keys
from tallystick.testing.messages import send_part
from tallystick.testing.platform import bank, memory_platform

BANKS: Final = ("10000001", "10000002")
PAN: Final = "6212142600000000043"
ORDER: Final = {"payee": "Tea House", "amount": 1250, "currency": "CNY"}
PAYMENTS_MAX: Final = 3  # of one run
TURNS: Final = 60  # turns of the event loop after which everybody waits for the network, the clock or nothing
HOUR_MS: Final = 3_600_000

RECOVERIES: Final = st.sampled_from(
    [
        frozenset(),
        frozenset({Recovery.INQUIRY}),
        frozenset({Recovery.REVERSAL}),
        frozenset({Recovery.INQUIRY, Recovery.REVERSAL}),
        frozenset({Recovery.RETRY, Recovery.INQUIRY, Recovery.REVERSAL}),
        frozenset({Recovery.RETRY}),
    ]
)
CHORES: Final[dict[str, Callable[[Platform], Awaitable[object]]]] = {
    "take up": doubts.take_up,
    "pursue": doubts.pursue_due,
    "retry": retry_deliverable,
    "give up lost": doubts.give_up_lost,
    "keys": rotate_keys,
}
ERRORS: Final = (OutcomeUnknown("time-out"), RuntimeError("odd"), TimeoutError())
PROCESSES: Final = st.integers(0, 1)
ANY: Final = st.integers(0, 11)


class Delivery(RuleBasedStateMachine):
    """Two processes on one store, two back ends with a ledger, and everything that may go wrong between them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.payments: list[str] = []
        self.finals: dict[str, PaymentState] = {}
        self.tries: dict[tuple[str, int], int] = {}
        self.tasks: tuple[list[asyncio.Task[None]], list[asyncio.Task[None]]] = ([], [])
        self.odd: list[str] = []
        self.away: set[str] = set()

    @initialize(
        recovery=st.tuples(RECOVERIES, RECOVERIES),
        account=st.tuples(st.booleans(), st.booleans()),
        rate=st.integers(0, 1),
    )
    def begin(self, recovery: tuple[frozenset[Recovery], ...], account: tuple[bool, ...], rate: int) -> None:
        async def make() -> None:
            self.world = await memory_platform()
            self.network = Network(self.world.clock)
            self.back_ends: dict[str, LedgerBackEnd] = {}
            for n, institution in enumerate(BANKS):
                self.back_ends[institution] = LedgerBackEnd(
                    institution, self.network, recovery[n], PAN, keeps_account=account[n]
                )
                await self.world.back_end(bank(institution, priority=n, per_second_max=rate))
            for channel_id in ("pc", "phone"):
                await self.world.channel(channel_id)
            self.store = FlakyStore(self.world.store)
            self.nodes = [(await self.world.peer()).node for _ in self.tasks]
            self.platforms = [self._process(node) for node in self.nodes]

        self.runner.run(make())

    def _process(self, node: LeasedNode) -> Platform:
        connectors = GuardedBackEnds(self.back_ends, self.world.clock, self.away)
        return dataclasses.replace(self.world.platform, store=self.store, connectors=connectors, node=node)

    # What a platform does

    @rule()
    @precondition(lambda self: len(self.payments) < PAYMENTS_MAX)
    def join(self) -> None:
        element = {"kind": "phone", "phone": f"+861380013{len(self.payments):04d}"}
        base = {"policy": "card", "element": element}

        async def parts() -> None:
            card = {**base, "fields": {"pan": PAN, "expiry": "3012"}, "order": ORDER}
            await send_part(self.world, self.world.members["pc"], card)
            pin = {**base, "fields": {"pin_block": "1412348F0A3B5C7D"}}
            joined = (await send_part(self.world, self.world.members["phone"], pin)).joined
            assert joined is not None
            self.payments.append(joined)

        self.runner.run(parts())
        self.network.expiry[self.payments[-1]] = self.payment(self.payments[-1]).expires_at
        self._start(0, lambda platform, payment_id=self.payments[-1]: carry(platform, payment_id))
        self._settle()

    @rule(process=PROCESSES, n=ANY)
    @precondition(lambda self: self.payments)
    def carry(self, process: int, n: int) -> None:
        self._start(process, lambda platform: carry(platform, self.payments[n % len(self.payments)]))
        self._settle()

    @rule(chore=st.sampled_from(sorted(CHORES)), process=PROCESSES, crash_after=st.none() | st.integers(0, 12))
    def work(self, chore: str, process: int, crash_after: int | None) -> None:
        task = self._start(process, CHORES[chore])
        if crash_after is not None:
            self._settle(crash_after)
            task.cancel()
        self._settle()

    @rule(chore=st.sampled_from(["take up", "pursue", "retry"]), later=st.integers(0, 4))
    def work_together(self, chore: str, later: int) -> None:
        self._start(0, CHORES[chore])
        self._settle(later)
        self._start(1, CHORES[chore])
        self._settle()

    @rule(process=PROCESSES)
    def crash(self, process: int) -> None:
        for task in self.tasks[process]:
            task.cancel()
        self._settle()
        self.tasks[process].clear()
        self.bury(process)
        self.platforms[process] = self._process(self.nodes[process])
        self._settle()

    @rule(process=PROCESSES)
    def bury(self, process: int) -> None:
        """Let a process hang beyond its lease and come back: the others gave up what it is sending."""

        async def others() -> None:
            await self.nodes[process].leave()
            await doubts.give_up_lost(self.world.platform)
            await self.nodes[process].enter()

        self.runner.run(others())
        self._settle()

    @rule(failures=st.integers(1, 3))
    def fill_the_disk(self, failures: int) -> None:
        self.store.failures = failures

    @rule(ms=st.sampled_from([300, 2_000, 6_000, 30_000, 200_000, 599_000, HOUR_MS, 25 * HOUR_MS]))
    def pass_time(self, ms: int) -> None:
        self.runner.run(self.world.clock.advance(ms))
        self._settle()

    @rule(institution=st.sampled_from(BANKS), status=st.sampled_from(sorted(Status)))
    def say(self, institution: str, status: Status) -> None:
        self.runner.run(self.world.store.transact(lambda books: books.put_status(institution, status)))

    @rule(institution=st.sampled_from(BANKS))
    def change_settings(self, institution: str) -> None:
        self.away.symmetric_difference_update({institution})

    # What a network and back ends do

    @rule(n=ANY, does=st.sampled_from(Does), refuses=st.booleans())
    @precondition(lambda self: self.network.waiting())
    def answer(self, n: int, does: Does, *, refuses: bool) -> None:
        message = self._waiting(n)
        if message.on_its_way:
            self.network.arrive(message, does, refuses=refuses)
        self.network.answer(message)
        self._settle()

    @rule(n=ANY, does=st.sampled_from(Does), refuses=st.booleans())
    @precondition(lambda self: self.network.on_their_way())
    def arrive(self, n: int, does: Does, *, refuses: bool) -> None:
        found = self.network.on_their_way()
        self.network.arrive(found[n % len(found)], does, refuses=refuses)

    @rule(n=ANY)
    @precondition(lambda self: self._repeatable())
    def arrive_again(self, n: int) -> None:
        found = self._repeatable()
        self.network.arrive(found[n % len(found)], Does.APPROVE)

    @rule(n=ANY, error=st.sampled_from(ERRORS))
    @precondition(lambda self: self.network.waiting())
    def lose_the_answer(self, n: int, error: BaseException) -> None:
        self._waiting(n).waits.set_exception(error)
        self._settle()

    @rule(n=ANY)
    @precondition(lambda self: any(message.on_its_way for message in self.network.waiting()))
    def refuse_to_send(self, n: int) -> None:
        found = [message for message in self.network.waiting() if message.on_its_way]
        message = found[n % len(found)]
        message.on_its_way = False
        message.waits.set_exception(NotSent("no connection"))
        self._settle()

    @rule(n=ANY, does=st.sampled_from([Does.APPROVE, Does.DECLINE]))
    @precondition(lambda self: self._undecided())
    def decide(self, n: int, does: Does) -> None:
        found = self._undecided()
        back_end, key = found[n % len(found)]
        back_end.decide(key, does)

    @rule(n=ANY)
    @precondition(lambda self: self.network.notices)
    def tell(self, n: int) -> None:
        back_end, key, finding = self.network.notices[-1 - n % len(self.network.notices)]
        self.runner.run(self._tell(back_end, key, finding))

    @rule(n=ANY, known=st.sampled_from(Known), wrong=st.sampled_from(["key", "back end"]))
    @precondition(lambda self: self.network.messages)
    def tell_what_is_not_ones_own(self, n: int, known: Known, wrong: str) -> None:
        message = self.network.messages[n % len(self.network.messages)]
        back_end, key = message.back_end.institution, message.own
        if wrong == "key":
            key = f"{key.rpartition('_')[0]}_99"
        else:
            back_end = next(other for other in BANKS if other != back_end)
        with pytest.raises(NotFound):
            self.runner.run(self._tell(back_end, key, Finding(known=known)))

    @rule(n=ANY, known=st.sampled_from([Known.DECLINED, Known.REVERSED]))
    @precondition(lambda self: self._doubtful())
    def settle_by_hand(self, n: int, known: Known) -> None:
        """Record what the back end's staff says, who close the case unless it is paid and still under way."""
        found = self._doubtful()
        payment = found[n % len(found)]
        paid = self.effective(payment.id) > 0
        if payment.state is PaymentState.MANUAL or not paid:
            for back_end in self.back_ends.values():
                back_end.close(payment.id)
        known, at = Known.APPROVED if paid else known, self.world.clock.now()
        try:
            self.runner.run(
                self.world.store.transact(
                    lambda books: resolve.settle_by_hand(books, payment.id, known, "asked the bank", at)
                )
            )
        except (Conflict, AlreadyFinal):
            assert paid
            assert payment.state is not PaymentState.MANUAL

    # What always holds

    @invariant()
    def nothing_forbidden_left(self) -> None:
        assert [] == self.network.violations
        assert [] == self.odd

    @invariant()
    def one_authorisation_at_most_is_in_effect(self) -> None:
        for payment_id in self.payments:
            assert 1 >= self.effective(payment_id)
        for back_end in self.back_ends.values():
            assert {0, 1} >= set(back_end.effects.values())

    @invariant()
    def a_final_state_agrees_with_the_ledger_and_stays(self) -> None:
        for payment_id in self.payments:
            state = self.payment(payment_id).state
            if state in FINAL_STATES:
                assert (state is PaymentState.APPROVED) == (self.effective(payment_id) == 1)
                assert state is self.finals.setdefault(payment_id, state)
            assert payment_id not in self.finals or state in FINAL_STATES

    @invariant()
    def intents_agree_with_their_payment_and_with_what_was_sent(self) -> None:
        for payment_id in self.payments:
            payment, intents = self.payment(payment_id), self.intents(payment_id)
            first = [i for i in intents if i.kind is IntentKind.AUTHORISATION]
            sending = sum(i.state is IntentState.SENDING for i in first)
            assert (payment.state is PaymentState.DELIVERING) == (sending == 1)
            assert 1 >= sum(i.state not in {IntentState.NOT_SENT, IntentState.DECLINED} for i in first)
            in_doubt = payment.state in {PaymentState.UNKNOWN, PaymentState.INQUIRY}
            assert in_doubt == any(i.state is IntentState.UNKNOWN for i in first)
            asking = [i for i in intents if i.of is not None and i.state is IntentState.SENDING]
            assert (payment.state is PaymentState.INQUIRY) == (len(asking) == 1)
            for intent in intents:
                self._judge(intent, open_=in_doubt or payment.state is PaymentState.DELIVERING)

    def _judge(self, intent: Intent, *, open_: bool) -> None:
        at = (intent.payment_id, intent.n)
        assert self.tries.get(at, 0) <= intent.tries
        self.tries[at] = intent.tries
        if intent.of is not None:
            assert self.network.sends[intent.ids.key] <= intent.tries
        assert open_ or intent.account is None
        assert intent.account is None or intent.state in {IntentState.SENDING, IntentState.UNKNOWN}

    def teardown(self) -> None:
        try:
            if hasattr(self, "network") and not self.network.violations and not self.odd:
                self._end()
        finally:
            for task in (*self.tasks[0], *self.tasks[1]):
                task.cancel()
            self.runner.close()

    def _end(self) -> None:
        """Let all be well, or nothing: either way every payment comes to its end, and what is late changes none."""
        heals = len(self.network.messages) % 2 == 0
        self.store.failures = 0
        if heals:
            self._heal()
        else:
            self.network.mode = Mode.SILENT
            for message in self.network.waiting():
                message.waits.set_exception(OutcomeUnknown("silence"))
        for _ in range(15 if heals else 28):
            self.runner.run(self.world.clock.advance(450_000 if heals else HOUR_MS))
            for chore in ("retry", "give up lost", "take up", "pursue", "keys"):
                self._start(0, CHORES[chore])
                self._settle()
        self._check()
        states = {self.payment(payment_id).state for payment_id in self.payments}
        assert FINAL_STATES | {PaymentState.MANUAL} >= states
        self._come_late()
        self._check()
        while self._doubtful():
            self.settle_by_hand(0, Known.REVERSED)
        self._check()
        assert frozenset() == self.runner.run(self.world.store.read(lambda books: books.accounts_kept()))
        for institution in BANKS:
            assert 0 == self.runner.run(
                self.world.store.read(lambda books, of=institution: books.unsettled_intents(of))
            )

    def _heal(self) -> None:
        """Bring everything back but the circuits, which stay open: they must hold up no inquiry and no reversal."""
        self.away.clear()
        self.network.mode = Mode.OPEN
        for platform in self.platforms:
            for guard in platform.connectors.guards.values():
                guard.breaker.failures = guard.breaker.failures_max
                guard.breaker.open_until = self.world.clock.now() + OPEN_MAX_MS
        for message in self.network.waiting():
            if message.on_its_way:
                self.network.arrive(message, Does.APPROVE)
            self.network.answer(message)
        for back_end, key in self._undecided():
            back_end.decide(key, Does.APPROVE)
        self._settle()

    def _come_late(self) -> None:
        for message in self.network.on_their_way():
            self.network.arrive(message, Does.APPROVE)
        for back_end, key in self._undecided():
            back_end.decide(key, Does.APPROVE)
        for back_end_id, key, finding in self.network.notices:
            self.runner.run(self._tell(back_end_id, key, finding))

    def _check(self) -> None:
        self.nothing_forbidden_left()
        self.one_authorisation_at_most_is_in_effect()
        self.a_final_state_agrees_with_the_ledger_and_stays()
        self.intents_agree_with_their_payment_and_with_what_was_sent()

    # Helpers

    def payment(self, payment_id: str) -> Payment:
        found = self.runner.run(self.world.store.read(lambda books: books.payment(payment_id)))
        assert found is not None
        return found

    def intents(self, payment_id: str) -> list[Intent]:
        return self.runner.run(self.world.store.read(lambda books: books.intents(payment_id)))

    def effective(self, payment_id: str) -> int:
        return sum(back_end.effective(payment_id) for back_end in self.back_ends.values())

    def _start(self, process: int, chore: Callable[[Platform], Awaitable[object]]) -> asyncio.Task[None]:
        async def run() -> None:
            try:
                await chore(self.platforms[process])
            except TallystickError:
                pass  # the sweep logs it and comes back
            except Exception as error:  # noqa: BLE001 - found again by an invariant
                self.odd.append(repr(error))

        task = self.runner.get_loop().create_task(run())
        self.tasks[process].append(task)
        return task

    def _settle(self, turns: int = TURNS) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.runner.run(turn())

    async def _tell(self, back_end: str, key: str, finding: Finding) -> bool:
        notification = Notification(key=key, finding=finding)
        at = self.world.clock.now()
        return await self.world.store.transact(lambda books: take(books, back_end, notification, at))

    def _waiting(self, n: int) -> Message:
        found = self.network.waiting()
        return found[n % len(found)]

    def _repeatable(self) -> list[Message]:
        """List the messages that a network may deliver twice: those that their back end recognises."""
        arrived = [message for message in self.network.messages if message.answer is not None]
        return [m for m in arrived if m.asks is not Asks.AUTHORISE or Recovery.RETRY in m.back_end.recovery]

    def _undecided(self) -> list[tuple[LedgerBackEnd, str]]:
        return [(b, key) for b in self.back_ends.values() for key, does in b.does.items() if does is Does.WAIT]

    def _doubtful(self) -> list[Payment]:
        return [p for p in map(self.payment, self.payments) if p.state in DOUBTFUL_STATES]


USUAL: Final = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
HUNT: Final = settings(
    USUAL, max_examples=2_000, phases=(Phase.generate,), database=None, derandomize=True, report_multiple_bugs=False
)


def test_whatever_happens_a_payment_has_one_effect_at_most_one_end_and_the_ledger_agrees() -> None:
    run_state_machine_as_test(Delivery, settings=USUAL)
