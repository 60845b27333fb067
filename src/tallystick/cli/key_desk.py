"""What the commands of `tallystick keys` do at an operator's desk."""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tallystick import rewrap
from tallystick.adapters.keys.manifest import KeyEntry
from tallystick.adapters.keys.rotation import SETTLE_MS, KeyRotation
from tallystick.audit.model import Action, Detail
from tallystick.bootstrap.office import Office
from tallystick.channels import limiting
from tallystick.channels.model import Channel
from tallystick.cli import administer
from tallystick.crypto.kdf import KEY_BYTES
from tallystick.crypto.signing import Algorithm, Ed25519Private
from tallystick.delivery.books import Books
from tallystick.errors import Conflict, NotFound
from tallystick.runtime import Millis
from tallystick.security import lifetimes
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.kept import RENEWED, USES, KeptCount, Rewrap
from tallystick.security.ports import KeyState, Purpose
from tallystick.security.verify import seal_sender_key
from tallystick.service.senders import KNOWN_MS

SLACK_S: Final = 0.1  # s beyond the time a key is pending at least
OPENING: Final = "opening"  # the part-opening keys, as an audit entry names them
BATCH: Final = 500  # records of one transaction: a process that serves waits some tens of milliseconds for it
BREATH_S: Final = 0.02  # s between two batches, in which a process that serves gets the store


class KeyView(Struct, frozen=True, kw_only=True):
    """One long-lived key.

    `days_left` of its cryptoperiod while it is active; `records` are the stored values that name it; `check` is its
    check value (ANSI X9.24-1:2017, annex A).
    """

    id: str
    state: KeyState
    check: str
    created_at: Millis
    age_days: int
    days_left: int | None
    records: int


class Left(Struct, frozen=True, kw_only=True):
    """A key that may be destroyed now, or what keeps it."""

    id: str
    state: KeyState


async def status(desk: Office) -> list[KeyView]:
    """List all long-lived keys with their ages, and how many stored values name each."""
    now = desk.clock.now()
    counts = await desk.store.read(lambda books: rewrap.counted(books, now))
    return [_view(entry, _records(counts, entry), now) for entry in desk.keyring.entries]


async def prepare(desk: Office, purpose: Purpose) -> tuple[KeyEntry, bytes | None]:
    """Make the next key of a purpose; returns it, and its public half in PEM for one that signs."""
    await _note(desk, "prepare", purpose)
    entry = _rotation(desk).prepare(purpose, desk.clock.now())
    if purpose is not Purpose.IDENTITY:
        return entry, None
    await desk.clock.sleep(SETTLE_MS / 1000)
    secret = desk.keyring.version(purpose, entry.version).secret
    return entry, Ed25519Private.from_raw(secret).public().pem()


async def rotate(desk: Office, purpose: Purpose) -> KeyEntry:
    """Make the next key of a purpose, wait until every process has it, and activate it.

    Raises:
        NotFound: no identity key is pending: who pins the present one needs the next one first.
    """
    pending = any(each.purpose is purpose and each.state is KeyState.PENDING for each in desk.keyring.entries)
    if purpose is Purpose.IDENTITY and not pending:
        raise NotFound("no identity key is pending: run keys rotate identity --prepare and hand its public half out")
    await _note(desk, "rotate", purpose)
    rotation = _rotation(desk)
    rotation.prepare(purpose, desk.clock.now())
    await desk.clock.sleep(SETTLE_MS / 1000 + SLACK_S)
    return rotation.activate(purpose, desk.clock.now())


async def rotate_opening(desk: Office) -> None:
    """Have the process that serves publish new part-opening keys."""
    await _note(desk, "rotate", OPENING)
    _rotation(desk).ask_opening(desk.clock.now())


async def rotate_channel(desk: Office, channel_id: str, overlap: int) -> tuple[Channel, bytes]:
    """Give a channel a new MAC key, which counts when this returns; the old one does for `overlap` ms more.

    Raises NotFound, Conflict.
    """
    channel = await administer.find_channel(desk, channel_id)
    if channel.algorithm != Algorithm.HMAC_SHA256:
        raise Conflict("this channel has a key pair of its own: register its new public key instead")
    secret, now = desk.randomness.token(KEY_BYTES), desk.clock.now()
    sealed = seal_sender_key(desk.keyring, channel_id, secret)

    async def change(books: Books) -> Channel:
        found = await books.channel(channel_id)
        if found is None:
            raise NotFound("no channel has this id")
        changed = replace(
            found, sealed_key=sealed, earlier_key=found.sealed_key, earlier_until=Millis(now + overlap), key_since=now
        )
        await books.replace_channel(changed)
        return changed

    changed = await desk.store.transact(change)
    await desk.clock.sleep(KNOWN_MS / 1000 + SLACK_S)
    return changed, secret


async def rewrap_all(desk: Office) -> list[Rewrap]:
    """Seal everything stored under the active keys, in small batches beside whoever serves; returns how far each is."""
    for purpose in Purpose:
        await rewrap.start_anew(desk.store, desk.keyring, purpose, desk.clock.now())
    await desk.store.transact(lambda books: limiting.renew(books, KeyringAccess(desk.keyring)))
    while await rewrap.step(desk.store, desk.keyring, desk.clock, BATCH) is not None:
        await desk.clock.sleep(BREATH_S)
    found = [await desk.store.read(lambda books, kind=kind: books.rewrap(kind)) for kind in RENEWED]  # type: ignore[misc]
    return [each for each in found if each is not None]


async def destroy(desk: Office, purpose: Purpose, version: int) -> KeyEntry:
    """Destroy a key that nothing stored names any more.

    Raises:
        Conflict: something names it, or it is active, pending, or was active a moment ago.
        NotFound: there is no such key.
    """
    entry = next((each for each in desk.keyring.entries if (each.purpose, each.version) == (purpose, version)), None)
    if entry is not None and entry.state is not KeyState.DESTROYED:
        counts = await desk.store.read(lambda books: rewrap.counted(books, desk.clock.now()))
        named = sorted({each.kind.value for each in counts if _names(each, entry)})
        if named:
            raise Conflict(f"{_records(counts, entry)} stored values are under {entry.name}: {', '.join(named)}")
    await _note(desk, "destroy", purpose, version=version)
    return _rotation(desk).destroy(purpose, version, desk.clock.now())


async def _note(desk: Office, step: str, subject: str, **details: Detail) -> None:
    """Leave the audit entry of a step that follows: keys are files, which leave none by themselves."""
    await desk.store.transact(lambda books: books.append(Action.KEYS_CHANGED, subject, outcome=step, **details))


def _rotation(desk: Office) -> KeyRotation:
    return KeyRotation(desk.layout.keys, desk.wrapper, desk.randomness)


def _names(count: KeptCount, entry: KeyEntry) -> bool:
    return USES[count.kind][count.place] is entry.purpose and count.version == entry.version


def _records(counts: list[KeptCount], entry: KeyEntry) -> int:
    return sum(each.count for each in counts if _names(each, entry))


def _view(entry: KeyEntry, records: int, now: Millis) -> KeyView:
    active = entry.state is KeyState.ACTIVE and entry.activated_at is not None
    return KeyView(
        id=entry.name,
        state=entry.state,
        check=entry.check,
        created_at=entry.created_at,
        age_days=(now - entry.created_at) // lifetimes.DAY_MS,
        days_left=lifetimes.days_left(entry.purpose, entry.activated_at or now, now) if active else None,
        records=records,
    )
