"""A real platform tells a real receiver, and readers of its streams, what became of parts; also across a crash."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from live_platform import Live, a_payment, live_platform

from tallystick.channels.admit import INSTITUTION_URI
from tallystick.cli import administer, profiles
from tallystick.crypto import x509
from tallystick.crypto.tls import server_context
from tallystick.outcomes import endpoints
from tallystick.runtime import Millis
from tallystick.testing.receiver import WebhookReceiver

pytestmark = pytest.mark.e2e

WAIT_S = 30.0


@pytest.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    monkeypatch.setenv("TALLYSTICK_WEBHOOKS__ALLOW_PRIVATE", "true")
    monkeypatch.setenv("TALLYSTICK_WEBHOOKS__CA", "ca/trust.pem")
    async with live_platform(tmp_path) as made:
        yield made


@pytest.fixture
async def receiver(live: Live) -> AsyncIterator[WebhookReceiver]:
    """Listen with a certificate of the platform's own authority; both channels have an endpoint here."""
    key = x509.new_private_key()
    uri = f"{INSTITUTION_URI}{live.bank.id}"
    async with live.office() as desk:
        csr = x509.make_csr(key, uri=uri, dns=("localhost",), common_name="receiver")
        chain = administer.issue_back_end_certificate(desk, live.bank.id, csr, ("localhost",))
        (live.home / "receiver.pem").write_bytes(chain)
        profiles.write_private(live.home / "receiver.key", key)
        context = server_context(live.home / "receiver.pem", live.home / "receiver.key", None)
        async with WebhookReceiver(context) as made:
            for name in ("pc", "phone"):
                new = await endpoints.add(
                    desk.store,
                    desk.keyring,
                    desk.clock,
                    desk.randomness,
                    channel_id=live.profiles[name].credentials.sender,
                    url=made.url,
                )
                made.secrets.append(new.secret.reveal())
            yield made


async def arrived(receiver: WebhookReceiver, count: int) -> list[tuple[str, str | None]]:
    """Wait for `count` proven webhooks; return what each is about."""
    async with asyncio.timeout(WAIT_S):
        while len(receiver.messages) < count:  # noqa: ASYNC110 - another process sends, and sets no event here
            await asyncio.sleep(0.05)
    return sorted((message.type, message.data.part) for message in receiver.messages)


async def failures(live: Live, count: int) -> set[str]:
    """Wait until the first try of `count` webhooks has failed and that is durable; return their ids."""
    async with live.office() as desk, asyncio.timeout(WAIT_S):
        while True:
            waiting = await desk.store.read(lambda books: books.due_webhooks(Millis(2**52), count))
            if (failed := {each.id for each in waiting if each.tries}) and len(failed) == count:
                return failed
            await asyncio.sleep(0.05)


async def test_both_senders_are_told_by_webhook_and_by_stream(live: Live, receiver: WebhookReceiver) -> None:
    first, second = a_payment(1_250)
    one = (await live.client("pc").send_part(first)).part
    following = live.client("pc").part_events(one)
    assert "accepted" == (await anext(following)).status
    other = (await live.client("phone").send_part(second)).part
    async with asyncio.timeout(WAIT_S):
        assert "approved" == (await anext(following)).status
        assert [] == [status async for status in following]
    assert sorted([("part.approved", one), ("part.approved", other)]) == await arrived(receiver, 2)


async def test_a_webhook_that_failed_before_the_platform_was_killed_arrives_after_it_was_started_again(
    live: Live, receiver: WebhookReceiver
) -> None:
    receiver.script = ["500 Internal Server Error", "503 Service Unavailable\r\nRetry-After: 1"]
    await live.pay(1_251)
    failed = await failures(live, 2)
    await live.kill()
    tried = {each.headers["webhook-id"] for each in receiver.arrived}
    assert failed == tried
    await live.start()
    async with asyncio.timeout(WAIT_S):
        while len(receiver.arrived) < 4:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    assert [2, 2] == [sum(each.headers["webhook-id"] == id_ for each in receiver.arrived) for id_ in tried]
