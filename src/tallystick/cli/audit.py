"""`tallystick audit`: read the audit chain, and find out whether anybody did anything to it."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from msgspec import Struct

from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.audit.chain import read
from tallystick.audit.checkpoints import SigningKey, read_lines
from tallystick.audit.model import Action, Checkpoint, Link
from tallystick.audit.verify import Fault, Verifying
from tallystick.bootstrap.auditing import checkpoint_once
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.storing import PlatformStore
from tallystick.channels import operators
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import file_path
from tallystick.cli.output import Failure
from tallystick.crypto.signing import Ed25519Public, load_public
from tallystick.delivery.books import Books
from tallystick.errors import Misconfigured
from tallystick.runtime import Millis

BATCH: Final = 2_000  # links read at a time
LISTED_MAX: Final = 10_000  # entries
COLUMNS: Final = ("seq", "at", "actor", "action", "outcome", "subjects", "details")
TAMPERED_REMEDY: Final = (
    "Keep a copy of the store and of the anchor as they are; compare with a backup from before the first entry named."
)


class EntryView(Struct, frozen=True):
    """An entry as operators see it."""

    seq: int
    at: Millis
    actor: str
    action: str
    outcome: str
    subjects: tuple[str, ...]
    details: dict[str, Any]


class Verified(Struct, frozen=True):
    """A chain that is whole: up to `proven` it is the one that the newest checkpoint was signed for."""

    entries: int
    checkpoints: int
    proven: int


class Tampered(Struct, frozen=True):
    """A chain that is not whole."""

    entries: int
    checkpoints: int
    faults: list[Fault]


class Line(Struct, frozen=True, omit_defaults=True):
    """A line of an export: a link with its very bytes, or a checkpoint."""

    seq: int = 0
    hash: str = ""
    entry: msgspec.Raw = msgspec.Raw(b"null")
    checkpoint: Checkpoint | None = None


@click.group(cls=Group, examples="tallystick audit verify")
def audit() -> None:
    """Read and verify the audit chain: who did what, and that nobody changed the record."""


@audit.command("tail", examples="tallystick audit tail --limit 50")
@click.option("--limit", type=click.IntRange(1, LISTED_MAX), default=20, show_default=True)
@pass_app
def tail(app: App, limit: int) -> None:
    """Show the newest entries, oldest of them first.

    Looking leaves an entry itself.
    """

    async def work(books: Books) -> list[EntryView]:
        head = await books.audit_head()
        await books.append(Action.AUDIT_READ, outcome="tail", rows=limit)
        return [_view(link) for link in await books.audit_links(max(head.seq - limit, 0), limit)]

    app.show_all(app.at_desk(lambda desk: desk.store.transact(work), needs=operators.READ), COLUMNS)


@audit.command("show", examples="tallystick audit show pay_4f7k2m9x3r6n8j1h5g0d2s4a6w")
@click.argument("subject", metavar="ID")
@click.option("--limit", type=click.IntRange(1, LISTED_MAX), default=100, show_default=True)
@pass_app
def show(app: App, subject: str, limit: int) -> None:
    """Show what was done to one payment, payer, channel or institution, or by one operator.

    Looking leaves an entry itself.
    """

    async def work(books: Books) -> list[EntryView]:
        found = await books.audit_links_about(subject, limit)
        await books.append(Action.AUDIT_READ, subject, outcome="show", rows=len(found))
        return [_view(link) for link in reversed(found)]

    app.show_all(app.at_desk(lambda desk: desk.store.transact(work), needs=operators.READ), COLUMNS)


@audit.command("export", examples="tallystick audit export > audit.jsonl")
@click.option("--after", type=click.IntRange(min=0), default=0, show_default=True, help="Begin behind this number.")
@pass_app
def export(app: App, after: int) -> None:
    """Print entries with their hashes, and checkpoints, a line of JSON each.

    `audit verify --export` verifies a whole export. Exporting leaves an entry itself, the last one printed.
    """

    async def work(desk: Office) -> None:
        await desk.store.transact(lambda books: books.append(Action.AUDIT_READ, outcome="export", after=after))
        await checkpoint_once(desk)
        async for link in _links(desk.store, after):
            click.echo(msgspec.json.encode(Line(link.seq, link.hash.hex(), msgspec.Raw(link.body))))
        for each in await desk.store.read(lambda books: books.checkpoints(after, LISTED_MAX)):
            click.echo(msgspec.json.encode(Line(checkpoint=each)))

    app.at_desk(work, needs=operators.READ)


@audit.command("checkpoint", examples="tallystick audit checkpoint")
@pass_app
def checkpoint(app: App) -> None:
    """Sign the chain's head now; a serving platform does so every minute, and when it stops."""
    made = app.at_desk(checkpoint_once)
    app.show(Made(made=made))


class Made(Struct, frozen=True):
    """Whether there was anything new to sign."""

    made: bool


@audit.command(
    "verify",
    examples="""
    tallystick audit verify
    tallystick audit verify --anchor /mnt/append-only/tallystick.jsonl
    tallystick audit verify --store copy-of-store.db --public-key identity-2025.pem
    """,
)
@click.option("--store", type=file_path, help="A copy of a store, instead of the platform's own.")
@click.option("--export", "exported", type=file_path, help="A whole export, instead of a store.")
@click.option("--anchor", type=file_path, help="A file of checkpoints; without it, the setting [audit] anchor.")
@click.option("--public-key", "public_keys", type=file_path, multiple=True, help="An earlier identity key (PEM).")
@pass_app
def verify(
    app: App, store: Path | None, exported: Path | None, anchor: Path | None, public_keys: tuple[Path, ...]
) -> None:
    """Find any entry that was changed, removed, inserted or moved, and an end that was cut off.

    Exit code 1 when anything is wrong. What came after the newest checkpoint is shown whole, not genuine: an anchor on
    another machine, and a short time since the last checkpoint, are what makes a record hard to forge.
    """
    if store is not None and exported is not None:
        raise click.UsageError("Give one of --store and --export.")

    async def work(desk: Office) -> Verifying:
        keys = _identities(desk) + [SigningKey(load_public(path.read_bytes())) for path in public_keys]
        place = anchor or (desk.layout.root / desk.settings.audit.anchor if desk.settings.audit.anchor else None)
        marks = _anchored(place) if place is not None else []
        if exported is not None:
            lines = _lines(exported)
            return _verified(marks + [one for one in lines if isinstance(one, Checkpoint)], keys, lines)
        async with _opened(store, desk) as chosen:
            marks += await chosen.read(lambda books: books.checkpoints(0, LISTED_MAX * LISTED_MAX))
            return _verified(marks, keys, [link async for link in _links(chosen, 0)])

    found = app.at_desk(work, needs=operators.READ)
    faults = found.finish()
    if not faults:
        app.show(Verified(entries=found.entries, checkpoints=found.checkpoints, proven=found.proven))
        return
    if app.as_json:
        app.show(Tampered(entries=found.entries, checkpoints=found.checkpoints, faults=faults))
    else:
        app.show_all(faults, Fault.__struct_fields__)
    raise Failure(f"the audit chain was tampered with: see entry {min(each.seq for each in faults)}", TAMPERED_REMEDY)


def _identities(desk: Office) -> list[SigningKey]:
    """Return every identity key that ever was active, with its time."""
    return [
        SigningKey(Ed25519Public.from_raw(entry.public), entry.activated_at, entry.retired_at)
        for entry in desk.keyring.entries
        if entry.public is not None and entry.activated_at is not None
    ]


def _verified(marks: list[Checkpoint], keys: list[SigningKey], links: list[Any]) -> Verifying:
    verifying = Verifying(marks, keys)
    for link in links:
        if isinstance(link, Link):
            verifying.add(link)
    return verifying


@contextlib.asynccontextmanager
async def _opened(copy: Path | None, desk: Office) -> AsyncIterator[PlatformStore]:
    if copy is None:
        yield desk.store
        return
    store = SqliteStore(copy)
    try:
        yield store
    finally:
        await store.aclose()


async def _links(store: PlatformStore, after: int) -> AsyncIterator[Link]:
    while links := await _batch(store, after):
        for link in links:
            yield link
        after = links[-1].seq


async def _batch(store: PlatformStore, after: int) -> list[Link]:
    return await store.read(lambda books: books.audit_links(after, BATCH))


def _anchored(path: Path) -> list[Checkpoint]:
    try:
        return read_lines(path)
    except (OSError, msgspec.MsgspecError) as error:
        raise Misconfigured(f"the anchor {path.name} cannot be read: {type(error).__name__}") from None


def _lines(path: Path) -> list[Link | Checkpoint]:
    def parsed() -> Iterator[Link | Checkpoint]:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                one = msgspec.json.decode(line, type=Line)
                yield one.checkpoint or Link(seq=one.seq, body=bytes(one.entry), hash=bytes.fromhex(one.hash))
            except (msgspec.MsgspecError, ValueError):
                raise Failure(f"line {number} is no line of an export", TAMPERED_REMEDY) from None

    return list(parsed())


def _view(link: Link) -> EntryView:
    entry = read(link.body)
    details: dict[str, Any] = dict(entry.details)
    return EntryView(entry.seq, entry.at, entry.actor, entry.action, entry.outcome, entry.subjects, details)
