"""The messages beside parts: create, cancel, give a PIN token, settle a quarantine, set a number, issue a value.

Each is verified, opened and answered once in one transaction, exactly like a part (`path.accept`).
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from msgspec import structs

from tallystick import limits
from tallystick.assembly import policy as policies
from tallystick.assembly.attachment import check_attachment
from tallystick.assembly.created import protect_order
from tallystick.assembly.element import backend_element, code_element, new_code, normal_institution
from tallystick.assembly.facts import Fate
from tallystick.assembly.intake import read_element, read_order
from tallystick.assembly.join import choose
from tallystick.assembly.model import Attachment, Claim, Payment
from tallystick.assembly.pins import issue_token
from tallystick.assembly.policy import ORDER_FIELD
from tallystick.channels.model import Channel
from tallystick.crypto.binding import bind
from tallystick.crypto.signing import Verifier
from tallystick.delivery.books import Books, Within
from tallystick.errors import AlreadyFinal, FieldInvalid, FieldNotAllowed, Forbidden, NotFound
from tallystick.messages import count_message
from tallystick.path import Accepted, Platform
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis, dated_id
from tallystick.security.idempotency import answer_once
from tallystick.security.model import Arrival, Sender
from tallystick.security.ports import Purpose
from tallystick.security.unseal import content_decoder, open_envelope, read_content, read_envelope
from tallystick.security.verify import verify
from tallystick.vault import numbers
from tallystick.vault.model import Contact, Medium
from tallystick.vault.notices import Message, seal_notice
from tallystick.vault.users import digest_name, normal_contact
from tallystick.wire.payment import (
    Candidate,
    Candidates,
    Choice,
    Done,
    IssuedNumber,
    IssuedValue,
    NewPayment,
    Nothing,
    PaymentCreated,
    PinTokenGiven,
)

EXPIRES_IN_MIN: Final = 1  # second a created payment waits at least
CODE_KEPT_MS: Final = 3_600_000  # ms after a payment's end in which its code is still told from an unknown one
VALUE_VALID_MAX: Final = 366 * 24 * 3600  # seconds a back end's value may be valid
_DONE: Final = msgspec.json.encode(Done())

_T = TypeVar("_T")
_new_payment: Final = content_decoder(NewPayment)
_nothing: Final = content_decoder(Nothing)
_choice: Final = content_decoder(Choice)
_number: Final = content_decoder(IssuedNumber)
_value: Final = content_decoder(IssuedValue)


async def create_payment(
    platform: Platform, arrival: Arrival, *, channel: Channel | None, sender: Sender, key: Verifier
) -> bytes:
    """Create a payment, make the code that its parts carry, and send it to the payer (claim 10).

    `channel` None: an institution asks for a credential. It gets it and nobody else: FieldInvalid for other back ends.
    """
    if channel is not None and ORDER_FIELD not in channel.fields:
        raise FieldNotAllowed("this channel may not create payments", field=ORDER_FIELD)

    async def act(books: Books, new: NewPayment) -> bytes:
        if channel is None:
            if not set(new.allowed) <= {sender.id}:
                raise FieldInvalid("an institution asks for a credential for itself", field="allowed")
            new = structs.replace(new, allowed=(sender.id,))
        payment, code = await open_payment(platform, books, new, sender.id, arrival.at)
        created = PaymentCreated(payment=payment.id, expires_at=payment.expires_at, code=code)
        return msgspec.json.encode(created)

    return await _answer(platform, arrival, sender, key, _new_payment, act)


async def open_payment(
    platform: Platform, books: Books, new: NewPayment, owner: str, now: Millis
) -> tuple[Payment, str]:
    """Open a payment for its proven owner, inside a transaction; returns it with the code its parts carry.

    Raises FieldInvalid, PolicyUnknown: nothing is opened.
    """
    payment, code, contact = _plan(platform, new, owner, now)
    attached = check_attachment(Attachment(payment_id=payment.id, metadata=new.metadata, return_url=new.return_url))
    await books.add_payment(payment)
    if attached.metadata or attached.return_url is not None:
        await books.attach(attached)
    claim, until = Claim(payment_id=payment.id), Millis(payment.expires_at + CODE_KEPT_MS)
    await books.issue_claim(payment.element, claim, valid_from=payment.opened_at, valid_until=until)
    await count_message(platform, books, contact, now)
    await _tell_code(platform, books, contact, payment, code)
    return payment, code


async def cancel_payment(
    platform: Platform, arrival: Arrival, payment_id: str, *, sender: Sender, key: Verifier
) -> bytes:
    """Cancel a payment before it is joined; raises AlreadyFinal when its fate is decided."""

    async def act(books: Books, _: Nothing) -> bytes:
        await cancel(books, payment_id, sender.id, arrival.at)
        return _DONE

    return await _answer(platform, arrival, sender, key, _nothing, act)


async def cancel(books: Books, payment_id: str, owner: str, now: Millis) -> None:
    """Cancel an owner's payment inside a transaction; raises NotFound, AlreadyFinal."""
    payment = await books.payment(payment_id)
    if payment is None or payment.owner != owner:
        raise NotFound("you own no payment with this id")
    if not await books.decide_fate(payment_id, Fate.CANCELLED, now):
        raise AlreadyFinal("the fate of this payment is decided")
    await books.erase_parts(payment_id)


async def give_pin_token(
    platform: Platform, arrival: Arrival, *, channel: Channel, sender: Sender, key: Verifier
) -> bytes:
    """Give a channel with a PIN key a token for its next PIN block."""

    async def act(books: Books, _: Nothing) -> bytes:
        token = await issue_token(books, channel.id, platform.randomness, arrival.at)
        return msgspec.json.encode(PinTokenGiven(token=token.token, expires_at=token.expires_at))

    return await _answer(platform, arrival, sender, key, _nothing, act)


async def settle_quarantine(
    platform: Platform, arrival: Arrival, *, channel: Channel, sender: Sender, key: Verifier
) -> Accepted:
    """List the rivals under an element, or choose one; only for a channel that proves the payer."""
    if not channel.proves_payer:
        raise Forbidden("this channel does not prove who the payer is")
    joined: str | None = None

    async def act(books: Books, choice: Choice) -> bytes:
        nonlocal joined
        policy = policies.find(platform.policies, choice.policy)
        element = read_element(choice.element, platform.keyring.readable(Purpose.BLIND_INDEX))
        payment = await books.open_payment(element, policy.name)
        if payment is not None and choice.part is not None:
            filed = await choose(books, platform.epochs, payment, policy, choice.part, arrival.at)
            joined = filed.payment_id if filed.joined else None
        return await _candidates(books, payment)

    body = await _answer(platform, arrival, sender, key, _choice, act)
    return Accepted(body=body, joined=joined)


async def set_number(
    platform: Platform, arrival: Arrival, back_end: BackEnd, *, sender: Sender, key: Verifier
) -> bytes:
    """Take a dynamic number that the institution made for a user (claim 4) and send it to the user."""

    async def act(books: Books, issued: IssuedNumber) -> bytes:
        user = await books.user_named(digest_name(platform.keyring, issued.username.reveal()))
        if user is None:
            raise NotFound("no such user is enrolled at this institution")
        await numbers.set_by_back_end(
            Within(books),
            platform.keyring,
            platform.randomness,
            back_end=back_end,
            user_id=user.id,
            number=issued.number,
            now=arrival.at,
            tell=True,
        )
        return _DONE

    return await _answer(platform, arrival, sender, key, _number, act)


async def issue_value(
    platform: Platform, arrival: Arrival, back_end: BackEnd, *, sender: Sender, key: Verifier
) -> bytes:
    """Take a value that the institution issued when the payer registered there (claim 10)."""

    async def act(books: Books, issued: IssuedValue) -> bytes:
        if not 0 < issued.valid_for <= VALUE_VALID_MAX:
            raise FieldInvalid(f"a value is valid for 1 to {VALUE_VALID_MAX} seconds", field="valid_for")
        element = backend_element(platform.keyring.readable(Purpose.BLIND_INDEX), back_end.id, issued.value)
        until = Millis(arrival.at + issued.valid_for * 1000)
        await numbers.issue_value(Within(books), element=element, user_id=None, now=arrival.at, valid_until=until)
        return _DONE

    return await _answer(platform, arrival, sender, key, _value, act)


async def _answer(
    platform: Platform,
    arrival: Arrival,
    sender: Sender,
    key: Verifier,
    decoder: "msgspec.json.Decoder[_T]",
    act: Callable[[Books, _T], Awaitable[bytes]],
) -> bytes:
    verified = verify(arrival, sender, key)
    clear = open_envelope(read_envelope(arrival), arrival, verified, platform.opening_keys)
    content, asked = read_content(clear, decoder), bind(arrival.target) + clear

    async def work(books: Books) -> bytes:
        return await answer_once(books, platform.epochs, verified, asked, arrival.at, lambda: act(books, content))

    return await platform.store.transact(work)


def _plan(platform: Platform, new: NewPayment, owner: str, now: Millis) -> tuple[Payment, str, Contact]:
    if not EXPIRES_IN_MIN <= new.expires_in <= limits.ORDER_LIFE_MS // 1000:
        raise FieldInvalid(f"a payment waits {EXPIRES_IN_MIN} to {limits.ORDER_LIFE_MS // 1000} s", field="expires_in")
    policy = policies.find(platform.policies, new.policy)
    contact = Contact(phone=new.payer.phone, email=new.payer.email) if new.payer else Contact()
    if new.payer is not None:
        contact = normal_contact(contact)
    code = new_code(platform.randomness)
    payment = Payment(
        id=dated_id("pay", platform.randomness, now),
        policy=policy.name,
        element=code_element(platform.keyring.readable(Purpose.BLIND_INDEX), code),
        claimed=True,
        opened_at=now,
        expires_at=Millis(now + new.expires_in * 1000),
        owner=owner,
        order=read_order(new.order),
        allowed=tuple(normal_institution(institution) for institution in new.allowed),
        updated_at=now,
    )
    return protect_order(platform.keyring, payment), code, contact


async def _tell_code(platform: Platform, books: Books, contact: Contact, payment: Payment, code: str) -> None:
    payee = payment.order.payee if payment.order else ""
    text = f"Your code for the payment to {payee} is {code}. Enter it on both devices. Never tell it to a caller."
    for medium, address in ((Medium.SMS, contact.phone), (Medium.EMAIL, contact.email)):
        if address is not None:
            message = Message(address=address, subject="Your payment code", text=text)
            await books.add_notice(
                seal_notice(platform.keyring, platform.randomness, medium, message, payment.opened_at, urgent=True)
            )


async def _candidates(books: Books, payment: Payment | None) -> bytes:
    parts = await books.part_facts(payment.id) if payment is not None else []
    candidates = []
    for part in parts:
        if part.rival and part.fields:
            channel = await books.channel(part.channel_id)
            name = channel.name if channel else part.channel_id
            fields = tuple(sorted(part.fields))
            candidates.append(Candidate(part=part.id, channel=name, fields=fields, received_at=part.received_at))
    return msgspec.json.encode(Candidates(candidates=tuple(candidates)))
