"""The timers: each chore on its own, each bounded, none stopped by another."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tallystick import limits, sweep
from tallystick.assembly.facts import ElementKind, PaymentState
from tallystick.assembly.model import Claim, Element, Payment
from tallystick.channels.model import Capability, PageKind
from tallystick.delivery.books import Books
from tallystick.errors import StoreFailed, Unavailable
from tallystick.path import carry
from tallystick.runtime import Millis
from tallystick.sweep import (
    BATCH,
    KEYS_EVERY,
    RETRY_AFTER_MS,
    Sweep,
    expire,
    purge,
    purge_pages,
    retry_deliverable,
)
from tallystick.testing.connector import HANG, ScriptedConnector
from tallystick.testing.inbox import RecordingCarrier
from tallystick.testing.messages import send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform
from tallystick.vault.model import Medium
from tallystick.vault.notices import Message, seal_notice

ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY"}


@pytest.fixture
async def world() -> MemoryPlatform:
    made = await memory_platform()
    for channel_id in ("pc", "phone"):
        await made.channel(channel_id)
    return made


def parts(n: int, pan: str = "6212142600000000043") -> tuple[dict[str, Any], dict[str, Any]]:
    base = {"policy": "card", "element": {"kind": "phone", "phone": f"+861380013{n:04d}"}}
    card = {**base, "fields": {"pan": pan, "expiry": "3012"}, "order": ORDER}
    return card, {**base, "fields": {"pin_block": "1412348F0A3B5C7D"}}


async def issue_and_open(world: MemoryPlatform, count: int) -> None:
    """Let so many payments wait and so many issued elements be valid, all until the same time."""
    now, until = world.clock.now(), Millis(world.clock.now() + limits.SECRET_LIFE_MS)
    opened = {"policy": "card", "claimed": True, "opened_at": now, "expires_at": until, "updated_at": now}

    async def fill(books: Books) -> None:
        for n in range(count):
            element = Element(kind=ElementKind.CODE, digest=n.to_bytes(4))
            await books.add_payment(Payment(id=f"pay_{n}", element=element, **opened))  # type: ignore[arg-type]
            await books.issue_claim(element, Claim(payment_id=f"pay_{n}"), valid_from=now, valid_until=until)

    await world.store.transact(fill)


async def join(world: MemoryPlatform, n: int = 0, **how: Any) -> str:
    card, pin = parts(n, **how)
    await send_part(world, world.members["pc"], card)
    joined = (await send_part(world, world.members["phone"], pin)).joined
    assert joined is not None
    return joined


async def state(world: MemoryPlatform, payment_id: str) -> PaymentState:
    payment = await world.store.transact(lambda books: books.payment(payment_id))
    assert payment is not None
    return payment.state


async def test_only_what_is_over_expires_and_its_content_goes(world: MemoryPlatform) -> None:
    await send_part(world, world.members["pc"], parts(1)[0])
    await world.clock.advance(1_000)
    await send_part(world, world.members["pc"], parts(2)[0])
    await world.clock.advance(limits.SECRET_LIFE_MS - 1_000)
    assert (1, 0) == (await expire(world.platform), await expire(world.platform))
    first, second = (await world.store.transact(lambda books: books.recent_payments(10)))[::-1]
    assert (PaymentState.EXPIRED, PaymentState.HALF) == (first.state, second.state)
    left = [await world.store.transact(lambda books, one=one: books.sealed_parts(one.id)) for one in (first, second)]
    assert [0, 1] == [len(content) for content in left]


async def test_a_fresh_join_is_left_to_its_own_path(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank())
    await join(world)
    assert 0 == await retry_deliverable(world.platform)
    await world.clock.advance(RETRY_AFTER_MS)
    assert 1 == await retry_deliverable(world.platform)
    assert 1 == len(connector.instructions)


async def test_a_join_whose_process_died_is_delivered_after_the_restart(world: MemoryPlatform) -> None:
    await world.back_end(bank())
    payment_id = await join(world)
    await world.clock.advance(RETRY_AFTER_MS)
    await world.crash()
    await retry_deliverable(world.platform)
    assert PaymentState.APPROVED is await state(world, payment_id)


async def test_one_back_end_that_hangs_keeps_no_other_payment_waiting(world: MemoryPlatform) -> None:
    hanging = await world.back_end(bank("10000001", schemes=frozenset({"unionpay"})), ScriptedConnector(otherwise=HANG))
    await world.back_end(bank("10000002", schemes=frozenset({"visa"})))
    await join(world, 1)
    payment_id = await join(world, 2, pan="4111111111111111")
    await world.clock.advance(RETRY_AFTER_MS)
    task = asyncio.create_task(retry_deliverable(world.platform))
    for _ in range(200):
        await asyncio.sleep(0)
    assert (1, PaymentState.APPROVED) == (len(hanging.instructions), await state(world, payment_id))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_payment_that_cannot_be_carried_keeps_no_other_one_waiting(
    world: MemoryPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    await world.back_end(bank())
    broken, good = await join(world, 1), await join(world, 2)
    table = world.store._books._payments
    payment = table.get(broken)
    assert payment is not None
    table.put(broken, type(payment)(**{**as_dict(payment), "policy": "a policy that the operator took away"}))
    await world.clock.advance(RETRY_AFTER_MS)
    await retry_deliverable(world.platform)
    assert (PaymentState.JOINED, PaymentState.APPROVED) == (await state(world, broken), await state(world, good))
    assert broken in caplog.text


def as_dict(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


async def test_recovery_makes_every_lost_intent_unknown_and_is_safe_to_repeat(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank(), ScriptedConnector(otherwise=HANG))
    lost = [await join(world, n) for n in range(3)]
    tasks = [asyncio.create_task(carry(world.platform, payment_id)) for payment_id in lost]
    while len(connector.instructions) < len(lost):  # noqa: ASYNC110  # a scripted connector has no event to wait for
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (3, 0) == (await world.crash(), await world.crash())
    assert [PaymentState.UNKNOWN] * 3 == [await state(world, payment_id) for payment_id in lost]


async def test_echoes_and_keys_are_not_looked_at_in_every_round(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank())
    chores = []

    async def chore() -> None:
        chores.append(1)

    sweep = Sweep(world.platform, {}, more=(chore,))
    for n in range(KEYS_EVERY + 1):
        await sweep.round(n)
    assert (3, 2) == (connector.echoes, len(chores))


async def test_a_renewal_of_numbers_that_takes_long_holds_up_neither_expiry_nor_notices(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send_part(world, world.members["pc"], parts(1)[0])
    message = Message(address="+4915112345678", subject="s", text="t")
    notice = seal_notice(world.keyring, world.randomness, Medium.SMS, message, world.clock.now())
    await world.store.transact(lambda books: books.add_notice(notice))
    await world.clock.advance(limits.SECRET_LIFE_MS - 1_000)
    monkeypatch.setattr(sweep, "renew_numbers", lambda _platform: asyncio.Event().wait())
    carrier = RecordingCarrier()
    task = asyncio.create_task(Sweep(world.platform, {Medium.SMS: carrier}).run())
    for _ in range(4):
        for _ in range(50):
            await asyncio.sleep(0)
        await world.clock.advance(500)
    (payment,) = await world.store.read(lambda books: books.recent_payments(10))
    assert (PaymentState.EXPIRED, 1) == (payment.state, len(carrier.sent))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "failure", [StoreFailed("full"), OSError("disk full"), RuntimeError("CANARY"), KeyError("CANARY")]
)
async def test_a_failing_chore_stops_no_other_one_and_says_nothing_it_should_not(
    world: MemoryPlatform, failure: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_now: int) -> list[str]:
        raise failure

    done = []

    async def chore() -> None:
        done.append(1)

    monkeypatch.setattr(world.opening_keys, "rotate", fail)
    await Sweep(world.platform, {}, more=(chore,)).round(0)
    assert [1] == done
    assert "a chore of the sweep failed" in caplog.text
    assert "CANARY" not in caplog.text


async def test_the_sweep_runs_round_after_round_on_its_clock(world: MemoryPlatform) -> None:
    connector = await world.back_end(bank())
    payment_id = await join(world)
    task = asyncio.create_task(Sweep(world.platform, {}).run())
    for _ in range(2 + RETRY_AFTER_MS // 500):
        for _ in range(100):
            await asyncio.sleep(0)
        await world.clock.advance(500)
    assert PaymentState.APPROVED is await state(world, payment_id)
    assert 1 == len(connector.instructions)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_notices_go_out_with_the_sweep_and_wait_while_a_carrier_fails(world: MemoryPlatform) -> None:
    platform, carrier = world.platform, RecordingCarrier(failures=1)
    message = Message(address="+8613800138000", subject="s", text="t")
    notice = seal_notice(platform.keyring, platform.randomness, Medium.SMS, message, world.clock.now())
    await world.store.transact(lambda books: books.add_notice(notice))
    sweep = Sweep(platform, {Medium.SMS: carrier})
    await sweep.round(1)
    assert [] == carrier.sent
    await world.clock.advance(3_600_000)
    await sweep.round(1)
    await sweep.round(1)
    assert ["+8613800138000"] == [sent.address for sent in carrier.sent]


async def test_epoch_keys_are_destroyed_when_no_part_under_them_can_live(world: MemoryPlatform) -> None:
    await join(world)
    epoch = world.epochs.current(world.clock.now())
    await world.clock.advance(limits.EPOCH_KEPT_MS)
    await Sweep(world.platform, {}).round(0)
    with pytest.raises(Exception, match="destroyed"):
        world.epochs.key(epoch)


async def test_a_round_keeps_up_with_more_payments_and_elements_than_a_batch(world: MemoryPlatform) -> None:
    count = 2 * BATCH + 1
    await issue_and_open(world, count)
    await world.clock.advance(limits.SECRET_LIFE_MS + 1)
    assert (count, 0) == (await expire(world.platform), await expire(world.platform))
    await purge(world.platform)
    assert 0 == await world.store.transact(lambda books: books.purge_claims(world.clock.now(), count))


async def test_links_that_are_over_go_in_steps_of_which_a_round_does_so_many(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give_out(books: Books) -> None:
        for n in range(12):
            await books.add_capability(replace(link, id=f"cap_{n}"))

    link = Capability(
        id="cap",
        payment_id="pay_1",
        kind=PageKind.PC,
        sealed_key=b"k",
        issued_at=world.clock.now(),
        expires_at=Millis(world.clock.now() + 1_000),
    )
    monkeypatch.setattr(sweep, "PAGES", 3)
    monkeypatch.setattr(sweep, "PAGE_BATCHES", 3)
    await world.store.transact(give_out)
    assert 0 == await purge_pages(world.platform)
    await world.clock.advance(1_000)
    assert [9, 3, 0] == [await purge_pages(world.platform) for _ in range(3)]


async def test_a_purge_forgets_nonces_only_when_no_message_with_them_is_fresh(world: MemoryPlatform) -> None:
    card, _ = parts(0)
    await send_part(world, world.members["pc"], card, nonce="n" * 16)
    nonces = world.store._books._nonces
    await world.clock.advance(2 * limits.FRESHNESS_MS)
    await purge(world.platform)
    assert 1 == len(nonces.rows())
    await world.clock.advance(60_000)
    await purge(world.platform)
    assert 0 == len(nonces.rows())


async def test_a_busy_stretcher_leaves_a_login_waiting_and_does_not_refuse_it(
    world: MemoryPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object) -> None:
        raise Unavailable("too many wait")

    await world.back_end(bank(schemes=frozenset()))
    base = {"policy": "login", "element": {"kind": "phone", "phone": "+8613800138000"}}
    await send_part(world, world.members["pc"], {**base, "fields": {"username": "li"}, "order": ORDER})
    accepted = await send_part(world, world.members["phone"], {**base, "fields": {"password": "correct horse"}})
    assert accepted.joined is not None
    payments = world.store._books._payments
    payment = payments.get(accepted.joined)
    assert payment is not None
    payments.put(payment.id, type(payment)(**{**as_dict(payment), "allowed": ("10000001",)}))
    monkeypatch.setattr(world.platform.stretcher, "stretch", busy)
    await carry(world.platform, accepted.joined)
    assert PaymentState.JOINED is await state(world, accepted.joined)
