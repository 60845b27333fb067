"""`tallystick blast-radius`: what a theft exposes."""

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

import click
import msgspec
from msgspec import Struct

from tallystick import limits
from tallystick.adapters.keys.epochs import EPOCH_ID, RECOVERY_OVER_MS
from tallystick.adapters.keys.opening import FileOpeningKeys
from tallystick.adapters.store.examination import Examined
from tallystick.bootstrap.office import Office, split_policies
from tallystick.bootstrap.storing import examining
from tallystick.channels import operators
from tallystick.cli import administer
from tallystick.cli.app import App, Command, pass_app
from tallystick.errors import NotFound
from tallystick.exposure import Exposed, Held, Theft, exposed
from tallystick.runtime import Millis
from tallystick.security.ports import Purpose

EPOCHS: Final = "epochs"
PAYERS: Final = "stored credentials of {} payers, each behind that payer's password"
BEHIND: Final = {
    Purpose.VAULT: "with the store: contacts and waiting notices of payers; stored credentials stay behind passwords",
    Purpose.AT_REST: "with the store: MAC keys of channels, connectors' settings, webhook secrets, waiting deliveries",
    Purpose.BLIND_INDEX: "with the store: which phone numbers and names occur in it, by trying them all",
    Purpose.ACCESS: "with write access to the store: API keys and approvals that look real; nothing opens",
    Purpose.IDENTITY: "signatures in the platform's name: key lists, receipts, audit checkpoints; nothing opens",
}
"""What a long-lived key is good for, besides what it opens of credentials: nothing."""


class Radius(Struct, frozen=True, kw_only=True):
    """What a theft exposes: `usable` credentials are whole, of the others a half or nothing is read."""

    at: Millis
    usable: int
    halves: int
    credentials: list[Exposed]
    besides: list[str]


class Moment(click.ParamType[int]):
    """A time: 2026-01-31T12:00:00Z, or milliseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a time; one without a zone is UTC."""
        if isinstance(value, int) or str(value).isdigit():
            return int(value)
        try:
            moment = dt.datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("give a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970", param, ctx)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return round(zoned.timestamp() * 1_000)


@click.command(
    "blast-radius",
    cls=Command,
    examples="""
    tallystick blast-radius --channel ch_2k5qz7mzv5c6hgk3u4xw2n7a4e --at 2026-01-31T12:00:00Z
    tallystick blast-radius --database
    tallystick blast-radius --database --key epochs --json
    tallystick blast-radius --node main
    """,
)
@click.option("--channel", "channels", multiple=True, metavar="ID", help="A channel: its keys and its terminal.")
@click.option("--key", "keys", multiple=True, help="An epoch's or opening key by its id, a purpose, or `epochs`: all.")
@click.option("--database", is_flag=True, help="A copy of the store.")
@click.option("--node", help="The platform's machine: the store, every key, the process's memory.")
@click.option("--at", "at", type=Moment(), help="When it was stolen; without it, now.")
@pass_app
def blast_radius(
    app: App, channels: tuple[str, ...], keys: tuple[str, ...], node: str | None, at: int | None, *, database: bool
) -> None:
    """List which credentials, and which halves of them, a theft exposes.

    Name everything that one thief has. It is computed from the record: nothing is opened, and no value is shown.
    """
    if not (channels or keys or database or node):
        raise click.UsageError("Say what was stolen: --channel, --key, --database, --node.")

    async def work(desk: Office) -> Radius:
        moment = Millis(at if at is not None else desk.clock.now())
        for channel in channels:
            await administer.find_channel(desk, channel)
        theft, besides = _theft(desk, moment, channels, keys, database=database, node=node is not None)
        with examining(desk.layout, desk.settings.store) as store:
            found = exposed(_held(store), theft, split_policies(desk.settings))
            if node is not None or (database and Purpose.VAULT in keys):
                besides.append(PAYERS.format(store.payers()))
        usable = sum(each.usable for each in found)
        return Radius(at=moment, usable=usable, halves=len(found) - usable, credentials=found, besides=besides)

    radius = app.at_desk(work, needs=operators.READ)
    if app.as_json:
        app.show(radius)
        return
    app.show_all(radius.credentials, Exposed.__struct_fields__)
    click.echo(f"usable credentials: {radius.usable}, halves: {radius.halves}")
    for besides in radius.besides:
        click.echo(f"besides: {besides}")


def _theft(
    desk: Office, at: Millis, channels: tuple[str, ...], keys: tuple[str, ...], *, database: bool, node: bool
) -> tuple[Theft, list[str]]:
    opening = FileOpeningKeys(desk.layout.opening, lambda: desk.keyring.identity, write=False, wrapper=desk.wrapper)
    try:
        lives = opening.lives()
    finally:
        opening.close()
    besides = []
    for key in keys:
        if key in BEHIND:
            besides.append(f"{key}: {BEHIND[Purpose(key)]}")
        elif key != EPOCHS and key not in lives and EPOCH_ID.fullmatch(key) is None:
            raise NotFound("this names no key: give ep_…, an opening key's id, a purpose, or epochs", field="key")
    return (
        Theft(
            at=at,
            channels=frozenset(channels),
            database=database,
            epochs=None if EPOCHS in keys else frozenset(keys),
            traffic=tuple(lives[key] for key in keys if key in lives),
            node=node,
        ),
        besides,
    )


def _held(store: Examined) -> Iterator[Held]:
    for row in store.held():
        recovery = row.part is None
        begin = EPOCH_ID.fullmatch(row.epoch)
        life = RECOVERY_OVER_MS if recovery else limits.EPOCH_KEPT_MS
        yield Held(
            payment=row.payment,
            policy=row.policy,
            channel=row.channel,
            fields=msgspec.json.decode(row.fields, type=frozenset[str]),
            since=Millis(row.since),
            until=Millis(row.until) if row.until is not None else None,
            epoch=row.epoch,
            key_until=Millis(int(begin[1]) + life if begin is not None else row.since + life),
        )
