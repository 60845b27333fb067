"""A renewal of numbers by real processes side by side, killed in the middle: afterwards everybody has exactly one."""

import asyncio
import contextlib
import datetime as dt
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tallystick import config
from tallystick.assembly.element import institution_element
from tallystick.bootstrap.layout import create
from tallystick.bootstrap.office import Office, office
from tallystick.cli import administer
from tallystick.delivery.books import Books
from tallystick.limits import NUMBER_OVERLAP_MS
from tallystick.routing import changes
from tallystick.routing.model import BackEnd, NumberPolicy
from tallystick.routing.table import with_back_end
from tallystick.runtime import Millis, new_id
from tallystick.secret import Secret
from tallystick.security.ports import Purpose
from tallystick.testing.inbox import waiting_notices
from tallystick.testing.quick_stretcher import QuickStretcher
from tallystick.vault import users
from tallystick.vault.model import Contact, StoredCredential, User
from tallystick.vault.notices import open_notice

pytestmark = pytest.mark.e2e

USERS = 2_000
SETTINGS = '[gateway]\nhost = "127.0.0.1"\nport = 0\n'
WEST, EAST = "Etc/GMT+12", "Etc/GMT-12"  # the same time of day, one date apart (the signs are POSIX's)
KILLED_AT = (300, 900)  # numbers made when each of two processes is killed


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    create(tmp_path / "data", SETTINGS)
    async with office(tmp_path / "data", config.load(tmp_path / "data", {})) as opened:
        yield opened


async def prepared(desk: Office, username: str) -> User:
    contact, password = Contact(email=f"{username}@example.org"), Secret("correct horse battery")
    keys, randomness = desk.keyring, desk.randomness
    user, _ = await users.prepare(
        keys, QuickStretcher(), desk.clock, randomness, username=username, password=password, contact=contact
    )
    return user


async def enrolled(desk: Office) -> BackEnd:
    """Register an institution with thousands of users; its day began an hour ago."""
    an_hour_ago = dt.datetime.fromtimestamp(desk.clock.now() / 1000, dt.UTC) + dt.timedelta(hours=11)
    bank = await administer.add_institution(
        desk,
        name="Bank",
        connector="account",
        schemes=frozenset({"example"}),
        numbers=NumberPolicy.PLATFORM,
        renew_at=f"{an_hour_ago:%H:%M}",
        zone=WEST,
    )

    people = [await prepared(desk, f"u{n}") for n in range(USERS)]

    async def add(books: Books) -> None:
        for user in people:
            await books.add_user(user)
            kept = StoredCredential(user_id=user.id, institution=bank.id, sealed=b"never opened", created_at=Millis(1))
            await books.put_credential(kept)

    await desk.store.transact(add)
    return await administer.find_institution(desk, bank.id)


async def a_day_goes_by(desk: Office, bank: BackEnd) -> BackEnd:
    """Move the institution to where it is the next day already."""
    moved = replace(bank, zone=EAST)
    table = await desk.store.read(lambda books: books.routing_table())
    await desk.store.transact(
        lambda books: changes.submit(
            books,
            with_back_end(table, moved),
            change_id=new_id("rc", desk.randomness),
            author="test",
            note="the day goes by",
            at=desk.clock.now(),
            four_eyes=False,
        )
    )
    return moved


async def renewing(desk: Office) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tallystick.cli.main", "--data", str(desk.layout.root), "user", "numbers", "renew"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def kill_when(desk: Office, bank: BackEnd, made: int, process: asyncio.subprocess.Process) -> int:
    """Kill a process once so many numbers are made; return how many there are then."""
    while (await administer.numbers_progress(desk, bank)).made < made:
        assert process.returncode is None, "it ended before it was killed"
        await asyncio.sleep(0.005)
    process.kill()
    await process.wait()
    return (await administer.numbers_progress(desk, bank)).made


async def told(desk: Office) -> list[str]:
    """Take every number out of the outbox."""
    notices = await waiting_notices(desk.store)
    numbers = [open_notice(desk.keyring, notice).text.partition(" is ")[2][:8] for notice in notices]

    async def drop(books: Books) -> None:
        for notice in notices:
            await books.drop_notice(notice.id)

    await desk.store.transact(drop)
    return numbers


def valid(desk: Office, at: int) -> list[tuple[str, int]]:
    """Return how many numbers each user has at a moment."""
    query = "SELECT user_id, COUNT(*) FROM claim WHERE valid_from <= ?1 AND ?1 < valid_until GROUP BY user_id"
    with contextlib.closing(sqlite3.connect(desk.layout.store)) as db:
        return db.execute(query, (at,)).fetchall()


async def owners(desk: Office, bank: BackEnd, numbers: list[str]) -> set[str | None]:
    """Return who the numbers stand for once the earlier ones are over."""
    later = Millis(desk.clock.now() + NUMBER_OVERLAP_MS)
    elements = [institution_element(desk.keyring.readable(Purpose.BLIND_INDEX), bank.id, number) for number in numbers]

    async def read(books: Books) -> set[str | None]:
        claims = [await books.claim(element, later) for element in elements]
        return {claim.user_id for claim in claims if claim is not None}

    return await desk.store.read(read)


async def test_a_renewal_that_is_killed_in_the_middle_leaves_everybody_exactly_one_number(desk: Office) -> None:
    bank = await enrolled(desk)
    await administer.renew_numbers(desk, bank, lambda _made: None)
    assert USERS == len(await told(desk))
    bank = await a_day_goes_by(desk, bank)

    first, second = await renewing(desk), await renewing(desk)
    left = [await kill_when(desk, bank, made, each) for made, each in zip(KILLED_AT, (first, second), strict=True)]
    assert left[0] < left[1] < USERS, "nothing was left to do after the kills"
    third = await renewing(desk)
    assert 0 == await third.wait()

    numbers = await told(desk)
    assert USERS == len(numbers) == len(await owners(desk, bank, numbers))
    now = desk.clock.now()
    assert USERS == len(after := valid(desk, now + NUMBER_OVERLAP_MS))
    assert {1} == {count for _, count in after}
    assert {2} == {count for _, count in valid(desk, now)}, "the number before is valid for its overlap"
