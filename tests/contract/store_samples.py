"""Rows for the store contract; every sample takes the fields that matter to the test."""

from collections.abc import Awaitable, Callable
from typing import Any

from tallystick.assembly.facts import ElementKind, Order
from tallystick.assembly.model import Element, Part, Payment
from tallystick.channels.model import Channel, ChannelKind, ChannelState
from tallystick.delivery.books import Books, Store
from tallystick.delivery.model import Intent, MessageIds, Node, NodeKind
from tallystick.routing.model import BackEnd, Status
from tallystick.runtime import Millis
from tallystick.vault.model import Medium, Notice, StoredCredential, User

AnyStore = Store[Books]
Work = Callable[[Books], Awaitable[Any]]

ORDER = Order(payee="Bookshop", amount=1999, currency="CNY", reference="order 7")


def at(ms: int) -> Millis:
    return Millis(ms)


def element(
    digest: bytes = b"digest", kind: ElementKind = ElementKind.PHONE, institution: str | None = None
) -> Element:
    return Element(kind=kind, digest=digest, institution=institution)


def payment(payment_id: str = "pay_1", **fields: Any) -> Payment:
    fields = {"element": element(payment_id.encode()), "opened_at": 1_000, "expires_at": 5_000, **fields}
    return Payment(**{"id": payment_id, "policy": "card", "claimed": True, "updated_at": fields["opened_at"], **fields})


def node(node_id: str = "node_a", **fields: Any) -> Node:
    usual = {"kind": NodeKind.SERVE, "name": "host:1", "place": "boot/1/2", "release": "0.5", "started_at": 1_000}
    return Node(**{"id": node_id, "lease_until": 16_000, **usual} | fields)


def part(part_id: str = "part_1", payment_id: str = "pay_1", **fields: Any) -> Part:
    usual = {"channel_id": "ch_pc", "certificate": "c0ffee", "fields": frozenset({"pan", "expiry"})}
    return Part(
        **{"id": part_id, "payment_id": payment_id, "received_at": 1_000, "epoch": "e1", "sealed": b"sealed", **usual}
        | fields
    )


def channel(channel_id: str = "ch_pc", **fields: Any) -> Channel:
    usual = {
        "id": channel_id,
        "name": f"Channel {channel_id}",
        "kind": ChannelKind.PC_BROWSER,
        "state": ChannelState.ACTIVE,
        "fields": frozenset({"pan", "expiry"}),
        "proves_payer": True,
        "algorithm": "hmac-sha256",
        "sealed_key": b"sealed key",
        "created_at": 1_000,
    }
    return Channel(**usual | fields)


def back_end(institution: str = "12345678", **fields: Any) -> BackEnd:
    usual = {"name": f"Bank {institution}", "connector": "iso8583", "schemes": frozenset({"unionpay", "visa"})}
    return BackEnd(**{"id": institution, "status": Status.ACTIVE, **usual} | fields)


def user(user_id: str = "usr_1", **fields: Any) -> User:
    usual = {
        "id": user_id,
        "name_digest": user_id.encode(),
        "salt": b"salt",
        "kdf": "argon2id$3$65536$4",
        "verifier": b"verifier",
        "wrapped_key": b"wrapped",
        "sealed_contact": b"contact",
        "created_at": 1_000,
    }
    return User(**usual | fields)


def credential(user_id: str = "usr_1", institution: str = "12345678", **fields: Any) -> StoredCredential:
    return StoredCredential(
        **{"user_id": user_id, "institution": institution, "sealed": b"sealed", "created_at": 1_000} | fields
    )


def notice(notice_id: str = "ntc_1", **fields: Any) -> Notice:
    return Notice(
        **{"id": notice_id, "medium": Medium.SMS, "sealed": b"sealed", "created_at": 1_000, "due_at": 1_000} | fields
    )


def intent(payment_id: str = "pay_1", n: int = 1, **fields: Any) -> Intent:
    ids = MessageIds(stan="000001", rrn="612300000001", key="req_1", at=at(2_000))
    usual = {"back_end": "12345678", "ids": ids, "table_version": 3, "digest": b"request"}
    return Intent(**{"payment_id": payment_id, "n": n, **usual} | fields)
