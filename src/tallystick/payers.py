"""What payers' pages ask of the platform, beside sending parts: their view, a link to the other page, a refusal."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tallystick import limits
from tallystick.assembly.created import payment_texts
from tallystick.assembly.element import new_code
from tallystick.assembly.facts import FINAL_STATES, TOLD_STATES, Fate
from tallystick.assembly.intake import write_order
from tallystick.assembly.model import Payment, SplitPolicy
from tallystick.channels import capability as links
from tallystick.channels.merchants import name_of
from tallystick.channels.model import Capability, CapabilityState, Channel, PageKind
from tallystick.channels.ports import CapabilityBook
from tallystick.crypto.binding import bind
from tallystick.crypto.signing import Verifier
from tallystick.delivery.books import Books
from tallystick.errors import AlreadyFinal, Forbidden, NotFound
from tallystick.outcomes.model import shown_to_senders
from tallystick.path import Platform
from tallystick.routing.model import NumberPolicy, RoutingTable, Status
from tallystick.runtime import Millis, Randomness
from tallystick.secret import Secret
from tallystick.security.idempotency import answer_once
from tallystick.security.model import Arrival, Sender
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import Sealing
from tallystick.security.verify import verify
from tallystick.wire.page import PageChoice, PageField, PageOrder, PageStatus, PageView
from tallystick.wire.payment import Done

MATCH_FIRST: Final = 10  # the lowest match number; two digits are read aloud without mistakes
MATCH_COUNT: Final = 90  # match numbers
_DONE: Final = msgspec.json.encode(Done())


class Visitor(Struct, kw_only=True):
    """Who speaks: a page's session, its channel, and the key its messages carry."""

    capability: Capability
    channel: Channel
    sender: Sender
    key: Verifier


class Maker(Protocol):
    """What links are made with: a platform has it, and an operator's desk."""

    @property
    def keyring(self) -> Keyring:
        """Return the long-lived keys."""
        ...

    @property
    def randomness(self) -> Randomness:
        """Return what secrets are made of."""
        ...


class NewLink(Struct, frozen=True, kw_only=True):
    """A link just issued; `code` is the same to be typed."""

    secret: Secret
    code: Secret | None
    expires_at: Millis


async def issue(maker: Maker, book: CapabilityBook, payment: Payment, kind: PageKind, now: Millis) -> Secret:
    """Issue the link to a payer's page; returns what stands behind `#` in its URL, and is in no other place.

    A PC link waits as long as the payment does; a phone link is read off a screen and waits `limits.LINK_LIFE_MS`.
    Earlier links to the same page are void, their session ends. Raises TooMany as `capability.issue` does.
    """
    return (await new_link(maker, book, payment, kind, now, typed=False)).secret


async def new_link(
    maker: Maker, book: CapabilityBook, payment: Payment, kind: PageKind, now: Millis, *, typed: bool
) -> NewLink:
    """Issue a link as `issue` does, and with `typed` a code of 69 bits that opens the same page."""
    secret = links.new_secret(maker.randomness)
    code = Secret(new_code(maker.randomness)) if typed else None
    until = payment.expires_at if kind is PageKind.PC else Millis(min(payment.expires_at, now + limits.LINK_LIFE_MS))
    at_rest = Sealing(maker.keyring, Purpose.AT_REST)
    secrets = (secret,) if code is None else (secret, code)
    await links.issue(book, at_rest, secrets, payment_id=payment.id, kind=kind, now=now, until=until)
    return NewLink(secret=secret, code=code, expires_at=until)


def session_until(payment: Payment) -> Millis:
    """Return when a page's session ends: it outlives the payment long enough to show how that ended."""
    return Millis(payment.expires_at + limits.SESSION_GRACE_MS)


def match_number(session: str) -> int:
    """Return the number that both screens show for a phone's session, so that people see which phone it is."""
    return MATCH_FIRST + int(session.removeprefix("ses_"), 16) % MATCH_COUNT


async def view(platform: Platform, books: Books, visitor: Visitor, now: Millis) -> PageView:
    """Tell a page all that it shows; raises NotFound when its payment is gone."""
    payment = await _payment(books, visitor.capability)
    order = payment.order
    if order is None:
        raise NotFound("this payment has no order yet")
    asks = await books.channel(payment.owner or "")
    attached = await books.attachment(payment.id)
    policy = platform.policies[payment.policy]
    fields = page_fields(policy, visitor.channel)
    offered = any(field.name == "institution" for field in fields)
    return PageView(
        session=visitor.capability.session or "",
        payment=payment.id,
        order=PageOrder(
            payee=order.payee,
            amount=order.amount,
            currency=order.currency,
            reference=order.reference,
            asks=asks.name if asks is not None else name_of(payment.owner or order.payee),
            lines=write_order(order).lines,
        ),
        bound=payment_texts(payment),
        policy=policy.name,
        fields=fields,
        other=tuple(sorted(_others(policy, fields))),
        keys=platform.opening_keys.published(now),
        now=now,
        status=await status(books, visitor.capability),
        return_url=attached.return_url if attached is not None else None,
        choices=_choices(await books.routing_table(), payment, order.currency) if offered else (),
    )


def _choices(table: RoutingTable, payment: Payment, currency: str) -> tuple[PageChoice, ...]:
    """Return the back ends at which a payer may have stored a credential, by name: those this payment can go to."""
    fit = [
        back_end
        for back_end in table.back_ends
        if back_end.status is not Status.SUSPENDED
        and (not payment.allowed or back_end.id in payment.allowed)
        and (not back_end.currencies or currency in back_end.currencies)
    ]
    return tuple(
        PageChoice(id=each.id, name=each.name, numbered=each.numbers is not NumberPolicy.NONE)
        for each in sorted(fit, key=lambda back_end: back_end.name)
    )


async def status(books: Books, capability: Capability) -> PageStatus:
    """Tell a page where its payment stands."""
    payment = await _payment(books, capability)
    told = payment.state in TOLD_STATES
    state = shown_to_senders(payment.state).value if told else ("processing" if payment.fate else "waiting")
    own = (links.CHANNELS[capability.kind], (capability.device or b"").hex())
    parts = await books.part_facts(payment.id)
    phone = next((each for each in await books.capabilities_of(payment.id) if _joined(each)), None)
    return PageStatus(
        state=state,
        final=payment.state in FINAL_STATES,
        sent=any((part.channel_id, part.certificate) == own and part.fields for part in parts),
        watching=capability.state is CapabilityState.WATCHING,
        expires_at=payment.expires_at,
        number=match_number(phone.session) if phone is not None and phone.session else None,
    )


def page_fields(policy: SplitPolicy, channel: Channel) -> tuple[PageField, ...]:
    """Return the fields of the one part of a policy that a page's channel may send; none when there is no such part."""
    for shape in policy.parts:
        if shape.required <= channel.fields:
            required = [PageField(name=name, required=True) for name in sorted(shape.required)]
            optional = sorted(shape.optional & channel.fields)
            return (*required, *(PageField(name=name, required=False) for name in optional))
    return ()


async def refuse_payment(platform: Platform, arrival: Arrival, visitor: Visitor) -> bytes:
    """Cancel a payment because the payer declines; raises AlreadyFinal when its fate is decided."""

    async def act(books: Books, payment: Payment) -> bytes:
        if not await books.decide_fate(payment.id, Fate.CANCELLED, arrival.at):
            raise AlreadyFinal("the fate of this payment is decided")
        await books.erase_parts(payment.id)
        return _DONE

    return await _once(platform, arrival, visitor, act)


async def phone_link(platform: Platform, arrival: Arrival, visitor: Visitor, show: Callable[[NewLink], bytes]) -> bytes:
    """Issue a link to the phone page, also to take the place of a phone that failed; `show` makes the answer."""

    async def act(books: Books, payment: Payment) -> bytes:
        return show(await new_link(platform, books, payment, PageKind.PHONE, arrival.at, typed=True))

    return await _once(platform, arrival, visitor, act)


async def hand_over(platform: Platform, arrival: Arrival, visitor: Visitor, show: Callable[[NewLink], bytes]) -> bytes:
    """Give the payment to another person: a PC link that waits as long as the payment; this page only watches.

    "I order, you pay": the person who ordered sees the outcome and nothing of what the other one sends.
    Raises Forbidden once this page has sent its part: two persons never mix.
    """

    async def act(books: Books, payment: Payment) -> bytes:
        if (await status(books, visitor.capability)).sent:
            raise Forbidden("this page has sent its part already")
        watching = replace(visitor.capability, state=CapabilityState.WATCHING)
        if not await books.replace_capability(watching, expected=CapabilityState.STARTED):
            raise Forbidden("another person pays: this page only watches")
        return show(await new_link(platform, books, payment, PageKind.PC, arrival.at, typed=False))

    return await _once(platform, arrival, visitor, act)


async def _once(
    platform: Platform, arrival: Arrival, visitor: Visitor, act: Callable[[Books, Payment], Awaitable[bytes]]
) -> bytes:
    """Verify, then act once, in one transaction; a page that handed over may only look: Forbidden, LinkRefused."""
    verified = verify(arrival, visitor.sender, visitor.key)

    async def work(books: Books) -> bytes:
        payment = await _payment(books, visitor.capability)

        async def acting() -> bytes:
            if visitor.capability.state is not CapabilityState.STARTED:
                raise Forbidden("another person pays: this page only watches")
            await links.require_started(books, visitor.sender.id)
            if payment.fate is not None or payment.expires_at <= arrival.at:
                raise AlreadyFinal("the fate of this payment is decided")
            return await act(books, payment)

        asked = bind(arrival.target) + arrival.body
        return await answer_once(books, platform.epochs, verified, asked, arrival.at, acting)

    return await platform.store.transact(work)


async def _payment(books: Books, capability: Capability) -> Payment:
    payment = await books.payment(capability.payment_id)
    if payment is None:
        raise NotFound("this payment is gone")
    return payment


def _joined(each: Capability) -> bool:
    return each.kind is PageKind.PHONE and each.state is CapabilityState.STARTED


def _others(policy: SplitPolicy, fields: tuple[PageField, ...]) -> frozenset[str]:
    """Return the required fields that this page does not send."""
    own = {field.name for field in fields}
    return frozenset().union(*(shape.required for shape in policy.parts)) - own
