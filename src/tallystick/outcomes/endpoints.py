"""Register where a channel gets webhooks, and keep the secrets they are signed with."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tallystick.crypto import webhooks
from tallystick.delivery.books import Store
from tallystick.errors import EnvelopeUnopenable, FieldInvalid, Misconfigured, NotFound, TooMany
from tallystick.outcomes.model import Endpoint, EndpointState, SigningSecret
from tallystick.outcomes.ports import OutcomeBooks
from tallystick.runtime import Clock, Millis, Randomness, new_id
from tallystick.secret import Secret
from tallystick.security.kept import Kept, place
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import seal, unseal

NEW_SECRET_BYTES: Final = 32  # bytes
OVERLAP_MS: Final = 24 * 3_600_000  # ms an old secret signs along after a rotation
SECRETS_MAX: Final = 3  # secrets valid at once; a fourth ends the oldest
ENDPOINTS_MAX: Final = 16  # endpoints of one channel
URL_MAX: Final = 2_048  # characters
BY_OPERATOR: Final = "by_operator"


class NewSecret(Struct, frozen=True, kw_only=True):
    """An endpoint with the secret made for it just now: hand it to the receiver by a safe way, it is shown once."""

    endpoint: Endpoint
    secret: Secret


async def add(
    store: Store[OutcomeBooks], keyring: Keyring, clock: Clock, randomness: Randomness, *, channel_id: str, url: str
) -> NewSecret:
    """Register an endpoint; raises NotFound for an unknown channel, FieldInvalid for the address, TooMany."""
    check_url(url)
    now = clock.now()
    endpoint = Endpoint(id=new_id("we", randomness), channel_id=channel_id, url=url, sealed=b"", created_at=now)
    return await _with_new_secret(store, keyring, randomness, now, endpoint, new=True)


async def rotate(
    store: Store[OutcomeBooks], keyring: Keyring, clock: Clock, randomness: Randomness, endpoint_id: str
) -> NewSecret:
    """Make a new secret for an endpoint; the old one signs along for `OVERLAP_MS`. Raises NotFound."""
    endpoint = await store.read(lambda books: find(books, endpoint_id))
    return await _with_new_secret(store, keyring, randomness, clock.now(), endpoint, new=False)


async def enable(store: Store[OutcomeBooks], endpoint_id: str) -> Endpoint:
    """Let an endpoint get webhooks of what happens from now on; dead ones wait for `redeliver`. Raises NotFound."""

    async def work(books: OutcomeBooks) -> Endpoint:
        enabled = replace(await find(books, endpoint_id), state=EndpointState.ACTIVE, reason=None)
        await books.put_endpoint(enabled)
        return enabled

    return await store.transact(work)


async def disable(store: Store[OutcomeBooks], endpoint_id: str, reason: str = BY_OPERATOR) -> Endpoint:
    """Send nothing more to an endpoint; what waits for it is dead until somebody sends it again. Raises NotFound."""
    return await store.transact(lambda books: close(books, endpoint_id, reason))


async def close(books: OutcomeBooks, endpoint_id: str, reason: str) -> Endpoint:
    """Disable an endpoint inside a transaction."""
    disabled = replace(await find(books, endpoint_id), state=EndpointState.DISABLED, reason=reason)
    await books.put_endpoint(disabled)
    await books.bury_webhooks(endpoint_id, f"endpoint disabled: {reason}")
    return disabled


async def find(books: OutcomeBooks, endpoint_id: str) -> Endpoint:
    """Find an endpoint; raises NotFound."""
    endpoint = await books.endpoint(endpoint_id)
    if endpoint is None:
        raise NotFound("no webhook endpoint has this id")
    return endpoint


def secrets_of(keyring: Keyring, endpoint: Endpoint, now: Millis) -> Sequence[Secret]:
    """Return the secrets that sign now, newest first; raises Misconfigured when the row or the key is damaged."""
    return [each.secret for each in _valid(_open(keyring, endpoint), now)]


def check_url(url: str) -> None:
    """Refuse an address that no webhook may go to; raises FieldInvalid.

    1. It is https: what a webhook tells is for the receiver only.
    2. It names a host, and no user: credentials in an address end up in logs.
    3. It has no fragment, no blanks or control characters, and a bounded length.
    Left to the sender, at each send: where the host's addresses are.
    """
    try:
        parts = urlsplit(url)
        host, named = parts.hostname, parts.username or parts.password
        _ = parts.port
    except ValueError:
        raise FieldInvalid("this is no address", field="url") from None
    # 1.
    if parts.scheme != "https":
        raise FieldInvalid("a webhook goes to an https address", field="url")
    # 2.
    if not host or named or "@" in parts.netloc:
        raise FieldInvalid("a webhook's address names a host and no user", field="url")
    # 3.
    plain = url.isascii() and url.isprintable() and " " not in url
    if "#" in url or not plain or len(url) > URL_MAX:
        raise FieldInvalid(
            f"a webhook's address has at most {URL_MAX} ASCII characters, no blank and no fragment", field="url"
        )


async def _with_new_secret(
    store: Store[OutcomeBooks], keyring: Keyring, randomness: Randomness, now: Millis, endpoint: Endpoint, *, new: bool
) -> NewSecret:
    made = SigningSecret(secret=webhooks.write_secret(randomness.token(NEW_SECRET_BYTES)), created_at=now)

    async def work(books: OutcomeBooks) -> NewSecret:
        if new:
            await _require_room(books, endpoint.channel_id)
            current, older = endpoint, []
        else:
            current = await find(books, endpoint.id)
            older = [_ending(each, now) for each in _valid(_open(keyring, current), now)]
        kept = (made, *older[: SECRETS_MAX - 1])
        sealed = replace(current, sealed=_seal(keyring, endpoint.id, kept))
        await books.put_endpoint(sealed)
        return NewSecret(endpoint=sealed, secret=made.secret)

    return await store.transact(work)


async def _require_room(books: OutcomeBooks, channel_id: str) -> None:
    if await books.channel(channel_id) is None:
        raise NotFound("no channel has this id")
    if sum(each.channel_id == channel_id for each in await books.endpoints()) >= ENDPOINTS_MAX:
        raise TooMany(f"a channel has at most {ENDPOINTS_MAX} webhook endpoints")


def _valid(secrets: Sequence[SigningSecret], now: Millis) -> list[SigningSecret]:
    return [each for each in secrets if each.until is None or each.until > now]


def _ending(secret: SigningSecret, now: Millis) -> SigningSecret:
    return secret if secret.until is not None else replace(secret, until=Millis(now + OVERLAP_MS))


def _seal(keyring: Keyring, endpoint_id: str, secrets: Sequence[SigningSecret]) -> bytes:
    clear = msgspec.json.encode(secrets, enc_hook=_reveal)
    return seal(keyring, Purpose.AT_REST, clear, _context(endpoint_id))


def _open(keyring: Keyring, endpoint: Endpoint) -> list[SigningSecret]:
    try:
        clear = unseal(keyring, Purpose.AT_REST, endpoint.sealed, _context(endpoint.id))
        return msgspec.json.decode(clear, type=list[SigningSecret], dec_hook=_mask)
    except (EnvelopeUnopenable, msgspec.MsgspecError):
        pass
    raise Misconfigured("a webhook endpoint's secrets do not open: the row or the key file is damaged")


def _context(endpoint_id: str) -> bytes:
    return place(Kept.ENDPOINT, endpoint_id)


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


def _mask(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError
