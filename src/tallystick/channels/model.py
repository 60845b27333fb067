"""Channels: the registered ways a part may reach the platform (claim 1), and how a party gets its certificate (33)."""

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


class EnrolmentState(StrEnum):
    """Where an invitation stands."""

    INVITED = "invited"
    PENDING = "pending"
    ISSUED = "issued"
    REJECTED = "rejected"


class Enrolment(Struct, frozen=True, kw_only=True):
    """One invitation and the one request that was made with it (patent claim 33).

    `uri` and `hosts` are what the operator invited, never what a request says. `digest` is the keyed digest of the
    token, `wrong` counts wrong ones. `csr` and `key` (SHA-256 of its public key) come with the request, `chain` with
    the approval.
    """

    id: str
    uri: str
    hosts: tuple[str, ...] = ()
    digest: bytes
    state: EnrolmentState = EnrolmentState.INVITED
    wrong: int = 0
    created_at: Millis
    expires_at: Millis
    csr: bytes | None = None
    key: str | None = None
    chain: bytes | None = None
