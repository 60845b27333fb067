"""After a whole demo: no card, PIN, password, account or phone number is in anything that it wrote or showed (I7)."""

import contextlib
import re
import shutil
import sqlite3
from base64 import b64decode
from email import message_from_bytes, policy
from pathlib import Path

import msgspec
import pytest
from watched_demo import SEALED, DemoRun

from tallystick import limits
from tallystick.adapters.canaries import Scanner
from tallystick.adapters.keys.epochs import FileEpochKeys
from tallystick.assembly.facts import FINAL_STATES
from tallystick.cli.demo import back_ends, world
from tallystick.crypto import box
from tallystick.crypto.binding import bind
from tallystick.errors import EnvelopeUnopenable
from tallystick.runtime import Millis, SystemRandomness

pytestmark = pytest.mark.e2e

CARDS = {
    "UnionPay card": back_ends.UNIONPAY_CARD,
    "long card": back_ends.UNIONPAY_LONG_CARD,
    "card without Luhn": back_ends.UNIONPAY_NO_LUHN_CARD,
    "VISA card": back_ends.VISA_CARD,
    "card of nobody": "9999990000000004",
}
SECRETS = {
    **CARDS,
    "PIN": back_ends.PIN,
    "PIN block, format 1": f"16{back_ends.PIN}",  # random digits follow
    "password": world.PASSWORD,
    "wrong password": "not-the-password",
    "account": back_ends.ACCOUNT,
    "REST account": back_ends.REST_ACCOUNT,
    "fetched account": back_ends.PULL_ACCOUNT,
    "account secret": back_ends.ACCOUNT_SECRET,
    "phone number": "138001100",  # how every one of the demo begins, after +86
}
PERSONAL = {"user name": world.USERNAME, "e-mail address": world.EMAIL}
KEY_BYTES = 32
PIECE_BYTES = 16  # long enough never to stand anywhere by chance
PLANTED_BYTES = 16 * 1024  # of the database: the first pages, with the schema and rows
OWN_CARDS = "config.json"
"""The one file in which a sandbox back end keeps the cards and accounts that are its own."""


def block_0(pan: str) -> bytes:
    """Make the clear format 0 block of the demo's PIN: what no back end but the addressed one may learn."""
    pin_field = int(f"06{back_ends.PIN}FFFFFFFF", 16)
    return (pin_field ^ int(f"0000{pan[-13:-1]}", 16)).to_bytes(8)


BLOCKS = {f"PIN block, format 0, {name}": block_0(pan) for name, pan in CARDS.items()}


@pytest.fixture(scope="module")
def everything() -> Scanner:
    return Scanner(SECRETS, BLOCKS)


def written(run: DemoRun) -> list[Path]:
    """List every file of the demo but the sandboxes' own books, and the copies of the database made while it ran."""
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    own = [path for path in files if path.name == OWN_CARDS and path.parent.parent == run.folder / "back-ends"]
    assert 6 == len(own)
    return [path for path in files if path not in own] + run.copies


def mails(run: DemoRun) -> list[str]:
    parsed = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in run.folder.glob("mails/*.eml")]
    return [str(mail.get_content()) for mail in parsed]


# Nothing is in what was written


def test_no_secret_is_in_any_file_of_the_demo(demo_run: DemoRun, everything: Scanner) -> None:
    files = written(demo_run)
    kinds = {path.relative_to(demo_run.folder).parts[0] for path in files if path.is_relative_to(demo_run.folder)}
    assert {"platform", "platform.log", "channels", "mails", "receiver", "back-ends"} == kinds
    assert {"store.db", "store.db-wal", "store.db-shm"} == {path.name for path in demo_run.copies}
    assert [] == everything.scan_files(files)


def test_no_secret_is_in_what_the_demo_said(demo_run: DemoRun, everything: Scanner) -> None:
    assert demo_run.stdout
    assert [] == everything.scan(demo_run.stdout + demo_run.stderr)


def test_no_secret_stood_on_a_command_line_or_in_an_environment(demo_run: DemoRun, everything: Scanner) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("this system shows no processes as files")
    platforms = [seen for seen in demo_run.processes.values() if b"\0serve\0" in seen]
    assert 1 == len(platforms)
    assert len(demo_run.processes) >= 6
    assert [] == [found for seen in demo_run.processes.values() for found in everything.scan(seen)]


def test_who_the_payer_is_stands_in_the_mails_only(demo_run: DemoRun) -> None:
    scanner = Scanner(PERSONAL)
    files = [path for path in written(demo_run) if path.parent != demo_run.folder / "mails"]
    assert [] == scanner.scan_files(files)
    assert scanner.scan_files(demo_run.folder.glob("mails/*.eml"))


def test_a_number_or_code_that_was_mailed_is_nowhere_else(demo_run: DemoRun) -> None:
    texts = "\n".join(mails(demo_run))
    numbers, codes = re.findall(r" is ([0-9]{8})\.", texts), re.findall(r" is ([2-9A-Z]{14})\.", texts)
    assert (1, 1) == (len(numbers), len(codes))
    scanner = Scanner({"number": numbers[0], "code": codes[0]})
    files = [path for path in written(demo_run) if path.parent != demo_run.folder / "mails"]
    assert [] == scanner.scan_files(files)


# What was erased is gone, what waits dies with its key


def rows(store: Path, query: str) -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return list(db.execute(query))


def key_files(data: Path) -> dict[str, bytes]:
    """Return every key that a file of a platform holds, whatever the file's form."""
    keys: dict[str, bytes] = {}
    for path in sorted(path for path in data.rglob("*") if path.is_file() and not path.name.startswith("store.db")):
        content = path.read_bytes()
        for start in range(max(len(content) - KEY_BYTES, 0) + 1):
            keys[f"{path.relative_to(data)} at {start}"] = content[start : start + KEY_BYTES]
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            for name, value in msgspec.json.decode(content, type=dict[str, object]).items():
                with contextlib.suppress(ValueError):
                    keys[f"{path.relative_to(data)}: {name}"] = b64decode(str(value))
    return {name: key for name, key in keys.items() if len(key) == KEY_BYTES}


def opened(keys: dict[str, bytes], part: str, sealed: bytes) -> list[str]:
    """Name the keys that open a part's sealed content."""
    found = []
    for name, key in keys.items():
        with contextlib.suppress(EnvelopeUnopenable):
            box.unseal(key, sealed, bind("part", part))
            found.append(name)
    return found


def pieces(sealed: bytes) -> list[bytes]:
    return [sealed[start : start + PIECE_BYTES] for start in range(0, len(sealed) - PIECE_BYTES + 1, PIECE_BYTES)]


def test_every_part_of_a_payment_with_an_outcome_is_erased(demo_run: DemoRun) -> None:
    held = rows(
        demo_run.data / "store.db", "SELECT p.state, t.sealed FROM part t JOIN payment p ON p.id = t.payment_id"
    )
    over = [sealed for state, sealed in held if state in FINAL_STATES]
    assert len(over) > 20
    assert {None} == set(over)
    assert any(sealed is not None for state, sealed in held if state not in FINAL_STATES)


def test_an_erased_part_is_not_even_sealed_in_the_file_any_more(demo_run: DemoRun) -> None:
    store = demo_run.data / "store.db"
    left = {part for part, _, _ in rows(store, SEALED)}
    bytes_left = b"".join(path.read_bytes() for path in demo_run.data.glob("store.db*"))
    erased = [piece for part, (_, sealed) in demo_run.sealed.items() if part not in left for piece in pieces(sealed)]
    waiting = [piece for part, (_, sealed) in demo_run.sealed.items() if part in left for piece in pieces(sealed)]
    assert len(erased) > 30
    assert all(piece in bytes_left for piece in waiting)
    assert [] == [piece for piece in erased if piece in bytes_left]


@pytest.fixture
def later(demo_run: DemoRun, tmp_path: Path) -> Path:
    """Copy the platform's directory and let the time pass after which the sweep destroys the parts' keys."""
    data = tmp_path / "later"
    shutil.copytree(demo_run.data, data)
    newest = max(int(epoch.removeprefix("ep_")) for epoch, _ in demo_run.sealed.values())
    epochs = FileEpochKeys(data / "epochs", SystemRandomness())
    assert epochs.destroy_before(Millis(newest + limits.EPOCH_KEPT_MS))
    epochs.close()
    return data


def test_no_key_that_remains_after_the_parts_time_opens_a_part_out_of_any_copy(demo_run: DemoRun, later: Path) -> None:
    keys = key_files(later)
    assert {"keys/vault-1.key: key", "keys/at-rest-1.key: key", "keys/blind-index-1.key: key"} <= keys.keys()
    assert len(demo_run.sealed) > 5
    assert [] == [name for part, (_, sealed) in demo_run.sealed.items() for name in opened(keys, part, sealed)]


def test_a_part_that_still_waits_opens_with_its_own_epochs_key_alone(demo_run: DemoRun) -> None:
    """Show that the test above would find a key: before its time is over, the right one is there."""
    keys = key_files(demo_run.data)
    part, epoch, sealed = rows(demo_run.data / "store.db", SEALED)[0]
    assert [f"epochs/{epoch} at 0"] == opened(keys, part, sealed)  # type: ignore[arg-type]


# The scanner finds what is planted


@pytest.mark.parametrize("name", [*SECRETS, *BLOCKS])
def test_a_planted_secret_is_found_in_every_form(
    demo_run: DemoRun, everything: Scanner, tmp_path: Path, name: str
) -> None:
    copy = tmp_path / "store.db"
    clean = (demo_run.data / "store.db").read_bytes()[:PLANTED_BYTES]
    planted = {form: data for form, data in everything.forms.items() if form.startswith(f"{name} (")}
    assert len(planted) >= 8
    for form, data in planted.items():
        copy.write_bytes(clean[:5001] + data + clean[5001 + len(data) :])
        assert form in "\n".join(everything.scan_files([copy]))


def test_a_planted_secret_is_found_however_it_is_encoded() -> None:
    scanner = Scanner({"card": "4242424242424242", "odd card": "6205500000000000004"})
    for data, form in (
        (b'{"pan":"4242424242424242"}', "plain"),
        ("x4242424242424242".encode("utf-16"), "utf-16-le"),
        (b"\x01\x42\x42\x42\x42\x42\x42\x42\x42\x0f", "bcd left plain"),
        (b"\x62\x05\x50\x00\x00\x00\x00\x00\x00\x4f", "bcd left plain"),
        (b"\x06\x20\x55\x00\x00\x00\x00\x00\x00\x04", "bcd right plain"),
        (b"34323432343234323432343234323432", "hex"),
        (b"eyJwYW4iOiI0MjQyNDI0MjQyNDI0MjQyIn0=", "base64 at 2"),
    ):
        assert form in str(scanner.scan(data)), form
    assert [] == scanner.scan(b"4242 4242 4242 4243")
