"""Seal everything stored under the keys that are active now: after a rotation, beside the traffic, a batch at a time.

A batch and the note how far it came are one transaction: after a crash the next call goes on behind the last row done,
nothing is lost and nothing is done twice.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from tallystick.delivery.books import Store
from tallystick.errors import EnvelopeUnopenable
from tallystick.runtime import Clock, Millis
from tallystick.security.kept import RENEWED, USES, Kept, KeptBook, KeptCount, KeptRow, Rewrap, is_current, reseal
from tallystick.security.ports import Keyring, Purpose
from tallystick.vault.users import renew

BATCH: Final = 100  # rows of one transaction; 100 payers take some milliseconds of the event loop

_log = logging.getLogger(__name__)
_RENEWERS: Final[Mapping[Kept, Callable[[Keyring, KeptRow], KeptRow]]] = {Kept.PAYER: renew}


async def step(store: Store[KeptBook], keyring: Keyring, clock: Clock, batch: int = BATCH) -> Rewrap | None:
    """Seal the next batch anew; returns how far its kind is now, None when there is nothing to do.

    Raises:
        StoreFailed, Unavailable: nothing of this batch counts; call again.
    """
    for kind in RENEWED:
        if all(len(keyring.readable(purpose)) == 1 for purpose in USES[kind]):
            continue
        target = target_of(keyring, kind)
        known = await store.read(lambda books, kind=kind: books.rewrap(kind))  # type: ignore[misc]
        if known is not None and known.target == target and known.finished_at is not None:
            continue
        return await store.transact(
            lambda books, kind=kind, target=target: _batch(books, keyring, clock, kind, target, batch)  # type: ignore[misc]
        )
    return None


async def start_anew(store: Store[KeptBook], keyring: Keyring, purpose: Purpose, now: Millis) -> None:
    """Let every kind under a purpose be looked through again, where rows under an older key are left."""
    left = {found.kind for found in await outdated(store, keyring, now) if purpose in USES[found.kind]}

    async def forget(books: KeptBook) -> None:
        for kind in left.intersection(RENEWED):
            known = await books.rewrap(kind)
            if known is not None and known.finished_at is not None:
                await books.note_rewrap(replace(known, after="", finished_at=None))

    await store.transact(forget)


async def outdated(store: Store[KeptBook], keyring: Keyring, now: Millis) -> list[KeptCount]:
    """Count what is still under keys that are not active, by kind and place; reads every row."""
    counts = await store.read(lambda books: counted(books, now))
    return [each for each in counts if each.version != keyring.active(USES[each.kind][each.place]).version]


async def counted(books: KeptBook, now: Millis) -> list[KeptCount]:
    """Count all values by the version they name, but for rows that are over."""
    return [count for kind in Kept for count in await books.kept_counts(kind, now)]


def target_of(keyring: Keyring, kind: Kept) -> str:
    """Name the versions a kind is to be under."""
    purposes = dict.fromkeys(USES[kind])
    return " ".join(f"{purpose.value}-{keyring.active(purpose).version}" for purpose in purposes)


async def _batch(books: KeptBook, keyring: Keyring, clock: Clock, kind: Kept, target: str, batch: int) -> Rewrap:
    known = await books.rewrap(kind)
    if known is None or known.target != target:
        known = Rewrap(kind=kind, target=target, started_at=clock.now())
    rows = await books.kept_rows(kind, known.after, batch)
    changed = damaged = 0
    for row in rows:
        try:
            if is_current(keyring, kind, row):
                continue
            await books.put_kept(kind, _renewed(keyring, kind, row))
            changed += 1
        except EnvelopeUnopenable:
            _log.error("the %s %s does not open: it is left as it is", kind.value, row.id)
            damaged += 1
    over = len(rows) < batch
    noted = replace(
        known,
        after=rows[-1].id if rows else known.after,
        looked=known.looked + len(rows),
        changed=known.changed + changed,
        damaged=known.damaged + damaged,
        finished_at=clock.now() if over else None,
    )
    await books.note_rewrap(noted)
    return noted


def _renewed(keyring: Keyring, kind: Kept, row: KeptRow) -> KeptRow:
    renewer = _RENEWERS.get(kind)
    return renewer(keyring, row) if renewer is not None else reseal(keyring, kind, row)
