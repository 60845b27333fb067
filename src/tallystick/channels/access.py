"""API keys: who calls the merchants' API or runs an operator's command, and what they may do.

    tsk_live_<id>_<secret>_<checksum>    id: 32 hexadecimal digits, secret: 64 of them, checksum: CRC-32 in 8
    tsk_test_…                           the same for test mode

The prefix and the checksum are for secret scanners: they find a key in a repository, and know it from other text.
"""

import hmac
import re
import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec.structs import replace

from tallystick.channels import rows
from tallystick.channels.model import ApiKey, Principal, Role, Scope
from tallystick.channels.ports import AccessKeys, ApiKeyBook
from tallystick.crypto import versioned
from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import AlreadyExists, ApiKeyRefused, Conflict, FieldInvalid, Forbidden, Misconfigured, NotFound
from tallystick.runtime import Clock, Millis, Randomness, new_id
from tallystick.secret import Secret

SECRET_BYTES: Final = 32  # random bytes of a key's secret: 256 bits
HOLDER_MAX: Final = 64  # characters of a holder's name
DAY_MS: Final = 24 * 3_600_000  # ms
LIFE_MAX_MS: Final = 400 * DAY_MS  # ms a key lives at most: a year, and a month to rotate it in
OVERLAP_MAX_MS: Final = 30 * DAY_MS  # ms the old key of a rotation lives on at most
CURRENT_MAX: Final = 2  # keys of one holder, role and mode that may be current at a time: the old and the new one
USE_GRAIN_MS: Final = 3_600_000  # ms; the time of last use is no finer, so that using a key seldom writes

GRANTS: Final[Mapping[Role, frozenset[Scope]]] = {
    Role.MERCHANT: frozenset({Scope.ORDER, Scope.READ, Scope.REFUND}),
    Role.AUDITOR: frozenset({Scope.READ}),
    Role.OPERATOR: frozenset({Scope.READ, Scope.ADMIN}),
    Role.APPROVER: frozenset({Scope.READ, Scope.APPROVE}),
}
"""The most that each role's key may be given; nobody both changes things and approves changes under one role."""

_HOLDER: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_KEY: Final = re.compile(r"(tsk_(?:live|test)_)([0-9a-f]{32})_([0-9a-f]{64})_([0-9a-f]{8})")
_NOBODY: Final = ("tsk_live_", "0" * 32, "0" * 64)


class NewKey(NamedTuple):
    """A key just made; the token is in no other place."""

    key: ApiKey
    token: Secret


def make(
    keys: AccessKeys,
    clock: Clock,
    randomness: Randomness,
    *,
    holder: str,
    role: Role,
    scopes: frozenset[Scope],
    live: bool,
    life: int,
) -> NewKey:
    """Make a key for a holder, for `life` ms; it opens nothing before it was added (`add`).

    Raises FieldInvalid for a name, scope or life that no key may have.
    """
    if len(holder) > HOLDER_MAX or not _HOLDER.fullmatch(holder):
        raise FieldInvalid("a holder's name is of small letters, digits, dots, dashes", field="holder")
    if not scopes or not scopes <= GRANTS[role]:
        allowed = ", ".join(sorted(GRANTS[role]))
        raise FieldInvalid(f"a key of the role {role.value} has scopes out of: {allowed}", field="scopes")
    if not 0 < life <= LIFE_MAX_MS:
        raise FieldInvalid(f"a key lives at most {LIFE_MAX_MS // DAY_MS} days", field="expires")
    now = clock.now()
    key_id, secret = new_id("key", randomness), randomness.token(SECRET_BYTES).hex()
    prefix = _prefix(live=live)
    body = f"{prefix}{key_id.removeprefix('key_')}_{secret}"
    key = ApiKey(
        id=key_id,
        holder=holder,
        role=role,
        scopes=scopes,
        live=live,
        digest=_digest(keys.active(), prefix, key_id, secret),
        created_at=now,
        expires_at=Millis(now + life),
    )
    return NewKey(rows.protect(keys, key), Secret(f"{body}_{checksum(body)}"))


async def add(book: ApiKeyBook, keys: AccessKeys, key: ApiKey, now: Millis) -> None:
    """Add a key that `make` made: from now on it opens what its scopes say.

    Raises Conflict when its holder has CURRENT_MAX keys of this role and mode already: revoke one, or wait until it is
    over; AlreadyExists when it was added before, Misconfigured when it is not as it was made.
    """
    rows.check(keys, key)
    if await book.api_key(key.id) is not None:
        raise AlreadyExists("this key was added already")
    alike = [each for each in await book.api_keys() if _alike(each, key) and is_current(each, now)]
    if len(alike) >= CURRENT_MAX:
        raise Conflict(f"this holder has {CURRENT_MAX} current keys already")
    await book.put_api_key(key)


async def rotate(
    book: ApiKeyBook, keys: AccessKeys, clock: Clock, randomness: Randomness, key_id: str, *, life: int, overlap: int
) -> NewKey:
    """Give the holder of a current key its successor; the old one is over after `overlap` ms, 0 for at once.

    Raises NotFound, Conflict when the key is not current, its row is under a destroyed key, or its holder has another
    one beside it, FieldInvalid.
    """
    if not 0 <= overlap <= OVERLAP_MAX_MS:
        raise FieldInvalid(f"an old key lives on for at most {OVERLAP_MAX_MS // DAY_MS} days", field="overlap")
    old, now = await find(book, keys, key_id), clock.now()
    if not is_current(old, now):
        raise Conflict("this key is over or revoked already: add a new one")
    over = Millis(min(old.expires_at, now + overlap))
    await book.put_api_key(rows.protect(keys, replace(old, expires_at=over)))
    made = make(
        keys,
        clock,
        randomness,
        holder=old.holder,
        role=old.role,
        scopes=old.scopes,
        live=old.live,
        life=life,
    )
    await add(book, keys, made.key, now)
    return made


async def revoke(book: ApiKeyBook, keys: AccessKeys, key_id: str, now: Millis) -> ApiKey:
    """Make a key useless at once and for good; revoking twice is harmless. Raises NotFound, Misconfigured.

    A row under a destroyed key opens nothing already, and nobody can check it. It is marked all the same, under the
    active key: nothing but `revoked_at` counts of it from then on.
    """
    key = await _stored(book, key_id)
    if not rows.is_outlived(keys, key.mac):
        rows.check(keys, key)
    if key.revoked_at is not None:
        return key
    revoked = rows.protect(keys, replace(key, revoked_at=now))
    await book.put_api_key(revoked)
    return revoked


async def find(book: ApiKeyBook, keys: AccessKeys, key_id: str) -> ApiKey:
    """Find a key by its id; raises NotFound, Misconfigured when its row was edited, Conflict when its key is gone."""
    key = await _stored(book, key_id)
    if rows.is_outlived(keys, key.mac):
        raise Conflict("this key is over, as the access key it was made under is destroyed: add a new one")
    rows.check(keys, key)
    return key


async def authenticate(book: ApiKeyBook, keys: AccessKeys, token: Secret, now: Millis) -> Principal:
    """Return whom a key speaks for; ApiKeyRefused, with one text, whatever is wrong, and after the same work.

    1. The token has the form of a key and its checksum is right.
    2. Its id is that of a key: unknown ones are compared with a key that nobody has.
    3. Its secret, mode and id are the stored ones, compared in constant time as keyed digests.
    4. The stored row is as the platform wrote it: no scope was added in the database.
    5. The key is neither over nor revoked.

    No check ends the work early. Left to the caller: TLS, the bound on tries of one address, `require`, and to note
    the use (`note_use`).
    """
    # 1.
    formed, (prefix, id_digits, secret) = _split(token)
    # 2.
    found = await book.api_key(f"key_{id_digits}")
    key = found or _nobody()
    # 3.
    proven = hmac.compare_digest(_digest(rows.key_of(keys, key.digest), prefix, key.id, secret), key.digest)
    proven &= key.live == (prefix == _prefix(live=True))
    # 4.
    try:
        rows.check(keys, key)
        untouched = True
    except Misconfigured:
        untouched = False
    # 5.
    if not (formed and found is not None and proven and untouched and is_current(key, now)):
        raise ApiKeyRefused("this request carries no API key that opens anything")
    return Principal(holder=key.holder, key_id=key.id, role=key.role, scopes=key.scopes, live=key.live)


def require(principal: Principal, scope: Scope) -> None:
    """Refuse a key that was not given a scope; Forbidden."""
    if scope not in principal.scopes:
        raise Forbidden(f"this API key lacks the scope {scope.value}")


async def note_use(book: ApiKeyBook, key_id: str, now: Millis) -> None:
    """Note the hour in which a key was used; the caller spares itself the call when it made it in this hour."""
    await book.note_key_use(key_id, Millis(now - now % USE_GRAIN_MS))


def checksum(body: str) -> str:
    """Return what stands behind a key's last underscore: it finds typing errors, and secret scanners rely on it."""
    return f"{zlib.crc32(body.encode()):08x}"


def is_current(key: ApiKey, now: Millis) -> bool:
    """Tell whether a key opens anything now."""
    return key.revoked_at is None and now < key.expires_at


async def _stored(book: ApiKeyBook, key_id: str) -> ApiKey:
    key = await book.api_key(key_id)
    if key is None:
        raise NotFound("no API key has this id")
    return key


def _split(token: Secret) -> tuple[bool, tuple[str, str, str]]:
    """Divide a token into prefix, id and secret; one of another form is divided like that of nobody."""
    found = _KEY.fullmatch(token.reveal())
    if found is None:
        return False, _NOBODY
    prefix, id_digits, secret, given = found.groups()
    return hmac.compare_digest(checksum(f"{prefix}{id_digits}_{secret}"), given), (prefix, id_digits, secret)


def _nobody() -> ApiKey:
    return ApiKey(
        id="key_" + _NOBODY[1],
        holder="nobody",
        role=Role.AUDITOR,
        scopes=frozenset(),
        live=True,
        digest=b"",
        created_at=Millis(0),
        expires_at=Millis(0),
    )


def _alike(one: ApiKey, other: ApiKey) -> bool:
    return (one.holder, one.role, one.live) == (other.holder, other.role, other.live)


def _prefix(*, live: bool) -> str:
    return "tsk_live_" if live else "tsk_test_"


def _digest(key: VersionedKey, prefix: str, key_id: str, secret: str) -> bytes:
    return versioned.digest(key, "api-key", prefix, key_id, secret)
