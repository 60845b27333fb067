"""The JSON between a payer's page and its listener; parts go as in `wire/part.py`."""

from typing import Final

from msgspec import Struct

from tallystick.wire.part import WireLine

START: Final = "/page/session"
STATE: Final = "/page/payment"
EVENTS: Final = "/page/events"
PARTS: Final = "/page/parts"
DECLINE: Final = "/page/decline"
PHONE: Final = "/page/phone"
HAND_OVER: Final = "/page/handover"


class StartSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a session's start, signed under the link's key; `nonce` is the page's own, 32 hex digits."""

    nonce: str


class PageOrder(Struct, frozen=True, kw_only=True):
    """What is paid, as the payer is shown it and as every part of it is bound; `asks` names who created the payment."""

    payee: str
    amount: int
    currency: str
    reference: str
    asks: str
    lines: tuple[WireLine, ...] = ()


class PageField(Struct, frozen=True, kw_only=True):
    """One field that this page asks for."""

    name: str
    required: bool


class PageChoice(Struct, frozen=True, kw_only=True):
    """A back end that the payer may pick; with `numbered` it wants the payer's number."""

    id: str
    name: str
    numbered: bool


class PageStatus(Struct, frozen=True, kw_only=True):
    """Where the payment stands, as its pages are told: never what the other page sent, nor whether it was right.

    `state`: `waiting`, `processing`, or a state that senders are told. `sent` says that this page's part is there,
    `number` is the phone's match number once one has joined, `watching` that another person pays.
    """

    state: str
    final: bool
    sent: bool
    watching: bool
    expires_at: int
    number: int | None = None


class PageView(Struct, frozen=True, kw_only=True):
    """The answer to a session's start: all that the page shows and needs.

    `bound` are the texts a part's envelope is bound to, `keys` is the published key list (compact JWS), `return_url` is
    where the shop wants the payer back, `choices` are the back ends for the field `institution`.
    """

    session: str
    payment: str
    order: PageOrder
    bound: tuple[str, ...]
    policy: str
    fields: tuple[PageField, ...]
    other: tuple[str, ...]
    keys: str
    now: int
    status: PageStatus
    return_url: str | None = None
    choices: tuple[PageChoice, ...] = ()


class PageLink(Struct, frozen=True, kw_only=True):
    """A fresh link to another page: `url` as text and as the rows of a QR code (`1` is dark), perhaps a typed code."""

    url: str
    qr: tuple[str, ...]
    expires_at: int
    code: str | None = None
    origin: str | None = None
