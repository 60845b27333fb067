"""What this stage needs of a store and of a certification authority."""

from collections.abc import Sequence
from typing import Protocol

from tallystick.channels.model import (
    Anchor,
    ApiKey,
    Capability,
    CapabilityState,
    Channel,
    Enrolment,
    EnrolmentState,
    LimitKind,
    LimitRules,
    PinKey,
    PinToken,
    Proposal,
    RateLimit,
    Tally,
)
from tallystick.crypto.ca import Profile
from tallystick.crypto.versioned import VersionedKey
from tallystick.runtime import Millis


class ChannelBook(Protocol):
    """The registered channels."""

    async def channel(self, channel_id: str) -> Channel | None:
        """Find one channel."""
        ...

    async def channels(self) -> list[Channel]:
        """List all channels, by name."""
        ...

    async def add_channel(self, channel: Channel) -> None:
        """Register a channel; raises AlreadyExists when the id or the name is taken."""
        ...

    async def replace_channel(self, channel: Channel) -> None:
        """Store a changed channel; raises NotFound when it was never registered."""
        ...


class PinBook(Protocol):
    """PIN keys of channels, how far their devices counted, and tokens."""

    async def add_pin_key(self, key: PinKey) -> None:
        """Register a key; raises AlreadyExists when the name is taken, also by a retired one."""
        ...

    async def pin_key(self, name: str) -> PinKey | None:
        """Find a key, retired or not."""
        ...

    async def pin_keys(self, channel_id: str | None = None) -> list[PinKey]:
        """List a channel's keys that are not retired, or all keys, oldest first."""
        ...

    async def retire_pin_key(self, name: str, at: Millis) -> bool:
        """Take a key out of use; True if it was in use."""
        ...

    async def advance_pin_counter(self, key_name: str, device: str, counter: int) -> bool:
        """Note a device's counter; True if it is higher than any before."""
        ...

    async def add_pin_token(self, token: PinToken) -> None:
        """Add a token; raises AlreadyExists when the number is taken."""
        ...

    async def pin_token(self, token: str) -> PinToken | None:
        """Find a token."""
        ...

    async def use_pin_token(self, token: str, *, channel_id: str, part_id: str, payment_id: str, now: Millis) -> bool:
        """Give a token to a part and its payment; True if it was this channel's, unused and not over."""
        ...

    async def bind_pin_token(self, token: str, record: bytes) -> bool:
        """Keep the record of a used token; False when it has another one, or was never used."""
        ...

    async def purge_pin_tokens(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` tokens whose time is over; returns how many went."""
        ...


class EnrolmentBook(Protocol):
    """Invitations and the requests made with them."""

    async def add_enrolment(self, enrolment: Enrolment) -> None:
        """Add an invitation; raises AlreadyExists when the id is taken."""
        ...

    async def enrolment(self, enrolment_id: str) -> Enrolment | None:
        """Find one."""
        ...

    async def enrolments(self) -> list[Enrolment]:
        """List all, oldest first."""
        ...

    async def replace_enrolment(self, enrolment: Enrolment, *, expected: EnrolmentState) -> bool:
        """Store a changed one by compare-and-set on its state; True if it was `expected`."""
        ...

    async def purge_enrolments(self, now: Millis) -> int:
        """Delete those whose time is over; returns how many went."""
        ...


class CapabilityBook(Protocol):
    """Links to payers' pages, and the sessions started with them."""

    async def add_capability(self, capability: Capability) -> None:
        """Add an issued one; raises AlreadyExists when the id is taken."""
        ...

    async def capability(self, capability_id: str) -> Capability | None:
        """Find one by its own id."""
        ...

    async def page_session(self, session: str) -> Capability | None:
        """Find the one that a session was started with."""
        ...

    async def capabilities_of(self, payment_id: str) -> list[Capability]:
        """List those of a payment, oldest first."""
        ...

    async def replace_capability(self, capability: Capability, *, expected: CapabilityState) -> bool:
        """Store a changed one by compare-and-set on its state; True if it was `expected`."""
        ...

    async def purge_capabilities(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` whose link and session are both over; returns how many went."""
        ...


class ApiKeyBook(Protocol):
    """API keys: their digests, never the keys."""

    async def api_key(self, key_id: str) -> ApiKey | None:
        """Find one by its id."""
        ...

    async def api_keys(self) -> list[ApiKey]:
        """List all, oldest first, revoked and expired ones too: they say who could do what."""
        ...

    async def put_api_key(self, key: ApiKey) -> None:
        """Add a key, or replace the one of this id."""
        ...

    async def note_key_use(self, key_id: str, at: Millis) -> None:
        """Note when a key was used last; an earlier time than the one noted, and an unknown key, change nothing."""
        ...

    async def key_uses(self) -> dict[str, Millis]:
        """Return when each key was used last; a key never used is not in it."""
        ...


class ProposalBook(Protocol):
    """Proposals that wait for approval, and what became of the others."""

    async def proposal(self, proposal_id: str) -> Proposal | None:
        """Find one."""
        ...

    async def proposals(self, limit: int) -> list[Proposal]:
        """List the newest, newest first."""
        ...

    async def add_proposal(self, proposal: Proposal) -> None:
        """Add one; raises AlreadyExists when the id is taken."""
        ...

    async def replace_proposal(self, proposal: Proposal, *, was: Proposal) -> bool:
        """Store a changed one by compare-and-set on its MAC; False when it is not any more what it `was`."""
        ...


class LimitBook(Protocol):
    """Limits and counts."""

    async def limit_rules(self) -> LimitRules | None:
        """Read the limits an operator set; None before the first time."""
        ...

    async def put_limit_rules(self, rules: LimitRules) -> None:
        """Replace them."""
        ...

    async def add_tally(self, more: Tally) -> int:
        """Add to the count of this kind, subject and window, and return the new count."""
        ...

    async def add_tallies(self, more: Sequence[Tally]) -> list[int]:
        """Add to the counts of these kinds, subjects and windows, each at most once; return the new ones in order."""
        ...

    async def tallies(self, now: Millis) -> list[Tally]:
        """List the counts of all windows that are not over."""
        ...

    async def purge_tallies(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` counts of windows that are over; returns how many went."""
        ...


class Counter(Protocol):
    """Who counts requests against the limits."""

    def count(self, kind: LimitKind, subject: str | bytes) -> None:
        """Count one; raises TooMany when the limit of this window is passed: do nothing more for this request."""
        ...

    def limit(self, kind: LimitKind) -> RateLimit:
        """Return the limit of a kind that holds now."""
        ...


class AccessKeys(Protocol):
    """The keys that digest API keys and protect the rows about who may do what."""

    def active(self) -> VersionedKey:
        """Return the key to digest with now."""
        ...

    def version(self, version: int) -> VersionedKey:
        """Return the key of one version; raises KeyUnknown when it is destroyed or never was."""
        ...


class Sealer(Protocol):
    """Seal what stays in the store; what is sealed names its key."""

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal; `context` (made by `binding.bind`) says where the value lives."""
        ...

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Open; raises EnvelopeUnopenable."""
        ...


class AnchorBook(Protocol):
    """Outside authorities, and certificates that count no more."""

    async def add_anchor(self, anchor: Anchor) -> None:
        """Add an outside authority of an identity; raises AlreadyExists when the id is taken."""
        ...

    async def anchors(self) -> list[Anchor]:
        """List all, oldest first."""
        ...

    async def remove_anchor(self, anchor_id: str) -> bool:
        """Remove one; True if it was there."""
        ...

    async def deny(self, fingerprint: str, at: Millis) -> None:
        """Deny a certificate by its SHA-256 fingerprint; the first time counts."""
        ...

    async def undeny(self, fingerprint: str) -> bool:
        """Let a denied certificate count again; True if it was denied."""
        ...

    async def denied(self) -> dict[str, Millis]:
        """Return all denied fingerprints and since when."""
        ...


class Issuer(Protocol):
    """A certification authority."""

    def issue(self, csr_pem: bytes, profile: Profile, *, uri: str, dns: Sequence[str] = (), now: Millis) -> bytes:
        """Issue a certificate, with the life that the operator set, and return its chain as PEM.

        Raises Malformed, SignatureInvalid, FieldInvalid.
        """
        ...

    def valid(self, uri: str, now: Millis) -> int:
        """Count the certificates of an identity that are neither revoked nor over."""
        ...


class Certifier(Protocol):
    """An authority that certifies the platform itself: the embedded one, or an outside one by ACME (RFC 8555)."""

    async def certify(self, key_pem: bytes, names: tuple[str, ...], now: Millis) -> bytes:
        """Return the chain (PEM, leaf first) for a key and host names.

        Raises Unavailable (try again later) and Misconfigured (the operator must act first).
        """
        ...


class CertificateKeep(Protocol):
    """Where the platform's own certificate and its private key are."""

    def held(self) -> tuple[bytes, bytes] | None:
        """Return the chain and the private key (PEM), or None when either is missing."""
        ...

    def replace(self, chain: bytes, key: bytes) -> None:
        """Replace both, durably."""
        ...
