"""The operator's commands about webhooks and the log of events."""

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tallystick import config
from tallystick.assembly.facts import ElementKind, Fate
from tallystick.assembly.model import Element, Payment
from tallystick.bootstrap.office import office
from tallystick.crypto.webhooks import read_secret
from tallystick.outcomes.announce import announce
from tallystick.outcomes.model import WebhookState
from tallystick.runtime import Millis
from tallystick.secret import Secret

Run = Callable[..., Result]
Ask = Callable[..., Any]
URL = "https://shop.example/outcomes"


@pytest.fixture
def shop(ask: Ask) -> str:
    """Register a channel; return its id."""
    made = ask("channel", "add", "shop", "--kind", "merchant", "--fields", "pan,order", "--mac-key-out", "shop.key")
    channel: str = made["id"]
    return channel


def at_desk(platform: Path, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with office(platform, config.load(platform, {})) as desk:
            return await work(desk)

    return asyncio.run(run())


def expired(platform: Path, owner: str, *payments: str) -> None:
    """Let payments of an owner expire, and announce it."""

    async def work(desk: Any) -> None:
        now = desk.clock.now()
        for payment_id in payments:
            payment = Payment(
                id=payment_id,
                policy="card",
                element=Element(kind=ElementKind.CODE, digest=payment_id.encode()),
                claimed=True,
                opened_at=Millis(1),
                expires_at=Millis(2),
                updated_at=Millis(1),
                owner=owner,
            )
            await desk.store.transact(lambda books, row=payment: books.add_payment(row))
            await desk.store.transact(lambda books, each=payment_id: books.decide_fate(each, Fate.EXPIRED, now))
        await announce(desk.store, desk.clock, desk.randomness)

    at_desk(platform, work)


def test_an_endpoint_is_added_and_its_secret_written_once_for_its_owner_only(
    run: Run, ask: Ask, shop: str, tmp_path: Path
) -> None:
    result = run("webhook", "add", shop, URL, "--secret-out", "shop.whsec", "--json")
    added = json.loads(result.stdout)
    assert (shop, URL, "active", "shop.whsec") == (
        added["channel_id"],
        added["url"],
        added["state"],
        added["secret_file"],
    )
    path = tmp_path / "shop.whsec"
    assert 32 == len(read_secret(Secret(path.read_text())))
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert path.read_text() not in result.output
    (listed,) = ask("webhook", "list")
    assert added["id"] == listed["id"]
    assert "sealed" not in listed


def test_what_cannot_be_is_refused_before_a_secret_is_written(run: Run, shop: str, tmp_path: Path) -> None:
    refused = [
        run("webhook", "add", shop, "http://shop.example/", "--secret-out", "a.whsec"),
        run("webhook", "add", "ch_none", URL, "--secret-out", "a.whsec"),
        run("webhook", "rotate", "we_none", "--secret-out", "a.whsec"),
        run("webhook", "disable", "we_none"),
        run("webhook", "redeliver", "evt_none"),
    ]
    assert [1] * 5 == [each.exit_code for each in refused]
    assert all("remedy:" in each.stderr for each in refused)
    assert not (tmp_path / "a.whsec").exists()
    (tmp_path / "taken").write_text("")
    assert 1 == run("webhook", "add", shop, URL, "--secret-out", "taken").exit_code
    assert "[]" == run("webhook", "list", "--json").stdout.strip()


def test_a_rotation_writes_another_secret(ask: Ask, shop: str, tmp_path: Path) -> None:
    added = ask("webhook", "add", shop, URL, "--secret-out", "one")
    ask("webhook", "rotate", added["id"], "--secret-out", "two")
    assert (tmp_path / "one").read_text() != (tmp_path / "two").read_text()


def test_a_disabled_endpoint_leaves_dead_letters_that_can_be_sent_again(
    run: Run, ask: Ask, platform: Path, shop: str
) -> None:
    added = ask("webhook", "add", shop, URL, "--secret-out", "shop.whsec")
    expired(platform, shop, "pay_1", "pay_2")
    assert ("disabled", "by_operator") == tuple(
        ask("webhook", "disable", added["id"])[key] for key in ("state", "reason")
    )
    letters = ask("webhook", "dead-letters")
    assert {("payment.expired", "pay_1"), ("payment.expired", "pay_2")} == {
        (letter["type"], letter["subject"]) for letter in letters
    }
    assert 1 == len(ask("webhook", "dead-letters", "--limit", "1"))
    assert "enable it first" in run("webhook", "redeliver", letters[0]["id"]).stderr
    assert "active" == ask("webhook", "enable", added["id"])["state"]
    assert WebhookState.WAITING == ask("webhook", "redeliver", letters[0]["id"])["state"]
    assert [letters[1]["id"]] == [letter["id"] for letter in ask("webhook", "dead-letters")]


def test_the_log_is_shown_as_lines_of_json_from_a_number_on(run: Run, platform: Path) -> None:
    expired(platform, "ch_shop", "pay_1", "pay_2")
    lines = [json.loads(line) for line in run("events", "tail", "--until-now").stdout.splitlines()]
    assert [("pay_1", "expired"), ("pay_2", "expired")] == [(line["payment_id"], line["state"]) for line in lines]
    later = run("events", "tail", "--after", str(lines[0]["seq"]), "--until-now").stdout.splitlines()
    assert lines[1:] == [json.loads(line) for line in later]


def test_the_log_is_followed(run: Run, platform: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []

    class Impatient(Exception):
        pass

    async def sleep(_: object, seconds: float) -> None:
        looked.append(seconds)
        if len(looked) == 3:
            raise Impatient

    monkeypatch.setattr("tallystick.runtime.SystemClock.sleep", sleep)
    assert 1 == run("events", "tail").exit_code
    assert [1.0] * 3 == looked
