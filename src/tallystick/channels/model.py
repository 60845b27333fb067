"""Channels (claim 1), how a party gets its certificate (33), links that make a page a channel, and API keys."""

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
    After a rotation `earlier_key` counts as well until `earlier_until`; `key_since` is when
    it was, None for the first key.
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
    earlier_key: bytes | None = None
    earlier_until: Millis | None = None
    key_since: Millis | None = None


class PinScheme(StrEnum):
    """How the key of a PIN block comes about."""

    FIXED = "fixed"
    """One key, agreed once; for links whose messages are protected against replay themselves."""
    DUKPT_AES = "dukpt-aes"
    """ANSI X9.24-3: a key for each transaction, named by a serial number of 12 bytes."""
    DUKPT_TDES = "dukpt-tdes"
    """ANSI X9.24-1: the same for older terminals, 10 bytes."""


class PinKey(Struct, frozen=True, kw_only=True):
    """The key under which one channel sends PIN blocks, as a key block that only the PIN process opens."""

    name: str
    channel_id: str
    scheme: PinScheme
    key_block: str
    created_at: Millis
    retired_at: Millis | None = None


class PinToken(Struct, frozen=True, kw_only=True):
    """A number that stands for a card number in one PIN block.

    It is given to a channel, then used by one part of one payment; `record` binds it to the card (`crypto.pin_token`).
    """

    token: str
    channel_id: str
    issued_at: Millis
    expires_at: Millis
    part_id: str | None = None
    payment_id: str | None = None
    record: bytes | None = None


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


class PageKind(StrEnum):
    """Which of the payer's two pages a link opens; each is a channel of its own."""

    PC = "pc"
    PHONE = "phone"


class CapabilityState(StrEnum):
    """Where a capability stands: ISSUED → STARTED → WATCHING (handed to another person) or ENDED (replaced, over)."""

    ISSUED = "issued"
    STARTED = "started"
    WATCHING = "watching"
    ENDED = "ended"


class Capability(Struct, frozen=True, kw_only=True):
    """One link to one page of one payment, and the one session that was started with it.

    `id` and `sealed_key` (the MAC key, sealed) are derived from the link's secret, which no store holds. The session
    has an id and a sealed MAC key of its own; `device` and `network` are keyed digests of what the start came from.
    `until` is when the session ends.
    """

    id: str
    payment_id: str
    kind: PageKind
    sealed_key: bytes
    issued_at: Millis
    expires_at: Millis
    state: CapabilityState = CapabilityState.ISSUED
    session: str | None = None
    session_key: bytes | None = None
    device: bytes | None = None
    network: bytes | None = None
    started_at: Millis | None = None
    until: Millis | None = None


class Role(StrEnum):
    """What the holder of a key is for the platform; PCI DSS 7.2: no more than the work needs."""

    OPERATOR = "operator"
    APPROVER = "approver"
    AUDITOR = "auditor"
    MERCHANT = "merchant"


class Scope(StrEnum):
    """What a key may be used for.

    `order` creates a payment and supplies the holder's own half of it; no scope at all completes a payment, for the
    other half comes over a channel that no API key speaks for.
    """

    ORDER = "order"
    READ = "read"
    REFUND = "refund"
    ADMIN = "admin"
    APPROVE = "approve"


class ApiKey(Struct, frozen=True, kw_only=True):
    """One key of a holder: a merchant's, for the merchants' API, or an operator's, for the commands.

    The secret is in no place but with its holder: `digest` is its keyed digest. `holder` stays when keys are rotated,
    so what belongs to a holder belongs to none of its keys. `mac` covers all members but itself: a row that was edited
    in the database opens nothing.
    """

    id: str
    holder: str
    role: Role
    scopes: frozenset[Scope]
    live: bool
    digest: bytes
    created_at: Millis
    expires_at: Millis
    revoked_at: Millis | None = None
    mac: bytes = b""


class Principal(Struct, frozen=True, kw_only=True):
    """Who a proven API key speaks for, and what it may do."""

    holder: str
    key_id: str
    role: Role
    scopes: frozenset[Scope]
    live: bool


class ProposalKind(StrEnum):
    """What a proposal is about; each kind asks for other people, or does not, by the settings."""

    KEYS = "keys"
    CA = "ca"
    LIMITS = "limits"
    OPERATORS = "operators"


class ProposalState(StrEnum):
    """Where a proposal stands; only an open one can still count."""

    OPEN = "open"
    APPLIED = "applied"
    REJECTED = "rejected"


class Approval(Struct, frozen=True, kw_only=True):
    """One person's yes."""

    by: str
    at: Millis


class Proposal(Struct, frozen=True, kw_only=True):
    """What one person wants done and others approve: `action` of `kind` with `subject`.

    `base` says what the action would change, as it was when proposed; `required` is how many approve, `mac` covers all
    other members, so that no approval is added in the database.
    """

    id: str
    kind: ProposalKind
    action: str
    subject: dict[str, str]
    base: str
    author: str
    note: str
    at: Millis
    required: int
    approvals: tuple[Approval, ...] = ()
    state: ProposalState = ProposalState.OPEN
    decided_by: str | None = None
    decided_at: Millis | None = None
    mac: bytes = b""


class LimitKind(StrEnum):
    """What is counted: all of one channel, one element, one card or account, one network address.

    `network` counts addresses with a client certificate, `visitor` those that need none, `enrolment` those that ask
    for one, `caller` those that call the merchants' API, `holder` whose key they call it with, and
    `contact` codes sent to one phone number or e-mail address.
    """

    CHANNEL = "channel"
    ELEMENT = "element"
    CREDENTIAL = "credential"
    NETWORK = "network"
    VISITOR = "visitor"
    ENROLMENT = "enrolment"
    CALLER = "caller"
    HOLDER = "holder"
    CONTACT = "contact"


class RateLimit(Struct, frozen=True, kw_only=True):
    """At most `count` in each window of `window` ms; windows begin at multiples of their length."""

    count: int
    window: int


class LimitRules(Struct, frozen=True, kw_only=True):
    """The limits an operator set, those built in for all others; `mac` covers all other members."""

    limits: dict[LimitKind, RateLimit]
    author: str
    at: Millis
    mac: bytes = b""


class Tally(Struct, frozen=True, kw_only=True):
    """How often something was counted in the window that begins at `window` and is over at `ends_at`.

    `subject` is a keyed digest or a part of one: never the thing itself.
    """

    kind: LimitKind
    subject: bytes
    window: Millis
    ends_at: Millis
    count: int


class Anchor(Struct, frozen=True, kw_only=True):
    """An outside authority that may vouch for one identity, `uri`; while there is one, no other authority may.

    `bundle` holds its root and every authority below it, PEM. `lists` are where its revocation lists are, each an http
    or https URL or an absolute path; empty when the operator does without. For certificates without a `tallystick:`
    URI, `fingerprint` (SHA-256, hexadecimal) or `subject` (RFC 4514) says which one is this identity's.
    """

    id: str
    uri: str
    bundle: bytes
    lists: tuple[str, ...] = ()
    fingerprint: str | None = None
    subject: str | None = None
    created_at: Millis
