"""`tallystick ceremony`: a key that no single person has (split knowledge and dual control, PCI DSS 3.7.6)."""

import re
import sys
from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from tallystick.audit.model import Action
from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.ceremony_papers import Handed, Held, record, share_paper
from tallystick.cli.custody import read_shares, shares_option
from tallystick.cli.inputs import ask, file_path, new_path, read_password, refuse_existing, write_new
from tallystick.cli.output import Failure
from tallystick.config import FILE_NAME
from tallystick.crypto import key_shares
from tallystick.crypto.kdf import KEY_BYTES
from tallystick.crypto.key_shares import CEREMONY_BYTES, CUSTODIANS_MAX, GROUP, THRESHOLD_MIN, KeyShare, parse
from tallystick.runtime import SystemClock, SystemRandomness
from tallystick.security.access_keys import KeyringAccess

CUSTODIAN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
WIPE: Final = "\x1b[H\x1b[2J\x1b[3J"  # the screen and what was scrolled out of it
DIRECTORY_MODE: Final = 0o700


class Checked(Struct, frozen=True, kw_only=True):
    """What shares give, without the key."""

    ceremony: str
    rehearsal: bool
    threshold: int
    total: int
    shares: tuple[int, ...]
    check: str


class Inspected(Struct, frozen=True, kw_only=True):
    """One share, without the share: `check` is its own check value, as the record has it."""

    ceremony: str
    rehearsal: bool
    number: int
    total: int
    check: str


@click.group(
    cls=Group,
    examples="""
    tallystick ceremony create --threshold 2 --custodian alice --custodian bob --custodian carol --record record.txt
    tallystick keys protect --with shares
    """,
)
def ceremony() -> None:
    """Share a key among custodians, any m of whom start the platform together."""


@ceremony.command(
    "create",
    examples="""
    tallystick ceremony create --rehearsal --threshold 2 --custodian alice --custodian bob --record try.txt
    tallystick ceremony create --threshold 2 --custodian alice --custodian bob --custodian carol --record record.txt
    """,
)
@click.option("--custodian", "custodians", multiple=True, required=True, help="Who gets a share; repeat for each.")
@click.option("--threshold", type=int, required=True, help="How many of them open the key together: 2 or more.")
@click.option("--record", "record_path", type=new_path, required=True, help="The new file for the record to sign.")
@click.option("--out", type=new_path, help="A new directory for a file with each share, in place of the screen.")
@click.option(
    "--second-key", type=file_path, help="The file with the second person's operator key; else they are asked."
)
@click.option("--rehearsal", is_flag=True, help="Try it out: the shares are marked and never protect anything.")
@pass_app
def create(
    app: App,
    custodians: tuple[str, ...],
    threshold: int,
    record_path: Path,
    out: Path | None,
    second_key: Path | None,
    rehearsal: bool,  # noqa: FBT001  # click passes it by name
) -> None:
    """Make a key, give each custodian a share on a screen of their own, and write the record.

    Two persons log in: the operator who runs this, and another operator or approver. Each custodian comes to the screen
    alone, notes the share and types its last letters; then the screen is wiped. The key itself is shown and kept
    nowhere. `tallystick keys protect --with shares` puts the platform's keys under it.
    """
    _check_sizes(custodians, threshold)
    refuse_existing(record_path)
    _check_place(out)
    randomness = SystemRandomness()
    ceremony_id = randomness.token(CEREMONY_BYTES)
    persons = _two_persons(app, second_key, ceremony_id.hex(), rehearsal=rehearsal)
    shares = key_shares.split(
        randomness.token(KEY_BYTES),
        threshold,
        len(custodians),
        ceremony_id,
        rehearsal=rehearsal,
    )
    _hand_out(dict(zip(custodians, shares, strict=True)), out)
    common = shares[0].ceremony
    held = Held(
        ceremony=common.id,
        rehearsal=common.rehearsal,
        threshold=common.threshold,
        check=common.check,
        persons=persons,
        shares=tuple(
            Handed(custodian=name, number=share.number, check=share.check)
            for name, share in zip(custodians, shares, strict=True)
        ),
        at=SystemClock().now(),
    )
    write_new(record_path, record(common, held).encode())
    app.show(held)


@ceremony.command(
    "check",
    examples="""
    tallystick ceremony check
    cat alice.share carol.share | tallystick ceremony check --shares-file -
    """,
)
@shares_option
@pass_app
def check(app: App, shares_file: Path | None) -> None:
    """Show that shares give their key, by its check value; compare it with the record. The key is not shown."""
    given = key_shares.parse_all(read_shares(shares_file))
    key_shares.combine(given)
    common = given[0].ceremony
    app.show(
        Checked(
            ceremony=common.id,
            rehearsal=common.rehearsal,
            threshold=common.threshold,
            total=common.total,
            shares=tuple(share.number for share in given),
            check=common.check,
        )
    )


@ceremony.command(
    "inspect",
    examples="""
    tallystick ceremony inspect
    tallystick ceremony inspect --share-file alice.share
    """,
)
@click.option("--share-file", type=file_path, help="A private file with one share; without it its custodian is asked.")
@pass_app
def inspect(app: App, share_file: Path | None) -> None:
    """Show which share one is, by its own check value.

    Compare it with the record, as when envelopes are counted. One custodian suffices, no key is made, and the share is
    not shown.
    """
    given = key_shares.parse_all(read_shares(share_file)) if share_file is not None else [parse(ask("Your share"))]
    if len(given) != 1:
        raise Failure("this is not one share", "Give the file of one custodian.")
    (share,) = given
    common = share.ceremony
    app.show(
        Inspected(
            ceremony=common.id,
            rehearsal=common.rehearsal,
            number=share.number,
            total=common.total,
            check=share.check,
        )
    )


def _check_sizes(custodians: tuple[str, ...], threshold: int) -> None:
    if not all(CUSTODIAN.fullmatch(name) for name in custodians) or len(set(custodians)) < len(custodians):
        raise click.BadParameter("custodians have different names of letters, digits, . _ -", param_hint="--custodian")
    if not THRESHOLD_MIN <= threshold <= len(custodians) <= CUSTODIANS_MAX:
        raise click.BadParameter(
            f"at least {THRESHOLD_MIN} of at most {CUSTODIANS_MAX} custodians open a key", param_hint="--threshold"
        )


def _check_place(out: Path | None) -> None:
    if out is not None:
        refuse_existing(out)
    elif not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failure(
            "shares are shown on a terminal only, one custodian at a time", "Run it on a terminal, or name --out."
        )


def _two_persons(app: App, second_key: Path | None, ceremony_id: str, *, rehearsal: bool) -> tuple[str, ...]:
    """Return the two who conduct the ceremony, each proven by a key of their own.

    1. The first is the operator who runs the command, as for every command.
    2. The second has another operator's or approver's key.
    3. They are two persons.
    4. The audit chain says that they began, before any share is made.

    Only a rehearsal goes on without operators.
    """
    if rehearsal and not (app.data / FILE_NAME).exists():
        return ()

    async def prove(desk: Office) -> tuple[str, ...]:
        # 1.
        if not await desk.store.read(operators.registered):
            if rehearsal:
                return ()
            raise Failure(
                "a ceremony wants two proven persons, and this platform has no operators",
                "Register them with tallystick operator add, or try the ceremony out with --rehearsal.",
            )
        # 2.
        token = read_password(second_key, "The second person's operator key")
        keys, now = KeyringAccess(desk.keyring), desk.clock.now()
        second = await desk.store.read(
            lambda books: operators.prove(books, keys, token, now, claim=None, needs=operators.DECIDE)
        )
        # 3.
        if second is None or second.holder == app.operator:
            raise Failure("both keys are one person's", "Let another operator or approver give their own key.")
        # 4.
        await desk.store.transact(
            lambda books: books.append(
                Action.KEY_CEREMONY, ceremony_id, outcome="begun", second=second.holder, rehearsal=rehearsal
            )
        )
        return app.operator, second.holder

    return app.at_desk(prove)


def _hand_out(shares: dict[str, KeyShare], out: Path | None) -> None:
    if out is not None:
        out.mkdir(mode=DIRECTORY_MODE)
        for name, share in shares.items():
            write_new(out / f"{name}.share", share_paper(name, share).encode(), 0o600)
        return
    try:
        for name, share in shares.items():
            _show_alone(name, share)
    finally:
        click.echo(WIPE, nl=False)


def _show_alone(name: str, share: KeyShare) -> None:
    """Show one share to its custodian, until they have noted it; nothing of another share is on the screen."""
    click.echo(WIPE, nl=False)
    click.prompt(f"{name}: come to the screen alone, then press Enter", default="", show_default=False)
    click.echo(f"{WIPE}{share_paper(name, share)}")
    last = share.text().reveal()[-GROUP:]
    while click.prompt("Note the share, then type its last four letters").strip().lower() != last:
        click.echo("That is not what the share ends with: compare what you noted.")
