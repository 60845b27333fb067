"""Messages as a channel of a memory platform sends them: sealed, signed, and wrong wherever a test wants them wrong."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tallystick.crypto import hpke, httpsig, jose
from tallystick.crypto.hpke import Suite
from tallystick.path import Accepted, accept
from tallystick.runtime import Millis
from tallystick.secret import Secret
from tallystick.security.model import Arrival
from tallystick.security.unseal import MEDIA_TYPE, info_of
from tallystick.security.verify import COVERED_WITH_BODY, IDEMPOTENCY_HEADER, Verified
from tallystick.testing.platform import HPKE_KEY, Member, MemoryPlatform
from tallystick.wire.keys import PublishedKey
from tallystick.wire.part import SealedMessage

PARTS: Final = "/v1/parts"


def arrival_of(
    world: MemoryPlatform,
    member: Member,
    content: object,
    *,
    target: str = PARTS,
    key_id: str = HPKE_KEY,
    nonce: str | None = None,
    idempotency_key: str | None = None,
    payment: str | None = None,
    bound: tuple[str, ...] = (),
    envelope: Mapping[str, Any] | None = None,
    clock_off_ms: int = 0,
) -> Arrival:
    """Return the request of `member` that carries `content`: a struct, plain JSON data, or the very bytes.

    Nonce and Idempotency-Key are fresh unless given. `payment` names a created payment and `bound` is what its envelope
    is bound to; `envelope` overwrites fields of the outer JSON; `clock_off_ms` is how far the sender's clock is ahead.
    """
    stated = Verified(
        sender=member.channel.id,
        nonce=nonce or world.randomness.token(16).hex(),
        created=(world.clock.now() + clock_off_ms) // 1000,
        idempotency_key=idempotency_key or world.randomness.token(16).hex(),
    )
    clear = content if isinstance(content, bytes) else msgspec.json.encode(content, enc_hook=_reveal)
    key = world.opening_keys.keys[key_id]
    outer = SealedMessage(
        v=1,
        key_id=key_id,
        format=key.format,
        sealed=_seal(key, clear, info_of(target, key_id, stated, bound)),
        payment=payment,
    )
    body = msgspec.json.encode({**msgspec.to_builtins(outer), **(envelope or {})})
    return sign(world, member, body, stated, target=target)


def sign(world: MemoryPlatform, member: Member, body: bytes, stated: Verified, *, target: str = PARTS) -> Arrival:
    """Return the signed POST of `body`, arriving now."""
    headers = {"content-type": MEDIA_TYPE, IDEMPOTENCY_HEADER: stated.idempotency_key}
    signature = httpsig.sign_request(
        member.key,
        keyid=member.channel.id,
        method="POST",
        target=target,
        body=body,
        headers=headers,
        covered=COVERED_WITH_BODY,
        created=stated.created,
        nonce=stated.nonce,
    )
    return Arrival(
        method="POST", target=target, headers={**headers, **signature}, body=body, at=Millis(world.clock.now())
    )


async def send_part(world: MemoryPlatform, member: Member, content: object, **how: Any) -> Accepted:
    """Send one part over the path; `how` as for `arrival_of`."""
    return await give(world, member, arrival_of(world, member, content, **how))


async def give(world: MemoryPlatform, member: Member, arrival: Arrival) -> Accepted:
    """Give an arrival to the path as the gateway does."""
    return await accept(
        world.platform,
        arrival,
        channel=member.channel,
        certificate=member.certificate,
        sender=member.sender,
        key=member.key,
    )


def _seal(key: PublishedKey, clear: bytes, info: bytes) -> str:
    if isinstance(key.public, dict):
        return jose.seal_jwe(key.public, clear, info)
    public = _raw(key.public)
    return urlsafe_b64encode(hpke.seal(Suite(key.suite), public, clear, info)).decode().rstrip("=")


def _raw(public: str) -> bytes:
    return urlsafe_b64decode(public + "=" * (-len(public) % 4))


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError
