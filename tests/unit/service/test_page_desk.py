"""The pages' listener without a browser: who is believed, who is not, and what each answer tells."""

import dataclasses
import importlib
import json
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from msgspec.structs import replace

from tallystick import limits
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.model import Payment
from tallystick.audit.model import Entry
from tallystick.channels.model import ChannelState, PageKind
from tallystick.config import IndependenceStep
from tallystick.crypto.signing import HmacKey
from tallystick.routing.model import BackEnd
from tallystick.sdk.pages import PageRefused, PageVisitor
from tallystick.sdk.requests import Credentials, PaymentBinding, Request, seal_request, sign_get, sign_post
from tallystick.secret import Secret
from tallystick.service.background import Carriers
from tallystick.service.events import Streams
from tallystick.service.pages import visitors
from tallystick.service.pages.desk import PageDesk
from tallystick.service.pages.origins import Origins
from tallystick.testing.messages import send_part
from tallystick.testing.page_platform import HOME, MOBILE, ORDER, MemoryBrowser, PagePlatform
from tallystick.testing.platform import BROWSER_KEY, bank, memory_platform
from tallystick.wire import page as wire
from tallystick.wire.part import CodeElement, PageElement, PartContent, WireOrder
from tallystick.wire.payment import Nothing

ACCOUNT, SECRET = "bamboo:lihua", "river-stone"
ORIGINS = Origins(pc="https://pay.example", phone="https://phone.example")


@dataclasses.dataclass
class Place(PagePlatform):
    carriers: Carriers


async def page_platform(*steps: IndependenceStep) -> Place:
    world = await memory_platform()
    platform = dataclasses.replace(world.platform, independence=steps)
    world = dataclasses.replace(world, platform=platform)
    account_bank: BackEnd = bank(schemes=frozenset({"bamboo"}))
    await world.back_end(account_bank)
    now = world.clock.now()
    await world.store.transact(lambda books: visitors.register(books, world.keyring, world.randomness, now))
    streams, carriers = Streams(platform.store, world.clock), Carriers(platform)
    desks = {
        kind: PageDesk(platform, kind, origins=ORIGINS, carriers=carriers, streams=streams).app() for kind in PageKind
    }
    return Place(world, desks, carriers)


async def opened(place: Place, payment: Payment, browser: MemoryBrowser) -> PageVisitor:
    visitor = place.visitor(PageKind.PC, await place.link(payment, PageKind.PC), browser)
    await visitor.start()
    return visitor


async def joined(place: Place, pc: PageVisitor, browser: MemoryBrowser) -> PageVisitor:
    link = await pc.phone()
    phone = place.visitor(PageKind.PHONE, link.url.partition("#")[2], browser)
    await phone.start()
    return phone


async def refusal(attempt: object) -> tuple[int, str]:
    with pytest.raises(PageRefused) as refused:
        await attempt  # type: ignore[misc]
    return refused.value.status, refused.value.code


async def state(place: Place, payment: Payment) -> PaymentState:
    found = await place.world.store.read(lambda books: books.payment(payment.id))
    assert found is not None
    return found.state


async def paid(place: Place, payment: Payment) -> PaymentState:
    await place.carriers.drain()
    return await state(place, payment)


async def test_two_pages_pay_and_each_is_told_what_both_may_know() -> None:
    place = await page_platform()
    payment = await place.order()
    pc = await opened(place, payment, MemoryBrowser())
    view = await pc.start()
    assert ("Tea House", 1250, "CNY") == (view.order.payee, view.order.amount, view.order.currency)
    assert [wire.PageField(name="account", required=True)] == list(view.fields)
    await pc.send_part({"account": ACCOUNT})
    phone = await joined(place, pc, MemoryBrowser(MOBILE))
    told = await pc.state()
    assert ("waiting", True, False) == (told.state, told.sent, told.final)
    assert told.number == (await phone.state()).number
    assert not (await phone.state()).sent
    await phone.send_part({"secret": SECRET})
    assert PaymentState.APPROVED is await paid(place, payment)
    assert ("approved", True) == ((await pc.state()).state, (await phone.state()).final)


async def test_the_typed_code_opens_the_same_page_and_only_one_of_both_works() -> None:
    place = await page_platform()
    pc = await opened(place, await place.order(), MemoryBrowser())
    link = await pc.phone()
    typed = place.visitor(PageKind.PHONE, link.code or "", MemoryBrowser(MOBILE))
    assert pc.view is not None
    assert pc.view.payment == (await typed.start()).payment
    read = place.visitor(PageKind.PHONE, link.url.partition("#")[2], MemoryBrowser(MOBILE))
    assert (401, "link_refused") == await refusal(read.start())


async def test_a_session_is_of_its_browser_alone() -> None:
    place = await page_platform()
    mine = MemoryBrowser()
    pc = await opened(place, await place.order(), mine)
    assert "HttpOnly" in mine.told[0]["set-cookie"]
    assert mine.told[0]["set-cookie"].startswith("__Host-")
    kept = dict(mine.cookies)
    for stolen in ({}, {"__Host-tallystick-device": "0" * 32}, {"__Host-tallystick-device": "no name"}):
        mine.cookies = dict(stolen)
        assert (401, "link_refused") == await refusal(pc.state())
        mine.cookies = dict(stolen)
        assert (401, "link_refused") == await refusal(pc.start())
    mine.cookies = kept
    assert "waiting" == (await pc.state()).state


async def test_a_guessed_or_unsigned_session_learns_nothing() -> None:
    place = await page_platform()
    browser = MemoryBrowser()
    pc = await opened(place, await place.order(), browser)
    app, clock = place.apps[PageKind.PC], place.world.clock
    for sender, expected in ((pc.credentials.sender, "signature_invalid"), ("ses_" + "0" * 32, "link_refused")):
        guess = Credentials(sender, HmacKey(bytes(32)))
        request = sign_get(guess, wire.STATE, created=clock.now() // 1000, nonce="n" * 16)
        answer = await browser.ask(app, request)
        assert (401, expected) == (answer.status, json.loads(answer.body)["code"])
    bare = await browser.ask(app, Request(method="GET", target=wire.STATE, headers={}, body=b"", nonce=""))
    assert (401, "signature_missing") == (bare.status, json.loads(bare.body)["code"])


async def test_a_part_of_another_payment_or_element_is_refused_and_changes_nothing() -> None:
    place = await page_platform()
    browser = MemoryBrowser()
    own, other = await place.order(), await place.order()
    pc = await opened(place, own, browser)
    now = place.world.clock.now() // 1000

    async def send(payment: Payment, content: PartContent, nonce: str) -> tuple[int, str]:
        order = WireOrder(payee=ORDER.payee, amount=ORDER.amount, currency=ORDER.currency, reference=ORDER.reference)
        request = seal_request(
            pc.credentials,
            place.world.opening_keys.keys[BROWSER_KEY],
            wire.PARTS,
            content,
            created=now,
            nonce=nonce * 16,
            idempotency_key=nonce,
            payment=PaymentBinding(payment.id, order),
        )
        answer = await browser.ask(place.apps[PageKind.PC], request)
        return answer.status, json.loads(answer.body).get("code", "")

    fields = {"account": Secret(ACCOUNT)}
    mine = PartContent(policy="account", element=PageElement(), fields=fields)
    assert (403, "forbidden") == await send(other, mine, "a")
    foreign = PartContent(policy="account", element=CodeElement(code="23456789ABCDEF"), fields=fields)
    assert (400, "field_invalid") == await send(own, foreign, "b")
    secret = PartContent(policy="account", element=PageElement(), fields={"secret": Secret(SECRET)})
    assert (403, "field_not_allowed") == await send(own, secret, "c")
    whole = PartContent(policy="account", element=PageElement(), fields={**fields, "secret": Secret(SECRET)})
    assert (400, "field_invalid") == await send(own, whole, "d")
    assert (PaymentState.OPEN, PaymentState.OPEN) == (await state(place, own), await state(place, other))
    assert (202, "") == await send(own, mine, "e")


async def test_a_changed_payee_or_amount_voids_the_part() -> None:
    place = await page_platform()
    pc = await opened(place, await place.order(), MemoryBrowser())
    view = pc.view
    assert view is not None
    for changed in ({"amount": 1}, {"payee": "Mallory"}, {"reference": ""}):
        pc.view = replace(view, order=replace(view.order, **changed))
        assert (400, "envelope_unopenable") == await refusal(pc.send_part({"account": ACCOUNT}))


async def test_a_gateways_channel_cannot_use_the_pages_element() -> None:
    place = await page_platform()
    member = await place.world.channel("ch_gateway")
    content = {"policy": "account", "element": {"kind": "page"}, "fields": {"account": ACCOUNT}}
    with pytest.raises(Exception, match="only a page's session has this element"):
        await send_part(place.world, member, content)


async def test_a_card_is_typed_on_the_pc_and_its_pin_comes_from_the_banks_app_never_from_a_page() -> None:
    place = await page_platform()
    await place.world.back_end(bank("10000002"))
    code = "23456789ABCDEF"
    payment = await place.order(policy="card", code=code)
    pc = await opened(place, payment, MemoryBrowser())
    await pc.send_part({"pan": "6212142600000000043", "expiry": "3012"})
    phone = await joined(place, pc, MemoryBrowser(MOBILE))
    assert phone.view is not None
    assert () == phone.view.fields
    assert (403, "field_not_allowed") == await refusal(phone.send_part({"pin_block": "1412348F0A3B5C7D"}))
    app = await place.world.channel("ch_bank_app", proves_payer=True)
    content = {
        "policy": "card",
        "element": {"kind": "code", "code": code},
        "fields": {"pin_block": "1412348F0A3B5C7D"},
    }
    accepted = await send_part(place.world, app, content)
    assert payment.id == accepted.joined


async def test_one_browser_that_opens_both_pages_supplies_one_half() -> None:
    place = await page_platform()
    payment, browser = await place.order(), MemoryBrowser()
    pc = await opened(place, payment, browser)
    await pc.send_part({"account": ACCOUNT})
    phone = await joined(place, pc, browser)
    assert (409, "same_channel") == await refusal(phone.send_part({"secret": SECRET}))
    assert PaymentState.HALF is await state(place, payment)


async def test_a_large_amount_needs_another_network_and_the_rest_is_not_typed_again() -> None:
    place = await page_platform(IndependenceStep(score=3, amount=1_000))
    payment = await place.order()
    pc = await opened(place, payment, MemoryBrowser(HOME))
    await pc.send_part({"account": ACCOUNT})
    await place.world.clock.advance(5_000)
    near = await joined(place, pc, MemoryBrowser(HOME))
    assert (409, "not_independent") == await refusal(near.send_part({"secret": SECRET}))
    far = await joined(place, pc, MemoryBrowser(MOBILE))
    await far.send_part({"secret": SECRET})
    assert PaymentState.APPROVED is await paid(place, payment)


async def test_a_new_code_ends_the_phone_before_it() -> None:
    place = await page_platform()
    pc = await opened(place, await place.order(), MemoryBrowser())
    lost = await joined(place, pc, MemoryBrowser(MOBILE))
    await pc.phone()
    assert (401, "link_refused") == await refusal(lost.send_part({"secret": SECRET}))
    assert (401, "link_refused") == await refusal(lost.decline())


async def test_who_handed_the_payment_over_only_watches() -> None:
    place = await page_platform()
    payment = await place.order(life_ms=limits.ORDER_LIFE_MS)
    requester = await opened(place, payment, MemoryBrowser())
    link = await requester.hand_over()
    for attempt in (requester.send_part({"account": ACCOUNT}), requester.decline(), requester.phone()):
        assert (403, "forbidden") == await refusal(attempt)
    await place.world.clock.advance(23 * 3_600_000)  # the order waits a day, the friend comes late
    friend = place.visitor(PageKind.PC, link.url.partition("#")[2], MemoryBrowser(MOBILE))
    await friend.start()
    await friend.send_part({"account": ACCOUNT})
    told = await requester.state()
    assert (True, False, "waiting") == (told.watching, told.sent, told.state)
    phone = await joined(place, friend, MemoryBrowser("203.0.113.5"))
    await phone.send_part({"secret": SECRET})
    assert PaymentState.APPROVED is await paid(place, payment)
    assert "approved" == (await requester.state()).state


def overtaken(monkeypatch: pytest.MonkeyPatch, name: str, first: Callable[[], Awaitable[object]]) -> None:
    """Let something else happen between a message's arrival and its transaction."""
    module, _, verb = name.rpartition(".")
    act = getattr(importlib.import_module(module), verb)

    async def late(*given: object, **named: object) -> object:
        monkeypatch.setattr(name, act)
        await first()
        return await act(*given, **named)

    monkeypatch.setattr(name, late)


@pytest.mark.parametrize("overtaking", ["hand_over", "new_link"])
@pytest.mark.parametrize("message", ["part", "decline", "phone", "hand_over"])
async def test_a_message_that_a_hand_over_or_a_new_link_overtook_does_nothing(
    monkeypatch: pytest.MonkeyPatch, message: str, overtaking: str
) -> None:
    place = await page_platform()
    payment = await place.order()
    pc = await opened(place, payment, MemoryBrowser())
    sends: dict[str, tuple[str, Callable[[], Awaitable[object]]]] = {
        "part": ("tallystick.service.pages.desk.accept", lambda: pc.send_part({"account": ACCOUNT})),
        "decline": ("tallystick.payers.refuse_payment", pc.decline),
        "phone": ("tallystick.payers.phone_link", pc.phone),
        "hand_over": ("tallystick.payers.hand_over", pc.hand_over),
    }
    verb, send = sends[message]
    overtaken(
        monkeypatch, verb, pc.hand_over if overtaking == "hand_over" else lambda: place.link(payment, PageKind.PC)
    )
    assert (401, "link_refused") == await refusal(send())
    assert PaymentState.OPEN is await state(place, payment)
    assert [] == await place.world.store.read(lambda books: books.part_facts(payment.id))


async def test_a_page_that_sent_its_half_hands_nothing_over() -> None:
    place = await page_platform()
    pc = await opened(place, await place.order(), MemoryBrowser())
    await pc.send_part({"account": ACCOUNT})
    assert (403, "forbidden") == await refusal(pc.hand_over())


async def test_a_payer_who_declines_ends_it_once() -> None:
    place = await page_platform()
    payment = await place.order()
    pc = await opened(place, payment, MemoryBrowser())
    await pc.send_part({"account": ACCOUNT})
    phone = await joined(place, pc, MemoryBrowser(MOBILE))
    await phone.decline()
    assert PaymentState.CANCELLED is await state(place, payment)
    assert (409, "already_final") == await refusal(phone.send_part({"secret": SECRET}))
    assert (409, "already_final") == await refusal(phone.decline())
    assert ("cancelled", True) == ((await pc.state()).state, (await pc.state()).final)


async def test_a_suspended_page_takes_nothing() -> None:
    place = await page_platform()
    pc = await opened(place, await place.order(), MemoryBrowser())

    channel = await place.world.store.read(lambda books: books.channel("ch_page_pc"))
    suspended = replace(channel, state=ChannelState.SUSPENDED)
    await place.world.store.transact(lambda books: books.replace_channel(suspended))
    assert (403, "channel_suspended") == await refusal(pc.send_part({"account": ACCOUNT}))


async def test_a_replayed_request_does_nothing_twice() -> None:
    place = await page_platform()
    browser = MemoryBrowser()
    pc = await opened(place, await place.order(), browser)
    request = sign_post(
        pc.credentials,
        wire.PHONE,
        Nothing(),
        created=place.world.clock.now() // 1000,
        nonce="r" * 16,
        idempotency_key="once",
    )
    first, again = [await browser.ask(place.apps[PageKind.PC], request) for _ in range(2)]
    assert (200, 409) == (first.status, again.status)
    assert "replayed" == json.loads(again.body)["code"]


async def test_wrong_addresses_and_methods_are_told_and_the_phone_has_no_pc_address() -> None:
    place = await page_platform()
    browser = MemoryBrowser()
    for kind, method, target, expected in (
        (PageKind.PHONE, "POST", wire.PHONE, 404),
        (PageKind.PC, "GET", "/nothing", 404),
        (PageKind.PC, "DELETE", wire.PARTS, 405),
    ):
        answer = await browser.ask(
            place.apps[kind], Request(method=method, target=target, headers={}, body=b"", nonce="")
        )
        assert expected == answer.status
        assert "remedy" in json.loads(answer.body)
        assert "no-store" == answer.headers["cache-control"]


async def test_an_address_that_asks_without_end_is_slowed_down() -> None:
    place = await page_platform()
    browser = MemoryBrowser()
    request = Request(method="GET", target=wire.STATE, headers={}, body=b"", nonce="")
    statuses = [(await browser.ask(place.apps[PageKind.PC], request)).status for _ in range(601)]
    assert {401} == set(statuses[:-1])
    assert 429 == statuses[-1]


async def test_what_a_page_does_stands_in_the_audit_chain_under_its_session() -> None:
    place = await page_platform()
    payment = await place.order()
    pc = await opened(place, payment, MemoryBrowser())
    session = (await pc.start()).session
    await pc.phone()
    links = await place.world.store.read(lambda books: books.audit_links_about(payment.id, 10))
    entries = [msgspec.json.decode(link.body, type=Entry) for link in links]
    link_id = next(entry.subjects[1] for entry in entries if entry.action == "page.moved")
    assert [f"page:pc:{link_id}"] == [entry.actor for entry in entries if entry.action == "page.moved"]
    assert ["system", f"page:pc:{session}"] == [
        entry.actor for entry in reversed(entries) if entry.action == "page.issued"
    ]
