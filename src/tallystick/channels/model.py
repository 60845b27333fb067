"""Channels: the registered ways a part may reach the platform (patent claim 1)."""

from enum import StrEnum

from msgspec import Struct

from tallystick.runtime import Millis


class ChannelKind(StrEnum):
    """What a channel is for the payer."""

    PC_BROWSER = "pc_browser"
    MOBILE = "mobile"
    BANK_APP = "bank_app"
    MERCHANT = "merchant"
    VOICE = "voice"


class ChannelState(StrEnum):
    """Whether a channel may send."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Channel(Struct, frozen=True, kw_only=True):
    """One registered channel; its identity is the SAN URI `tallystick:channel:<id>` of its certificate.

    `fields` are the field names it may send. `proves_payer` marks a channel that has proven who its user is (a bank
    app): it may settle a quarantine. `sealed_key` is its verification key (HMAC secret or public key PEM), sealed.
    """

    id: str
    name: str
    kind: ChannelKind
    state: ChannelState
    fields: frozenset[str]
    proves_payer: bool
    algorithm: str
    sealed_key: bytes
    created_at: Millis
