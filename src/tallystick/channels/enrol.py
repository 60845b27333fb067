"""Enrolment: how a party that has no certificate yet gets its first one (patent claim 33).

The operator invites an identity; the party sends its request with the token of that invitation; the operator, or the
token alone where the settings say so, approves; the party repeats its request and is given the chain.
"""

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from tallystick.channels.model import Enrolment, EnrolmentState
from tallystick.channels.ports import AnchorBook, EnrolmentBook, Issuer
from tallystick.channels.trust import require_vouched
from tallystick.crypto import ca, versioned
from tallystick.crypto.versioned import VersionedKey
from tallystick.crypto.x509 import alternative_names, key_digest, read_certificate
from tallystick.errors import CertificateWrongPurpose, Conflict, FieldInvalid, NotFound, TokenRefused
from tallystick.runtime import Clock, Millis, Randomness, new_id
from tallystick.secret import Secret

TOKEN_BYTES: Final = 16  # random bytes: 128 bits
TOKEN_MAX: Final = 128  # characters
WRONG_MAX: Final = 10  # wrong tokens under one invitation, then it is void
TTL_MAX_MS: Final = 30 * ca.DAY_MS  # ms an invitation may wait for its request
REQUEST_LIFE_MS: Final = 7 * ca.DAY_MS  # ms from the request until it is decided and its chain fetched


class AdoptionBook(EnrolmentBook, AnchorBook, Protocol):
    """What taking an outside authority's certificate reads and writes."""


class Invitation(NamedTuple):
    """An invitation just made; the token is in no other place."""

    enrolment: Enrolment
    token: Secret


def invitation(
    key: VersionedKey, clock: Clock, randomness: Randomness, *, uri: str, hosts: tuple[str, ...], ttl: int
) -> Invitation:
    """Make an invitation for one identity, valid `ttl` ms; `key` digests its token.

    Raises FieldInvalid for an identity, host or time that no certificate may have.
    """
    alternative_names(uri, hosts)
    if hosts and not ca.profile_of(uri).server:
        raise FieldInvalid("a channel answers for no host", field="dns")
    if not 0 < ttl <= TTL_MAX_MS:
        raise FieldInvalid(f"an invitation lives at most {TTL_MAX_MS // ca.DAY_MS} days", field="ttl")
    enrolment_id, secret = new_id("enr", randomness), randomness.token(TOKEN_BYTES)
    now = clock.now()
    enrolment = Enrolment(
        id=enrolment_id,
        uri=uri,
        hosts=hosts,
        digest=_digest(key, enrolment_id, secret),
        created_at=now,
        expires_at=Millis(now + ttl),
    )
    return Invitation(enrolment, Secret(f"{enrolment_id}.{urlsafe_b64encode(secret).decode().rstrip('=')}"))


async def present(book: EnrolmentBook, keys: Sequence[VersionedKey], token: Secret, now: Millis) -> Enrolment | None:
    """Return the invitation that a token opens, or None: a caller learns nothing more.

    1. The token has the form of one and names an invitation that is not over.
    2. Fewer than WRONG_MAX wrong tokens were tried under this invitation.
    3. Its secret is the invitation's, compared in constant time under the key its digest names (one of
       `keys`); a wrong one is counted.

    None is a value and no error, so that the caller's transaction keeps the count of 3.
    """
    # 1.
    enrolment_id, secret = _split(token)
    found = await book.enrolment(enrolment_id)
    if found is None or now >= found.expires_at:
        return None
    # 2.
    if found.wrong >= WRONG_MAX:
        return None
    # 3.
    made = [_digest(key, enrolment_id, secret) for key in keys]
    if not any(hmac.compare_digest(digest, found.digest) for digest in made):
        await book.replace_enrolment(replace(found, wrong=found.wrong + 1), expected=found.state)
        return None
    return found


async def submit(
    book: EnrolmentBook, found: Enrolment, csr: bytes, now: Millis, *, issuer: Issuer | None = None
) -> Enrolment:
    """Take the request made with an invitation that `present` returned, and say where it stands.

    1. The token is used once: another request under it is refused as TokenRefused, the same one only asks again.
    2. The request is of bounded size, readable, signed by its own key, which is strong: Malformed, SignatureInvalid,
       FieldInvalid; the token stays unused.
    3. The identity stays the invitation's: nothing of the request but its public key is used.

    With `issuer` the token alone approves. Left to the caller: `present` in the same transaction, and to hand out
    `chain` to nobody else.
    """
    # 1.
    if found.state is not EnrolmentState.INVITED:
        if not hmac.compare_digest(csr, found.csr or b""):
            raise TokenRefused("this token opens no request")
        return found
    # 2.
    fingerprint = ca.check_request(csr)
    # 3.
    asked = replace(
        found, state=EnrolmentState.PENDING, csr=csr, key=fingerprint, expires_at=Millis(now + REQUEST_LIFE_MS)
    )
    await book.replace_enrolment(asked, expected=EnrolmentState.INVITED)
    return asked if issuer is None else await approve(book, asked.id, issuer, now)


async def approve(book: EnrolmentBook, enrolment_id: str, issuer: Issuer, now: Millis) -> Enrolment:
    """Issue the certificate of a request that waits; NotFound, Conflict, and the errors of `Issuer.issue`.

    It is issued inside the caller's transaction, so that of two approvals one issues; should the commit fail, a
    certificate that nobody got stands in the authority's index.
    """
    asked = await _pending(book, enrolment_id, now)
    profile = ca.profile_of(asked.uri)
    chain = issuer.issue(asked.csr or b"", profile, uri=asked.uri, dns=asked.hosts, now=now)
    issued = replace(asked, state=EnrolmentState.ISSUED, chain=chain)
    await book.replace_enrolment(issued, expected=EnrolmentState.PENDING)
    return issued


async def adopt(book: AdoptionBook, enrolment_id: str, chain: bytes, now: Millis) -> Enrolment:
    """Take the chain that an outside authority issued for a request that waits; the party fetches it with its token.

    1. The request waits: NotFound, Conflict.
    2. The leaf is for the key of the request, whose holder proved to have it: FieldInvalid.
    3. It is this identity's, by an anchor that is set for it, and valid now: CertificateWrongPurpose.
    4. It serves what the profile is for, and answers for every host of the invitation: CertificateWrongPurpose.

    Raises Malformed when the chain cannot be read. Left to the listener: revocation, on every request.
    """
    # 1.
    asked = await _pending(book, enrolment_id, now)
    # 2.
    leaf = read_certificate(chain)
    if asked.key is None or not hmac.compare_digest(key_digest(chain), asked.key):
        raise FieldInvalid("the certificate is not for the key of this request", field="chain")
    # 3.
    require_vouched([each for each in await book.anchors() if each.uri == asked.uri], leaf, now)
    # 4.
    profile = ca.profile_of(asked.uri)
    wanted = {"client"} | ({"server"} if profile.server else set())
    if not wanted <= leaf.purposes or not set(asked.hosts) <= set(leaf.hosts):
        raise CertificateWrongPurpose("the certificate lacks a purpose or a host name of this identity")
    adopted = replace(asked, state=EnrolmentState.ISSUED, chain=chain)
    await book.replace_enrolment(adopted, expected=EnrolmentState.PENDING)
    return adopted


async def reject(book: EnrolmentBook, enrolment_id: str, now: Millis) -> Enrolment:
    """Refuse a request that waits, or withdraw an invitation; NotFound, Conflict."""
    found = await _find(book, enrolment_id, now)
    if found.state not in {EnrolmentState.INVITED, EnrolmentState.PENDING}:
        raise Conflict(f"this request is {found.state.value} already")
    rejected = replace(found, state=EnrolmentState.REJECTED)
    await book.replace_enrolment(rejected, expected=found.state)
    return rejected


async def _pending(book: EnrolmentBook, enrolment_id: str, now: Millis) -> Enrolment:
    found = await _find(book, enrolment_id, now)
    if found.state is not EnrolmentState.PENDING:
        raise Conflict(f"this request is not waiting but {found.state.value}")
    return found


async def _find(book: EnrolmentBook, enrolment_id: str, now: Millis) -> Enrolment:
    found = await book.enrolment(enrolment_id)
    if found is None or now >= found.expires_at:
        raise NotFound("no request has this id, or its time is over")
    return found


def _split(token: Secret) -> tuple[str, bytes]:
    """Divide a token; one of another form becomes that of no invitation."""
    text = token.reveal()
    enrolment_id, _, secret = text.partition(".") if len(text) <= TOKEN_MAX else ("", "", "")
    try:
        return enrolment_id, urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    except (binascii.Error, ValueError):
        return "", b""


def _digest(key: VersionedKey, enrolment_id: str, secret: bytes) -> bytes:
    return versioned.digest(key, "enrolment", enrolment_id, secret.hex())
