"""Turn an opened part's content into values, element and order, all checked."""

from collections.abc import Mapping
from typing import assert_never

from msgspec import Struct

from tallystick.assembly import policy as policies
from tallystick.assembly.content import PartValues, decode_share
from tallystick.assembly.element import BlindKeys, backend_element, code_element, institution_element, phone_element
from tallystick.assembly.facts import Order, OrderLine
from tallystick.assembly.model import Element, SplitPolicy
from tallystick.channels.model import Channel
from tallystick.errors import FieldInvalid, FieldNotAllowed
from tallystick.security.fields import check_fields, warnings
from tallystick.security.orders import check_order
from tallystick.wire.part import (
    BackEndElement,
    CodeElement,
    InstitutionElement,
    PageElement,
    PartContent,
    PhoneElement,
    WireElement,
    WireLine,
    WireOrder,
)

SHARE_FIELD = "share"
"""The field name by which a channel is allowed to send shares."""


class Intake(Struct, frozen=True, kw_only=True):
    """A part ready to be filed; `names` are the field names rivals are found by."""

    policy: SplitPolicy
    element: Element
    values: PartValues
    names: frozenset[str]
    warnings: tuple[str, ...]


def take_in(
    content: PartContent,
    channel: Channel,
    table: Mapping[str, SplitPolicy],
    blind_keys: BlindKeys,
    page: Element | None = None,
) -> Intake:
    """Check an opened part; `page` is the element of the payment that a page session is for.

    1. The policy exists: PolicyUnknown.
    2. Every value has the right form, and a page names no element but its own: FieldInvalid names the field.
    3. The names fit exactly one part of the policy: FieldInvalid.
    4. The channel may send each of them: FieldNotAllowed.
    """
    # 1.
    policy = policies.find(table, content.policy)
    # 2.
    element = _page_element(content.element, page) if page else read_element(content.element, blind_keys)
    order = read_order(content.order) if content.order else None
    fields = check_fields(content.fields)
    if content.share is not None:
        if fields:
            raise FieldInvalid("a part holds fields or a share, never both", field="share")
        decode_share(content.share.data.reveal())
        fields = {policies.share_field(content.share.index): content.share.data}
    # 3.
    policies.check_part(policy, frozenset(fields))
    # 4.
    sent = {SHARE_FIELD} if content.share else set(fields)
    if order is not None:
        sent.add(policies.ORDER_FIELD)
    if not sent <= channel.fields:
        raise FieldNotAllowed("this channel may not send one of these fields", field=min(sent - channel.fields))
    names = frozenset(fields) | ({policies.ORDER_FIELD} if order else frozenset())
    return Intake(
        policy=policy,
        element=element,
        values=PartValues(fields=fields, order=order, element=element.digests),
        names=names,
        warnings=warnings(fields),
    )


def read_element(element: WireElement, blind_keys: BlindKeys) -> Element:
    """Reduce a correlation element to its digest; raises FieldInvalid."""
    match element:
        case PhoneElement():
            return phone_element(blind_keys, element.phone)
        case CodeElement():
            return code_element(blind_keys, element.code)
        case InstitutionElement():
            return institution_element(blind_keys, element.institution, element.number)
        case BackEndElement():
            return backend_element(blind_keys, element.institution, element.value)
        case PageElement():
            raise FieldInvalid("only a page's session has this element", field="element")
        case _:
            assert_never(element)


def _page_element(element: WireElement, own: Element) -> Element:
    if not isinstance(element, PageElement):
        raise FieldInvalid("a page sends parts of its own payment only", field="element")
    return own


def read_order(order: WireOrder) -> Order:
    """Check an order; raises FieldInvalid."""
    checked = check_order(order)
    return Order(
        payee=checked.payee,
        amount=checked.amount,
        currency=checked.currency,
        reference=checked.reference,
        lines=tuple(OrderLine(text=each.text, quantity=each.quantity, amount=each.amount) for each in checked.lines),
    )


def write_order(order: Order) -> WireOrder:
    """Return an order as it is sent."""
    return WireOrder(
        payee=order.payee,
        amount=order.amount,
        currency=order.currency,
        reference=order.reference,
        lines=tuple(WireLine(text=each.text, quantity=each.quantity, amount=each.amount) for each in order.lines),
    )
